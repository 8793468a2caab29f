// Layered layout of one level of a graph, after Sugiyama, Tagawa and Toda (1981): boxes in ranks, edges downwards.
// The time is about linear in the boxes and edges; ranks are made here, orders in order.js, places in place.js.

/**
 * A box to lay out. `pin` -1 wants the first rank for itself and its like, 1 the last; a `frame` is an open group.
 * @typedef {{w: number, h: number, pin: -1|0|1, frame: boolean}} LayeredBox
 *
 * A line between two boxes, by number. `tailAt` and `headAt` are where it must meet them, from their centres; null
 * leaves that to the layout. Lines with one `tailKey` (an output of their tail) leave it at one point. `room` is how
 * far, at least, the rank of the tail is from the next one.
 * @typedef {{tail: number, head: number, tailAt: number|null, headAt: number|null, tailKey: number, room: number}} LayeredLine
 *
 * The result: centres of the boxes, and for each line its corners [x0, y0, x1, y1, …], between which it runs straight
 * or, where x changes, in a curve that is vertical at both ends.
 * @typedef {{x: Float64Array, y: Float64Array, width: number, height: number, routes: number[][]}} LayeredResult
 */

const layeredGaps = { box: 28, line: 14, rank: 34, port: 20, lane: 7 };

/** From so many open groups on they stand in a column, rather than have their lines straight. */
const layeredColumn = 5;

/**
 * Lay out boxes and lines from top to bottom.
 * @param {LayeredBox[]} boxes In an order to prefer where the lines leave a choice.
 * @param {LayeredLine[]} lines
 * @returns {LayeredResult}
 */
function layered(boxes, lines) {
    const order = rankTopological(boxes.length, lines);
    const segments = rankLines(lines, order);
    const { ranks, count, floats } = rankBoxes(boxes, segments, order);
    layeredExempt(boxes.length, segments, ranks);
    const ports = boxes.map(({ pin }) => pin !== 0);
    // Many frames would drift to one side if each began where the last one ends; they make a column instead.
    const frames = boxes.map(({ frame }) => frame);
    const column = frames.filter(Boolean).length >= layeredColumn;
    const net = { ...layeredNet(boxes, segments, ranks, count), floats, ports, frames, column };
    orderLayers(net);
    const across = placeAcross(net);
    return routeAll(boxes, lines, segments, net, across);
}

/** Boxes so that tails come before heads; where lines close a cycle, the box that is first in the input comes first. */
function rankTopological(count, lines) {
    const waiting = new Int32Array(count);
    const heads = Array.from({ length: count }, () => []);
    for (const { tail, head } of lines) {
        if (tail === head) continue;
        waiting[head]++;
        heads[tail].push(head);
    }
    const position = new Int32Array(count).fill(-1);
    const sequence = [];
    const add = (box) => {
        position[box] = sequence.length;
        sequence.push(box);
    };
    for (let box = 0; box < count; box++) if (!waiting[box]) add(box);
    let oldest = 0;
    for (let at = 0; at < count; at++) {
        if (at === sequence.length) {
            while (position[oldest] >= 0) oldest++;
            add(oldest);
        }
        for (const head of heads[sequence[at]]) if (--waiting[head] === 0 && position[head] < 0) add(head);
    }
    return { sequence, position };
}

/**
 * The lines by their upper and lower box. One that closes a cycle is `against` the flow; it and those that would need
 * too many corners are `far`: they run beside the graph.
 */
function rankLines(lines, { position }) {
    return lines.map((line, number) => {
        const against = position[line.tail] >= position[line.head];
        return {
            line: number,
            against,
            upper: line.tail,
            lower: line.head,
            upperAt: line.tailAt,
            lowerAt: line.headAt,
            trunk: `${line.tail} ${line.tailKey} ${line.tailAt}`,
            far: against,
            chain: null,
        };
    });
}

/** A rank for each box: as high as its tails allow, then nearer to what it feeds where that shortens lines. */
function rankBoxes(boxes, segments, { sequence }) {
    const count = boxes.length;
    const ups = Array.from({ length: count }, () => []);
    const downs = Array.from({ length: count }, () => []);
    for (const { upper, lower, against } of segments) {
        if (against) continue;
        ups[lower].push(upper);
        downs[upper].push(lower);
    }
    const ports = boxes.some(({ pin }) => pin < 0) ? 1 : 0;
    const ranks = new Int32Array(count);
    const lowest = (box) => {
        let rank = boxes[box].pin < 0 ? 0 : ports;
        for (const up of ups[box]) rank = Math.max(rank, ranks[up] + 1);
        return rank;
    };
    for (const box of sequence) ranks[box] = lowest(box);
    // What depends on nothing pinned may sink to where it is used.
    const floats = new Uint8Array(count);
    for (const box of sequence) floats[box] = boxes[box].pin === 0 && ups[box].every((up) => floats[up]) ? 1 : 0;
    if (!ports) layeredAnchor(floats, sequence, ups, downs);
    for (let turn = 0; turn < 3; turn++) {
        for (let at = count - 1; at >= 0; at--) {
            const box = sequence[at];
            if (boxes[box].pin || !downs[box].length) continue;
            if (!floats[box] && downs[box].length <= ups[box].length) continue;
            let rank = Infinity;
            for (const down of downs[box]) rank = Math.min(rank, ranks[down] - 1);
            if (rank > ranks[box]) ranks[box] = rank;
        }
        for (const box of sequence) {
            if (!boxes[box].pin && !floats[box] && ups[box].length > downs[box].length) ranks[box] = lowest(box);
        }
    }
    layeredFold(boxes, segments, ranks, ups, downs);
    let [first, last] = [Infinity, -Infinity];
    for (let box = 0; box < count; box++) {
        if (boxes[box].pin) continue;
        first = Math.min(first, ranks[box]);
        last = Math.max(last, ranks[box]);
    }
    for (let box = 0; box < count; box++) if (boxes[box].pin) ranks[box] = boxes[box].pin < 0 ? first - 1 : last + 1;
    const used = [...new Set(ranks)].sort((a, b) => a - b);
    const dense = new Map(used.map((rank, index) => [rank, index]));
    for (let box = 0; box < count; box++) ranks[box] = dense.get(ranks[box]);
    return { ranks, count: used.length, floats };
}

/**
 * Put what would stand side by side in a very long row into several: what one box alone feeds, or is fed by, and what
 * has no lines at all.
 */
function layeredFold(boxes, segments, ranks, ups, downs) {
    const rows = { below: new Map(), above: new Map() };
    const add = (found, key, box) => {
        if (!found.has(key)) found.set(key, []);
        found.get(key).push(box);
    };
    for (const { upper, lower, trunk, against } of segments) {
        if (against || ranks[lower] !== ranks[upper] + 1) continue;
        if (ups[lower].length === 1 && !downs[lower].length && !boxes[lower].pin) add(rows.below, trunk, lower);
        if (downs[upper].length === 1 && !ups[upper].length && !boxes[upper].pin) add(rows.above, lower, upper);
    }
    const alone = boxes.map((_, box) => box).filter((box) => !boxes[box].pin && !ups[box].length && !downs[box].length);
    const fold = (row, way) => {
        if (row.length <= 14) return;
        const length = Math.ceil(1.3 * Math.sqrt(row.length));
        row.forEach((box, at) => (ranks[box] += way * Math.floor(at / length)));
    };
    fold(alone, 1);
    // Lines with one beginning share their corners, others have too many of them at some point.
    for (const row of rows.below.values()) fold(row, 1);
    for (const row of rows.above.values()) if (row.length <= 300) fold(row, -1);
}

/** Where nothing is pinned, the source with the longest way to go holds its part of the graph at the top. */
function layeredAnchor(floats, sequence, ups, downs) {
    const reach = new Int32Array(floats.length);
    for (let at = sequence.length - 1; at >= 0; at--) {
        for (const down of downs[sequence[at]]) reach[sequence[at]] = Math.max(reach[sequence[at]], reach[down] + 1);
    }
    let longest = -1;
    for (const box of sequence) if (!ups[box].length && (longest < 0 || reach[box] > reach[longest])) longest = box;
    for (const box of sequence) {
        if (box === longest || ups[box].some((up) => !floats[up])) floats[box] = 0;
    }
}

/**
 * Mark the longest lines `far` (they run beside the graph) where all would need too many corners. Lines that leave a
 * box at one point share theirs.
 */
function layeredExempt(count, segments, ranks) {
    const span = ({ upper, lower }) => ranks[lower] - ranks[upper] - 1;
    const longest = segments.filter(({ far }) => !far).sort((a, b) => span(b) - span(a));
    const trunks = new Map();
    for (const segment of longest) {
        if (!trunks.has(segment.trunk)) trunks.set(segment.trunk, []);
        trunks.get(segment.trunk).push(segment);
    }
    let corners = 0;
    for (const [first] of trunks.values()) corners += span(first);
    const budget = Math.max(6000, 2 * count);
    for (const segment of longest) {
        if (corners <= budget) break;
        segment.far = true;
        const rest = trunks.get(segment.trunk);
        rest.shift();
        corners -= span(segment) - (rest.length ? span(rest[0]) : 0);
    }
}

/**
 * Boxes and the corners of long lines as vertices in layers, with their neighbours above and below.
 * A neighbour is [vertex, where the line meets this vertex, where it meets the neighbour], from their centres.
 */
function layeredNet(boxes, segments, ranks, count) {
    const widths = boxes.map(({ w }) => w);
    const rankOf = [...ranks];
    const above = boxes.map(() => []);
    const below = boxes.map(() => []);
    const connect = (upper, upperAt, lower, lowerAt) => {
        below[upper].push([lower, upperAt, lowerAt]);
        above[lower].push([upper, lowerAt, upperAt]);
    };
    const trunks = new Map();
    for (const segment of segments) {
        if (segment.far) continue;
        if (!trunks.has(segment.trunk)) trunks.set(segment.trunk, []);
        const corners = trunks.get(segment.trunk);
        const steps = ranks[segment.lower] - ranks[segment.upper] - 1;
        const start = segment.upperAt ?? 0;
        while (corners.length < steps) {
            const corner = widths.length;
            widths.push(0);
            rankOf.push(ranks[segment.upper] + corners.length + 1);
            above.push([]);
            below.push([]);
            connect(corners.at(-1) ?? segment.upper, corners.length ? 0 : start, corner, 0);
            corners.push(corner);
        }
        segment.chain = corners.slice(0, steps);
        connect(segment.chain.at(-1) ?? segment.upper, steps ? 0 : start, segment.lower, segment.lowerAt ?? 0);
    }
    const layers = Array.from({ length: count }, () => []);
    rankOf.forEach((rank, vertex) => layers[rank].push(vertex));
    return { boxes: boxes.length, widths, rankOf, above, below, layers };
}
