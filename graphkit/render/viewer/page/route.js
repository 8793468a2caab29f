// Where lines run between the placed boxes of one level, and how far apart the ranks are.

/** The result of a layered layout: ranks are set below one another, lines pass between the boxes of a rank. */
function routeAll(boxes, lines, segments, net, across) {
    const { above: tops, below: bottoms } = routeMeetings(boxes, lines, segments, net, across);
    const bands = routeBands(boxes, lines, net, across);
    const x = new Float64Array(boxes.length);
    const y = new Float64Array(boxes.length);
    boxes.forEach((box, at) => {
        x[at] = across[at];
        const { top, bottom } = bands[net.rankOf[at]];
        y[at] = box.pin > 0 ? bottom : box.pin < 0 ? top : (top + bottom) / 2;
    });
    const routes = lines.map(() => []);
    for (const segment of segments) {
        if (segment.far) continue;
        const { upper, lower, chain } = segment;
        const start = x[upper] + bottoms.get(segment);
        const end = x[lower] + tops.get(segment);
        const points = [start, y[upper] + boxes[upper].h / 2, start, bands[net.rankOf[upper]].bottom];
        for (const corner of chain) {
            const { top, bottom } = bands[net.rankOf[corner]];
            points.push(across[corner], top, across[corner], bottom);
        }
        points.push(end, bands[net.rankOf[lower]].top, end, y[lower] - boxes[lower].h / 2);
        routes[segment.line] = routeTidy(points);
    }
    routeFar(boxes, segments, net, bands, { x, y, tops, bottoms, across }, routes);
    return routeFramed(boxes, x, y, routes);
}

/** Where each segment meets its boxes, from their centres: spread over the side by where the line comes from. */
function routeMeetings(boxes, lines, segments, net, across) {
    const above = new Map();
    const below = new Map();
    const atTop = boxes.map(() => []);
    const atBottom = boxes.map(() => []);
    for (const segment of segments) {
        const { upper, lower, chain } = segment;
        const next = chain?.length ? across[chain[0]] : across[lower] + (segment.lowerAt ?? 0);
        const last = chain?.length ? across[chain[chain.length - 1]] : across[upper] + (segment.upperAt ?? 0);
        const key = lines[segment.line].tailKey;
        if (segment.upperAt !== null) below.set(segment, segment.upperAt);
        else atBottom[upper].push({ segment, towards: segment.far ? 1e9 : next, key });
        if (segment.lowerAt !== null) above.set(segment, segment.lowerAt);
        else atTop[lower].push({ segment, towards: segment.far ? 1e9 : last, key: segment.line });
    }
    boxes.forEach((box, at) => {
        routeSpread(atTop[at], across[at], box.w, above);
        routeSpread(atBottom[at], across[at], box.w, below);
    });
    return { above, below };
}

function routeSpread(ends, centre, width, found) {
    if (!ends.length) return;
    const bundles = new Map();
    for (const end of ends) {
        if (!bundles.has(end.key)) bundles.set(end.key, []);
        bundles.get(end.key).push(end);
    }
    const half = Math.max(0, width / 2 - 12);
    const spots = [...bundles.values()].map((bundle) => {
        const near = bundle.map(({ towards }) => towards - centre).sort((a, b) => Math.abs(a) - Math.abs(b))[0];
        const free = bundle.length === 1 && bundles.size > 1;
        return { bundle, near, at: free ? Math.max(-half, Math.min(half, near)) : Math.abs(near) < half ? near : 0 };
    });
    spots.sort((a, b) => a.at - b.at || a.near - b.near);
    const apart = Math.min(12, (2 * half) / Math.max(1, spots.length - 1));
    let middle = 0;
    spots.forEach((spot, at) => {
        if (Math.abs(spot.at) < Math.abs(spots[middle].at)) middle = at;
    });
    for (let at = middle + 1; at < spots.length; at++) spots[at].at = Math.max(spots[at].at, spots[at - 1].at + apart);
    for (let at = middle - 1; at >= 0; at--) spots[at].at = Math.min(spots[at].at, spots[at + 1].at - apart);
    let limit = half;
    for (let at = spots.length - 1; at >= 0; at--, limit -= apart) spots[at].at = Math.min(spots[at].at, limit);
    limit = -half;
    for (let at = 0; at < spots.length; at++, limit += apart) spots[at].at = Math.max(spots[at].at, limit);
    for (const { bundle, at } of spots) for (const { segment } of bundle) found.set(segment, at);
}

/** Top and bottom of each rank; ranks are further apart where lines go far to the side. */
function routeBands(boxes, lines, net, across) {
    const rooms = new Float64Array(net.layers.length);
    for (const { tail, room } of lines) rooms[net.rankOf[tail]] = Math.max(rooms[net.rankOf[tail]], room);
    const sideways = new Float64Array(net.layers.length);
    net.below.forEach((side, vertex) => {
        for (const [other, at, otherAt] of side) {
            const rank = net.rankOf[vertex];
            sideways[rank] = Math.max(sideways[rank], Math.abs(across[vertex] + at - across[other] - otherAt));
        }
    });
    const bands = [];
    let next = 0;
    net.layers.forEach((layer, rank) => {
        let [height, ports] = [0, true];
        for (const vertex of layer) {
            if (vertex >= net.boxes) continue;
            height = Math.max(height, boxes[vertex].h);
            ports &&= boxes[vertex].pin !== 0;
        }
        const following = net.layers[rank + 1];
        const toPorts = following?.some((vertex) => vertex < net.boxes && boxes[vertex].pin > 0);
        const room = rooms[rank];
        const gap = ports || toPorts ? Math.max(layeredGaps.port, room) : Math.max(layeredGaps.rank, room);
        bands.push({ top: next, bottom: next + height });
        next += height + gap + Math.min(48, Math.max(0, sideways[rank] - 120) * 0.08);
    });
    return bands;
}

/** Lines that are not led through the graph run in lanes on its right, those against the flow from below to above. */
function routeFar(boxes, segments, net, bands, { x, y, tops, bottoms, across }, routes) {
    const far = segments.filter((segment) => segment.far);
    if (!far.length) return;
    let right = -Infinity;
    across.forEach((place, vertex) => (right = Math.max(right, place + net.widths[vertex] / 2)));
    const highest = ({ upper, lower }) => Math.min(net.rankOf[upper], net.rankOf[lower]);
    far.sort((a, b) => highest(a) - highest(b));
    const lanes = [];
    for (const segment of far) {
        const { upper, lower } = segment;
        const [from, to] = [net.rankOf[upper], net.rankOf[lower]];
        let lane = lanes.findIndex((end) => end < highest(segment));
        if (lane < 0) lane = lanes.push(0) - 1;
        lanes[lane] = Math.max(from, to);
        const beside = right + 24 + lane * layeredGaps.lane;
        const [start, end] = [x[upper] + bottoms.get(segment), x[lower] + tops.get(segment)];
        const [below, above] = [bands[from].bottom, bands[to].top];
        const [leave, enter] = segment.against ? [below, above] : [bands[from + 1].top, bands[to - 1].bottom];
        routes[segment.line] = routeTidy([
            ...[start, y[upper] + boxes[upper].h / 2, start, below, beside, leave],
            ...[beside, enter, end, above, end, y[lower] - boxes[lower].h / 2],
        ]);
    }
}

/** Leave out corners at which nothing turns. */
function routeTidy(points) {
    const kept = [points[0], points[1]];
    for (let at = 2; at < points.length; at += 2) {
        const [px, py] = [kept[kept.length - 2], kept[kept.length - 1]];
        const [x, y] = [points[at], points[at + 1]];
        if (Math.abs(x - px) < 0.01 && Math.abs(y - py) < 0.01) continue;
        const straight = kept.length >= 4 && Math.abs(x - px) < 0.01 && Math.abs(px - kept[kept.length - 4]) < 0.01;
        if (straight) kept.splice(kept.length - 2, 2);
        kept.push(x, y);
    }
    return kept;
}

/** Move everything so that it begins at 0, 0, and tell its size. */
function routeFramed(boxes, x, y, routes) {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    boxes.forEach(({ w, h }, at) => {
        left = Math.min(left, x[at] - w / 2);
        right = Math.max(right, x[at] + w / 2);
        top = Math.min(top, y[at] - h / 2);
        bottom = Math.max(bottom, y[at] + h / 2);
    });
    for (const points of routes) {
        for (let at = 0; at < points.length; at += 2) {
            left = Math.min(left, points[at] - 4);
            right = Math.max(right, points[at] + 4);
        }
    }
    if (left === Infinity) [left, top, right, bottom] = [0, 0, 0, 0];
    for (let at = 0; at < x.length; at++) {
        x[at] -= left;
        y[at] -= top;
    }
    for (const points of routes) {
        for (let at = 0; at < points.length; at += 2) {
            points[at] -= left;
            points[at + 1] -= top;
        }
    }
    return { x, y, width: right - left, height: bottom - top, routes };
}
