// The order of boxes and corners within each layer: few crossings of lines, by barycentres and exchanges.

/** Order the layers of a net (see layered.js) in place. */
function orderLayers(net) {
    const position = new Float64Array(net.widths.length);
    orderInitially(net, position);
    const size = net.widths.length;
    const turns = size > 30000 ? 4 : size > 6000 ? 8 : size > 1500 ? 12 : 24;
    let best = net.layers.map((layer) => layer.slice());
    let fewest = orderCrossings(net, position);
    for (let turn = 0, idle = 0; turn < turns && fewest > 0 && idle < 5; turn++) {
        orderSweep(net, position, turn % 2 === 0);
        if (size <= 1500) orderExchange(net, position);
        const crossings = orderCrossings(net, position);
        if (crossings < fewest) {
            fewest = crossings;
            best = net.layers.map((layer) => layer.slice());
            idle = 0;
        } else {
            idle++;
        }
    }
    net.layers = best;
}

function orderNumber(layer, position) {
    for (let at = 0; at < layer.length; at++) position[layer[at]] = at;
}

/** Follow the lines from the first layer in depth, so that what is connected begins side by side. */
function orderInitially(net, position) {
    const turn = new Int32Array(net.widths.length).fill(-1);
    let next = 0;
    for (const layer of net.layers) {
        for (const start of layer) {
            if (turn[start] >= 0) continue;
            const stack = [start];
            while (stack.length) {
                const vertex = stack.pop();
                if (turn[vertex] >= 0) continue;
                turn[vertex] = next++;
                for (let at = net.below[vertex].length - 1; at >= 0; at--) stack.push(net.below[vertex][at][0]);
            }
        }
    }
    for (const layer of net.layers) {
        layer.sort((a, b) => turn[a] - turn[b]);
        orderNumber(layer, position);
    }
}

/** Where a line meets a vertex, as a share of the room that vertices take in their layer. */
function orderPlace(net, position, vertex, at) {
    const width = net.widths[vertex];
    return position[vertex] + (width ? (0.8 * at) / width : 0);
}

function orderSweep(net, position, downwards) {
    const count = net.layers.length;
    const wanted = new Map();
    for (let step = 1; step < count; step++) {
        const layer = net.layers[downwards ? step : count - 1 - step];
        const side = downwards ? net.above : net.below;
        wanted.clear();
        for (const vertex of layer) {
            let sum = 0;
            for (const [other, , at] of side[vertex]) sum += orderPlace(net, position, other, at);
            const links = side[vertex].length;
            wanted.set(vertex, links ? sum / links : position[vertex]);
        }
        layer.sort((a, b) => wanted.get(a) - wanted.get(b) || position[a] - position[b]);
        orderNumber(layer, position);
    }
}

/** Comparisons that exchanging may cost in one turn, so that hubs of very many lines hold nothing up. */
const orderPatience = 400000;

/** Exchange neighbours as long as that removes crossings. */
function orderExchange(net, position) {
    const lines = (side, left, right) => side[left].length * side[right].length;
    let patience = orderPatience;
    for (let pass = 0, better = true; better && pass < 8; pass++) {
        better = false;
        for (const layer of net.layers) {
            for (let at = 0; at + 1 < layer.length; at++) {
                const [left, right] = [layer[at], layer[at + 1]];
                patience -= lines(net.above, left, right) + lines(net.below, left, right);
                if (patience < 0) return;
                const now = orderPair(net, position, net.above, left, right) + orderPair(net, position, net.below, left, right);
                if (!now) continue;
                const then = orderPair(net, position, net.above, right, left) + orderPair(net, position, net.below, right, left);
                if (then < now) {
                    layer[at] = right;
                    layer[at + 1] = left;
                    position[right] = at;
                    position[left] = at + 1;
                    better = true;
                }
            }
        }
    }
}

/** Crossings between the lines of two neighbours on one side, `left` being left of `right`. */
function orderPair(net, position, side, left, right) {
    let crossings = 0;
    for (const [a, , aAt] of side[left]) {
        const first = orderPlace(net, position, a, aAt);
        for (const [b, , bAt] of side[right]) if (orderPlace(net, position, b, bAt) < first) crossings++;
    }
    return crossings;
}

/** All crossings, counted with a Fenwick tree as Barth, Mutzel and Jünger (2004) do. */
function orderCrossings(net, position) {
    let crossings = 0;
    for (const layer of net.layers) {
        const ends = [];
        for (const vertex of layer) {
            const side = net.below[vertex];
            const from = ends.length;
            for (const [other, at, otherAt] of side) ends.push([at, orderPlace(net, position, other, otherAt)]);
            if (side.length > 1) {
                const own = ends.splice(from);
                own.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
                ends.push(...own);
            }
        }
        if (ends.length < 2) continue;
        const sorted = Float64Array.from(ends, ([, place]) => place).sort();
        const tree = new Int32Array(sorted.length + 1);
        for (let seen = 0; seen < ends.length; seen++) {
            const place = ends[seen][1];
            let [low, high] = [0, sorted.length];
            while (low < high) {
                const middle = (low + high) >> 1;
                if (sorted[middle] < place) low = middle + 1;
                else high = middle;
            }
            // Equal places share a number, so that lines to one point do not count as crossing.
            let before = 0;
            for (let i = low + 1; i > 0; i -= i & -i) before += tree[i];
            crossings += seen - before;
            for (let i = low + 1; i < tree.length; i += i & -i) tree[i]++;
        }
    }
    return crossings;
}
