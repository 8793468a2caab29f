// Questions of space: what is where, how large everything is, what lies next to what, where there is room.

/** An index of things by their rectangles; null where there is nothing. */
function sceneIndex(things, rectangle) {
    if (!things.length) return null;
    const index = new libraries.Flatbush(things.length);
    for (const thing of things) {
        const [x0, y0, x1, y1] = rectangle(thing);
        index.add(x0, y0, x1, y1);
    }
    index.finish();
    return index;
}

/**
 * Decide where the words beside lines stand: `labelX`, `labelY` of a link are where they begin or, to the left of the
 * line, end. They keep clear of boxes and of each other; those for which there is no room are not shown.
 */
function spaceLabels({ links, boxes, boxIndex, meter, layout }) {
    const sideways = layout.direction === "LR";
    const ends = new Map();
    const told = links.filter(({ label }) => label).sort((a, b) => a.points[0] - b.points[0]);
    for (const link of links) link.labelY = NaN;
    for (const link of told) {
        const { points, labelTurned } = link;
        const labelLeft = labelTurned && !sideways;
        const width = meter.text.width(link.label, measureFonts.edge);
        link.labelX = points[0] + (sideways ? 7 : labelLeft ? -6 : 6);
        link.labelAlign = labelLeft ? "right" : "left";
        const left = labelLeft ? link.labelX - width : link.labelX;
        const y = spaceClear(link, left, width, boxes, boxIndex, sideways);
        const row = Math.round(y);
        if (Number.isNaN(y) || left < (ends.get(row) ?? -Infinity)) continue;
        link.labelY = y;
        ends.set(row, left + width + 6);
    }
}

/** The height at which the words beside a link meet no box: where it begins, or further down; NaN for none. */
function spaceClear({ points, labelTurned }, left, width, boxes, boxIndex, sideways) {
    let y = points[1] + (!sideways ? 11 : labelTurned ? 9 : -7);
    const lowest = sideways ? y : points[2] === points[0] ? Math.max(y, points[3] - 6) : y;
    for (let turn = 0; turn < 4; turn++) {
        let below = y;
        for (const at of boxIndex.search(left, y - 5, left + width, y + 5)) {
            const box = boxes[at];
            const around = box.x < left && box.y < y - 5 && box.x + box.w > left + width && box.y + box.h > y + 5;
            if (!box.frame || !around) below = Math.max(below, box.y + box.h + 8);
        }
        if (below === y) return y;
        if (below > lowest) return NaN;
        y = below;
    }
    return NaN;
}

/** The rectangle around all boxes and links. */
function sceneBounds(boxes, links) {
    const bounds = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
    const include = (x0, y0, x1, y1) => {
        if (x0 < bounds.x0) bounds.x0 = x0;
        if (y0 < bounds.y0) bounds.y0 = y0;
        if (x1 > bounds.x1) bounds.x1 = x1;
        if (y1 > bounds.y1) bounds.y1 = y1;
    };
    for (const { x, y, w, h } of boxes) include(x, y, x + w, y + h);
    for (const { box } of links) include(box[0], box[1], box[2], box[3]);
    return boxes.length ? bounds : { x0: 0, y0: 0, x1: 1, y1: 1 };
}

/** The view that shows bounds in the middle of a host, at most at scale `largest`. */
function sceneFit({ x0, y0, x1, y1 }, { w, h }, largest) {
    const margin = Math.min(32, w / 10, h / 10);
    const k = Math.max(0.002, Math.min(largest, (w - 2 * margin) / (x1 - x0), (h - 2 * margin) / (y1 - y0)));
    return { x: w / 2 - ((x0 + x1) / 2) * k, y: h / 2 - ((y0 + y1) / 2) * k, k };
}

/** The view in which everything is visible if that can be read, else one of where the graph begins. */
function sceneHome({ bounds, size, boxes, layout }) {
    const whole = sceneFit(bounds, size, 1.25);
    const readable = 0.7;
    if (whole.k >= readable || !boxes.length) return whole;
    const { x0, y0, x1, y1 } = bounds;
    const sideways = layout.direction === "LR";
    const fits = sideways ? size.h / (y1 - y0 + 60) : size.w / (x1 - x0 + 60);
    const k = Math.max(readable, Math.min(0.9, fits));
    const start = boxes.find(({ frame }) => !frame) ?? boxes[0];
    const middle = fits < readable ? sceneCentre(start) : [(x0 + x1) / 2, (y0 + y1) / 2];
    if (sideways) return { x: 32 - x0 * k, y: size.h / 2 - middle[1] * k, k };
    return { x: size.w / 2 - middle[0] * k, y: 32 - y0 * k, k };
}

/**
 * What is at a point of the world: the innermost box, else a line within `reach`, else an open group.
 * @returns {{item: Item, edges?: number[], part: "box"|"title"|"opener"|"line"|"frame"}|null}
 */
function sceneHit(scene, x, y, reach) {
    if (!scene.boxIndex) return null;
    const found = scene.boxIndex.search(x, y, x, y).map((at) => scene.boxes[at]);
    found.sort((a, b) => b.depth - a.depth);
    const [top] = found;
    if (top && !top.frame) {
        const opener = top.item.kind === "group" && x > top.x + top.w - 22 && y < top.y + scene.meter.box(top.item).head;
        return { item: top.item, part: opener ? "opener" : "box" };
    }
    const title = top && y < top.y + measureBoxes.frame;
    if (title) {
        const width = scene.meter.frame(top.item.id).w;
        const left = paintTitleLeft(top, scene.view()[0], width);
        if (x >= left && x < left + width) return { item: top.item, part: "title" };
    }
    const link = sceneNearest(scene, x, y, reach);
    if (link) return { item: { kind: "edge", id: link.edges[0] }, edges: link.edges, part: "line" };
    return top ? { item: top.item, part: title ? "title" : "frame" } : null;
}

/** The link that comes nearest to a point, if within `reach`. */
function sceneNearest(scene, x, y, reach) {
    if (!scene.linkIndex) return null;
    const sideways = scene.layout.direction === "LR";
    let [best, near] = [null, reach];
    for (const at of scene.linkIndex.search(x - reach, y - reach, x + reach, y + reach)) {
        const distance = sceneDistance(scene.links[at].points, x, y, sideways);
        if (distance < near) [best, near] = [scene.links[at], distance];
    }
    return best;
}

/** Distance of a point from a line as draw.js draws it. */
function sceneDistance(points, x, y, sideways) {
    let least = Infinity;
    for (let at = 2; at < points.length; at += 2) {
        const [px, py, qx, qy] = [points[at - 2], points[at - 1], points[at], points[at + 1]];
        const straight = Math.abs(sideways ? qy - py : qx - px) < 0.5;
        const reach = straight ? 0 : paintReach(points, at, sideways);
        const way = sideways ? qx - px : qy - py;
        const steps = straight ? 1 : 12;
        let [ax, ay] = [px, py];
        for (let step = 1; step <= steps; step++) {
            const t = step / steps;
            // A cubic Bézier curve both of whose inner control points lie at `reach` along the flow.
            const along = straight ? t * way : 3 * t * (1 - t) * reach + t ** 3 * way;
            const across = straight ? t : t * t * (3 - 2 * t);
            const bx = px + (sideways ? along : (qx - px) * across);
            const by = py + (sideways ? (qy - py) * across : along);
            least = Math.min(least, sceneSegment(ax, ay, bx, by, x, y));
            [ax, ay] = [bx, by];
        }
    }
    return least;
}

function sceneSegment(ax, ay, bx, by, x, y) {
    const length = (bx - ax) ** 2 + (by - ay) ** 2;
    const t = length ? Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length)) : 0;
    return Math.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay));
}

/** Along the flow to what an edge leads to; across it to the next box in that direction. */
function sceneNeighbour(scene, item, way) {
    const flow = scene.layout.direction === "LR" ? { right: 1, left: -1 } : { down: 1, up: -1 };
    const from = scene.box(item?.kind === "edge" ? { kind: "node", id: scene.graph.edges[item.id][0] } : item);
    if (!from) return scene.boxes[0]?.item ?? null;
    const along = flow[way] ? sceneConnected(scene, from, flow[way]) : [];
    if (along.length) return sceneClosest(from, along).item;
    const beside = scene.boxes.filter((box) => box !== from && !box.frame && sceneLies(from, box, way));
    return beside.length && !flow[way] ? sceneClosest(from, beside).item : null;
}

/** Boxes that edges lead to from a box (`sign` 1) or come from (-1). */
function sceneConnected(scene, from, sign) {
    const { graph } = scene;
    const nodes = from.item.kind === "node" ? [from.item.id] : graph.nodesOf(from.item.id);
    const found = new Set();
    for (const node of nodes) {
        for (const edge of sign > 0 ? graph.outgoing(node) : graph.incoming(node)) {
            const other = graph.edges[edge][sign > 0 ? 2 : 0];
            if (from.item.kind === "group" && graph.holds(from.item.id, graph.nodes[other].group)) continue;
            found.add(scene.box({ kind: "node", id: other }));
        }
    }
    found.delete(from);
    found.delete(null);
    return [...found];
}

function sceneCentre({ x, y, w, h }) {
    return [x + w / 2, y + h / 2];
}

function sceneClosest(from, boxes) {
    const [x, y] = sceneCentre(from);
    const distance = (box) => Math.hypot(sceneCentre(box)[0] - x, sceneCentre(box)[1] - y);
    return boxes.reduce((best, box) => (distance(box) < distance(best) ? box : best));
}

/** Whether a box lies in a direction, rather than across it. */
function sceneLies(from, box, way) {
    const [dx, dy] = [sceneCentre(box)[0] - sceneCentre(from)[0], sceneCentre(box)[1] - sceneCentre(from)[1]];
    if (way === "left" || way === "right") return (way === "left" ? dx < 0 : dx > 0) && Math.abs(dy) <= Math.abs(dx);
    return (way === "up" ? dy < 0 : dy > 0) && Math.abs(dx) <= Math.abs(dy);
}
