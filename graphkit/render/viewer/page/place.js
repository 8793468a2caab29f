// Places across the layers, after Brandes and Köpf (2001), for boxes whose lines meet them away from their centres:
// vertices are put in blocks whose lines run straight, blocks are packed in four ways (two where there are very many),
// and the ways are averaged.

/** Centres of all vertices of an ordered net (see layered.js). @returns {Float64Array} */
function placeAcross(net) {
    const straight = placeStraight(net);
    const results = [];
    const ways = net.widths.length > 25000 ? [false] : [false, true];
    for (const upwards of ways) {
        for (const mirrored of [false, true]) results.push(placeOnce(net, straight, upwards, mirrored));
    }
    return placeBalanced(net, results);
}

/** The neighbours above with which a vertex may share a block: [vertex above, its shift to the right] by vertex. */
function placeStraight(net) {
    const corner = (vertex) => vertex >= net.boxes;
    // Between corners lines are straight if at all possible, then between boxes; a line that bends anyway comes after
    // them, and last what feeds the flow from its side, such as a constant.
    const rankOfLine = (a, b) => {
        if (corner(a) || corner(b)) return corner(a) && corner(b) ? 3 : 1;
        return net.floats[a] === net.floats[b] ? 2 : 0;
    };
    const bestOf = (side, vertex) => side.reduce((best, [other]) => Math.max(best, rankOfLine(vertex, other)), 0);
    const bestAbove = net.above.map(bestOf);
    const bestBelow = net.below.map(bestOf);
    const position = new Int32Array(net.widths.length);
    for (const layer of net.layers) layer.forEach((vertex, at) => (position[vertex] = at));
    const straight = net.above.map(() => []);
    for (const layer of net.layers) {
        // Lines between corners win over lines that cross them.
        const inner = [];
        for (const vertex of layer) {
            if (!corner(vertex)) continue;
            for (const [up] of net.above[vertex]) if (corner(up)) inner.push([position[vertex], position[up]]);
        }
        const crossed = (vertex, up) => {
            const [low, high] = [position[vertex], position[up]];
            return inner.some(([a, b]) => (a - low) * (b - high) < 0);
        };
        for (const vertex of layer) {
            for (const [up, at, upAt] of net.above[vertex]) {
                const rank = rankOfLine(vertex, up);
                if (rank < bestAbove[vertex] || rank < bestBelow[up]) continue;
                if (!(corner(vertex) && corner(up)) && crossed(vertex, up)) continue;
                const stacked = net.column && net.frames[up] && net.frames[vertex];
                straight[vertex].push([up, stacked ? 0 : upAt - at]);
            }
        }
    }
    return straight;
}

/** Pack once: from the top or the bottom, to the left or, mirrored, to the right. */
function placeOnce(net, straight, upwards, mirrored) {
    const count = net.widths.length;
    const sign = mirrored ? -1 : 1;
    const layers = net.layers.map((layer) => (mirrored ? layer.slice().reverse() : layer));
    const position = new Int32Array(count);
    for (const layer of layers) layer.forEach((vertex, at) => (position[vertex] = at));
    const candidates = upwards ? Array.from({ length: count }, () => []) : straight;
    if (upwards) straight.forEach((ups, vertex) => ups.forEach(([up, shift]) => candidates[up].push([vertex, -shift])));
    const root = Int32Array.from({ length: count }, (_, vertex) => vertex);
    const shift = new Float64Array(count);
    const taken = new Uint8Array(count);
    for (const layer of upwards ? layers.slice().reverse() : layers) {
        let last = -1;
        for (const vertex of layer) {
            const near = candidates[vertex];
            if (!near.length) continue;
            const sorted = near.length > 1 ? near.slice().sort((a, b) => position[a[0]] - position[b[0]]) : near;
            const middle = (sorted.length - 1) / 2;
            for (const at of [Math.floor(middle), Math.ceil(middle)]) {
                const [other, offset] = sorted[at];
                if (taken[other] || position[other] <= last) continue;
                taken[other] = 1;
                root[vertex] = root[other];
                shift[vertex] = shift[other] + sign * offset;
                last = position[other];
                break;
            }
        }
    }
    const places = placePacked(net, layers, root, shift);
    return mirrored ? places.map((place) => -place) : places;
}

/** Room between the centres of two neighbours in a layer. */
function placeApart(net, left, right) {
    const box = (vertex) => vertex < net.boxes && !net.ports[vertex];
    const gap = box(left) && box(right) ? layeredGaps.box : layeredGaps.line + (box(left) || box(right) ? 4 : 0);
    return (net.widths[left] + net.widths[right]) / 2 + gap;
}

/** Blocks as far left as they go, then back towards what is right of them. */
function placePacked(net, layers, root, shift) {
    const count = root.length;
    const start = new Int32Array(count + 1);
    for (const layer of layers) for (let at = 1; at < layer.length; at++) start[root[layer[at - 1]] + 1]++;
    for (let block = 0; block < count; block++) start[block + 1] += start[block];
    const rights = new Int32Array(start[count]);
    const aparts = new Float64Array(start[count]);
    const next = start.slice();
    const waiting = new Int32Array(count);
    const place = new Float64Array(count);
    for (const layer of layers) {
        for (let at = 0; at < layer.length; at++) {
            const right = layer[at];
            const block = root[right];
            // A block goes no further left than where its own widest part begins at 0.
            place[block] = Math.max(place[block], net.widths[right] / 2 - shift[right]);
            if (!at) continue;
            const left = layer[at - 1];
            const to = next[root[left]]++;
            rights[to] = block;
            aparts[to] = placeApart(net, left, right) + shift[left] - shift[right];
            waiting[block]++;
        }
    }
    const sequence = new Int32Array(count);
    let end = 0;
    for (let block = 0; block < count; block++) if (root[block] === block && !waiting[block]) sequence[end++] = block;
    for (let at = 0; at < end; at++) {
        const block = sequence[at];
        for (let to = start[block]; to < start[block + 1]; to++) {
            const right = rights[to];
            place[right] = Math.max(place[right], place[block] + aparts[to]);
            if (--waiting[right] === 0) sequence[end++] = right;
        }
    }
    for (let at = end - 1; at >= 0; at--) {
        const block = sequence[at];
        let room = Infinity;
        for (let to = start[block]; to < start[block + 1]; to++) room = Math.min(room, place[rights[to]] - aparts[to]);
        if (room < Infinity && room > place[block]) place[block] = room;
    }
    const places = new Float64Array(count);
    for (let vertex = 0; vertex < count; vertex++) places[vertex] = place[root[vertex]] + shift[vertex];
    return places;
}

/** The mean of the two middle places of each vertex, after putting all results beside the narrowest. */
function placeBalanced(net, results) {
    const extents = results.map((places) => {
        let [low, high] = [Infinity, -Infinity];
        places.forEach((place, vertex) => {
            low = Math.min(low, place - net.widths[vertex] / 2);
            high = Math.max(high, place + net.widths[vertex] / 2);
        });
        return { low, high };
    });
    let narrow = 0;
    extents.forEach(({ low, high }, at) => {
        if (high - low < extents[narrow].high - extents[narrow].low) narrow = at;
    });
    const moved = results.map((places, at) => {
        const mirrored = at % 2 === 1;
        return mirrored ? extents[narrow].high - extents[at].high : extents[narrow].low - extents[at].low;
    });
    const ways = new Float64Array(results.length);
    const middle = results.length / 2;
    return results[0].map((_, vertex) => {
        for (let at = 0; at < ways.length; at++) ways[at] = results[at][vertex] + moved[at];
        ways.sort();
        return (ways[middle - 1] + ways[middle]) / 2;
    });
}
