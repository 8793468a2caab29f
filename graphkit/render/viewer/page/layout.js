// The layout of nested groups: each open group lays out its own children, and lines enter and leave it at ports.

/**
 * A visible box in world coordinates (x, y: its upper left corner). An open group is a frame; what is drawn in it has a
 * greater `depth`.
 * @typedef {{item: Item, key: string, x: number, y: number, w: number, h: number, frame: boolean, depth: number}} Box
 *
 * A visible line: corners [x0, y0, …], the edges it stands for, the boxes at its ends (null for a port on a frame).
 * @typedef {{points: Float64Array, edges: number[], tail: Item|null, head: Item|null, box: number[], label: string,
 *     labelTurned: boolean, shared: number}} Link
 */

const layoutPad = { side: 16, title: 40, bottom: 16 };
/** Values that enter or leave a frame one by one; more share ports by where they come from or go to, or all share one. */
const layoutPorts = { values: 16, places: 40 };

/** Name of an item in maps. */
function layoutKey(item) {
    return (item.kind === "node" ? "n" : item.kind === "group" ? "g" : "e") + item.id;
}

/** Note how many corners each link shares with a longer one from the same place, so that they are drawn once. */
function layoutShared(links, sideways) {
    const across = sideways ? 1 : 0;
    const starts = new Map();
    for (const link of links) {
        link.shared = 0;
        const key = `${link.points[0]} ${link.points[1]}`;
        if (!starts.has(key)) starts.set(key, []);
        starts.get(key).push(link);
    }
    for (const bundle of starts.values()) {
        if (bundle.length < 2) continue;
        const end = ({ points }) => points[points.length - 1 - across];
        bundle.sort((a, b) => end(b) - end(a));
        for (let at = 1; at < bundle.length; at++) {
            const [longer, own] = [bundle[at - 1].points, bundle[at].points];
            let same = 0;
            while (same < own.length && own[same] === longer[same] && own[same + 1] === longer[same + 1]) same += 2;
            // Where both run on straight, the shorter one turns off before the longer one has its next corner.
            const last = own[same - 2 + across];
            const straight =
                same > 0 &&
                own[same + across] === last &&
                longer[same + across] === last &&
                own[same + 1 - across] <= longer[same + 1 - across];
            bundle[at].shared = Math.max(0, same / 2 - (straight ? 0 : 1));
        }
    }
}

/** Lays out what is open of a graph. */
class Layout {
    /**
     * @param {Graph} graph
     * @param {BoxMeter} meter
     */
    constructor(graph, meter) {
        this.graph = graph;
        this.meter = meter;
        this.direction = "TB";
        /** Open groups; the whole graph is always open. @type {Set<number>} */
        this.expanded = new Set();
        this.levels = new Map();
        this.projections = new Map();
    }

    /** @param {"TB"|"LR"} direction */
    turn(direction) {
        if (this.direction !== direction) this.levels.clear();
        this.direction = direction;
    }

    /** Open or close a group. What is inside it, and beside it, keeps its layout. */
    set(group, open) {
        if (open === this.expanded.has(group)) return;
        if (open) this.expanded.add(group);
        else this.expanded.delete(group);
        for (let g = this.graph.groups[group].parent; g >= 0; g = this.graph.groups[g].parent) this.levels.delete(g);
    }

    /**
     * What the edges of a group are to its children: between them, into it, out of it.
     * Ports are numbers: the value they carry, or, negative, what is beside the group that it comes from or goes to, or
     * -1 for all of them.
     */
    #project(group) {
        const known = this.projections.get(group);
        if (known) return known;
        const { graph } = this;
        const children = graph.children(group);
        const index = new Map(children.map((item, at) => [layoutKey(item), at]));
        const childOf = new Map();
        for (const item of children) {
            const at = index.get(layoutKey(item));
            if (item.kind === "node") childOf.set(item.id, at);
            else for (const node of graph.nodesOf(item.id)) childOf.set(node, at);
        }
        const [inner, ins, outs] = [[], [], []];
        for (const [node, at] of childOf) {
            for (const edge of graph.outgoing(node)) {
                const to = childOf.get(graph.edges[edge][2]);
                if (to === undefined) outs.push({ edge, at });
                else if (to !== at) inner.push({ edge, from: at, to });
            }
            for (const edge of graph.incoming(node)) {
                if (!childOf.has(graph.edges[edge][0])) ins.push({ edge, at });
            }
        }
        const projection = { children, inner, ins: this.#ports(ins, group, 0), outs: this.#ports(outs, group, 2) };
        this.projections.set(group, projection);
        return projection;
    }

    #ports(ends, group, other) {
        const value = (edge) => this.graph.edges[edge][0] * 1024 + Math.min(1023, this.graph.edges[edge][1]);
        const portsBy = (key) => new Map(ends.map(({ edge }) => [edge, key(edge)]));
        const count = (portOf) => new Set(portOf.values()).size;
        let portOf = portsBy(value);
        if (count(portOf) > layoutPorts.values) {
            portOf = portsBy((edge) => this.#beside(group, this.graph.edges[edge][other]));
            if (count(portOf) > layoutPorts.places) portOf = portsBy(() => -1);
        }
        return { ends, portOf, ports: [...new Set(portOf.values())] };
    }

    /** A negative number for the box beside `group`, or beside what holds it, in which a node is. */
    #beside(group, node) {
        let outer = this.graph.groups[group].parent;
        while (outer > 0 && !this.graph.childHolding(outer, node)) outer = this.graph.groups[outer].parent;
        const item = this.graph.childHolding(outer, node);
        return item.kind === "node" ? -2 - 2 * item.id : -3 - 2 * item.id;
    }

    /** The layout of one open group in its own coordinates. */
    #level(group) {
        const known = this.levels.get(group);
        if (known) return known;
        const { children, inner, ins, outs } = this.#project(group);
        const sideways = this.direction === "LR";
        const inside = children.map((item) => (this.#isOpen(item) ? this.#level(item.id) : null));
        const sizes = children.map((item, at) => inside[at] ?? this.meter.box(item));
        const boxes = sizes.map(({ w, h }, at) => {
            const [width, height] = sideways ? [h, w] : [w, h];
            return { w: width, h: height, pin: 0, frame: inside[at] !== null };
        });
        const inPort = new Map(ins.ports.map((port, at) => [port, boxes.length + at]));
        for (const _ of ins.ports) boxes.push({ w: 6, h: 0, pin: -1, frame: false });
        const outPort = new Map(outs.ports.map((port, at) => [port, boxes.length + at]));
        for (const _ of outs.ports) boxes.push({ w: 6, h: 0, pin: 1, frame: false });
        const lines = new Map();
        const join = (edge, tail, head) => {
            const portOut = inside[tail] ? this.#project(children[tail].id).outs.portOf.get(edge) : undefined;
            const portIn = inside[head] ? this.#project(children[head].id).ins.portOf.get(edge) : undefined;
            const key = `${tail} ${portOut} ${head} ${portIn}`;
            const line = lines.get(key);
            if (line) {
                line.edges.push(edge);
                return;
            }
            const [from, output] = this.graph.edges[edge];
            lines.set(key, {
                tail,
                head,
                tailAt: inside[tail] ? inside[tail].outAt.get(portOut) : tail >= children.length ? 0 : null,
                headAt: inside[head] ? inside[head].inAt.get(portIn) : head >= children.length ? 0 : null,
                tailKey: portOut ?? (tail < children.length ? from * 1024 + output : -1),
                edges: [edge],
                label: "",
                labelTurned: false,
                wide: 0,
                room: 0,
            });
        };
        for (const { edge, from, to } of inner) join(edge, from, to);
        for (const { edge, at } of ins.ends) join(edge, inPort.get(ins.portOf.get(edge)), at);
        for (const { edge, at } of outs.ends) join(edge, at, outPort.get(outs.portOf.get(edge)));
        const list = [...lines.values()];
        for (const line of list) {
            if (line.tail >= children.length || inside[line.tail]) continue;
            line.label = this.#label(line.edges);
            line.wide = line.label ? 10 + this.meter.text.width(line.label, measureFonts.edge) : 0;
            if (sideways) line.room = Math.min(150, line.wide + 16);
        }
        const level = this.#framed(group, children, inside, sizes, list, layered(boxes, list), inPort, outPort);
        this.levels.set(group, level);
        return level;
    }

    #isOpen(item) {
        return item.kind === "group" && this.expanded.has(item.id);
    }

    /** Turn a layered layout into a level: with a frame around it, its ports on the frame. */
    #framed(group, children, inside, sizes, lines, flat, inPort, outPort) {
        const sideways = this.direction === "LR";
        const [contentW, contentH] = sideways ? [flat.height, flat.width] : [flat.width, flat.height];
        const pad = group === 0 ? { side: 0, title: 0, bottom: 0 } : layoutPad;
        const room = this.#labelRoom(lines, flat.routes, sideways);
        const spread = sideways ? [0, 0] : room;
        const start = Math.max(0, -spread[0]);
        const right = start + Math.max(contentW, spread[1]);
        const least = group === 0 ? 0 : this.meter.frame(group).w;
        const left = start + pad.side + Math.max(0, least - right - 2 * pad.side) / 2;
        const w = Math.max(right + 2 * pad.side, least);
        const h = contentH + pad.title + pad.bottom;
        const x = (at) => (sideways ? flat.y[at] : flat.x[at]) + left;
        const y = (at) => (sideways ? flat.x[at] : flat.y[at]) + pad.title;
        const placed = children.map((item, at) => ({
            item,
            level: inside[at],
            x: x(at) - sizes[at].w / 2,
            y: y(at) - sizes[at].h / 2,
            w: sizes[at].w,
            h: sizes[at].h,
        }));
        const links = [];
        lines.forEach((line, number) => {
            const route = flat.routes[number];
            if (!route.length) return;
            const points = new Float64Array(route.length);
            for (let at = 0; at < route.length; at += 2) {
                points[at] = (sideways ? route[at + 1] : route[at]) + left;
                points[at + 1] = (sideways ? route[at] : route[at + 1]) + pad.title;
            }
            const along = sideways ? 0 : 1;
            if (line.tail >= children.length) points[along] = 0;
            if (line.head >= children.length) points[points.length - 2 + along] = sideways ? w : h;
            const end = (at) => (at < children.length && !inside[at] ? children[at] : null);
            const { edges, label, labelTurned } = line;
            links.push({ points, edges, tail: end(line.tail), head: end(line.head), label, labelTurned });
        });
        layoutShared(links, sideways);
        const offset = (at) => (sideways ? y(at) - h / 2 : x(at) - w / 2);
        const inAt = new Map([...inPort].map(([port, at]) => [port, offset(at)]));
        const outAt = new Map([...outPort].map(([port, at]) => [port, offset(at)]));
        return { w, h, placed, links, inAt, outAt };
    }

    /**
     * Put what is written beside lines on the side that they do not turn to where they begin: usually on the right or,
     * where the flow is to the right, above.
     * @returns {[number, number]} How far it reaches to the left and to the right.
     */
    #labelRoom(lines, routes, sideways) {
        const turns = new Map();
        lines.forEach(({ label, tail }, number) => {
            const [x, y, next, below, after] = routes[number];
            if (!label || x === undefined) return;
            const at = next === x && below - y < 12 ? (after ?? next) : next;
            const key = `${tail} ${x}`;
            const seen = turns.get(key) ?? { left: false, right: false };
            turns.set(key, { left: seen.left || at < x - 1, right: seen.right || at > x + 1 });
        });
        let [low, high] = [0, 0];
        lines.forEach((line, number) => {
            const [x] = routes[number];
            if (!line.label || x === undefined) return;
            const { left, right } = turns.get(`${line.tail} ${x}`);
            line.labelTurned = sideways ? left && !right : right && !left;
            if (line.labelTurned) low = Math.min(low, x - line.wide);
            else high = Math.max(high, x + line.wide);
        });
        return [low, high];
    }

    /** All visible boxes, frames before what is in them, and lines. @returns {{boxes: Box[], links: Link[]}} */
    arrange() {
        const boxes = [];
        const links = [];
        const add = (level, left, top, depth) => {
            for (const { item, level: inner, x, y, w, h } of level.placed) {
                const [bx, by] = [left + x, top + y];
                boxes.push({ item, key: layoutKey(item), x: bx, y: by, w, h, frame: inner !== null, depth });
                if (inner) add(inner, bx, by, depth + 1);
            }
            for (const link of level.links) links.push(this.#moved(link, left, top));
        };
        add(this.#level(0), 0, 0, 0);
        return { boxes, links };
    }

    #moved({ points, edges, tail, head, label, labelTurned, shared }, left, top) {
        const moved = new Float64Array(points.length);
        let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
        for (let at = 0; at < points.length; at += 2) {
            const x = (moved[at] = points[at] + left);
            const y = (moved[at + 1] = points[at + 1] + top);
            if (x < x0) x0 = x;
            if (x > x1) x1 = x;
            if (y < y0) y0 = y;
            if (y > y1) y1 = y;
        }
        return { points: moved, edges, tail, head, box: [x0, y0, x1, y1], label, labelTurned, shared };
    }

    /** What is written beside a line where it begins: its shape, or how many values it carries. */
    #label(edges) {
        const values = new Set(edges.map((edge) => this.graph.edges[edge].slice(0, 2).join(" ")));
        if (values.size > 1) return `${values.size} values`;
        const [tail, output] = this.graph.edges[edges[0]];
        const [, dtype, shape] = this.graph.nodes[tail].outputs?.[output] ?? [];
        const told = textLine(shape ?? "", 32);
        return dtype && dtype !== "float32" ? `${textLine(dtype, 24)} ${told}`.trim() : told;
    }
}
