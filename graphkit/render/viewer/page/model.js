// The graph that a page shows: its nodes, edges and nested groups, and questions about them.

/**
 * What can be selected: a node, a group or an edge of the payload, by number.
 * @typedef {{kind: "node"|"group"|"edge", id: number}} Item
 */

/**
 * A path through the graph. `direction` tells whether it follows the edges ("down"), goes against them ("up"), or
 * both ("any").
 * @typedef {{nodes: number[], edges: number[], direction: "down"|"up"|"any"}} Path
 */

/** One graph of the payload, indexed for looking around in it. */
class Graph {
    /** @param {object} data A graph of the payload. */
    constructor(data) {
        this.data = data;
        this.title = data.title ?? "";
        this.nodes = data.nodes;
        this.groups = data.groups;
        this.edges = data.edges;
        this.parameters = data.parameters ?? [];
        this.overlays = data.overlays ?? [];
        this.#indexEdges();
        this.#indexGroups();
    }

    #indexEdges() {
        const count = this.nodes.length;
        const outStart = new Int32Array(count + 1);
        const inStart = new Int32Array(count + 1);
        for (const [tail, , head] of this.edges) {
            outStart[tail + 1]++;
            inStart[head + 1]++;
        }
        for (let node = 0; node < count; node++) {
            outStart[node + 1] += outStart[node];
            inStart[node + 1] += inStart[node];
        }
        const outgoing = new Int32Array(this.edges.length);
        const incoming = new Int32Array(this.edges.length);
        const outNext = outStart.slice();
        const inNext = inStart.slice();
        this.edges.forEach(([tail, , head], edge) => {
            outgoing[outNext[tail]++] = edge;
            incoming[inNext[head]++] = edge;
        });
        this.out = { start: outStart, edges: outgoing };
        this.in = { start: inStart, edges: incoming };
    }

    #indexGroups() {
        const count = this.groups.length;
        this.items = Array.from({ length: count }, () => []);
        const first = new Float64Array(count).fill(Infinity);
        this.nodes.forEach(({ group }, node) => {
            for (let g = group; g >= 0 && first[g] > node; g = this.groups[g].parent) first[g] = node;
        });
        this.nodes.forEach(({ group }, node) => this.items[group].push({ kind: "node", id: node }));
        for (let group = 1; group < count; group++) {
            if (first[group] < Infinity) this.items[this.groups[group].parent].push({ kind: "group", id: group });
        }
        const position = (item) => (item.kind === "node" ? item.id : first[item.id] - 0.5);
        for (const items of this.items) items.sort((a, b) => position(a) - position(b));
        // All nodes of a group lie side by side in `sequence`.
        this.sequence = new Int32Array(this.nodes.length);
        this.range = { start: new Int32Array(count), end: new Int32Array(count) };
        let next = 0;
        const stack = [{ group: 0, at: 0 }];
        while (stack.length) {
            const top = stack[stack.length - 1];
            if (top.at === 0) this.range.start[top.group] = next;
            if (top.at === this.items[top.group].length) {
                this.range.end[top.group] = next;
                stack.pop();
                continue;
            }
            const item = this.items[top.group][top.at++];
            if (item.kind === "node") this.sequence[next++] = item.id;
            else stack.push({ group: item.id, at: 0 });
        }
        this.depth = new Int32Array(count);
        for (let group = 1; group < count; group++) this.depth[group] = this.depth[this.groups[group].parent] + 1;
        this.backwardGroups = new Map();
    }

    /** Nodes and groups directly inside a group, in topological order. @returns {Item[]} */
    children(group) {
        return this.items[group];
    }

    /** All nodes inside a group, at any depth. */
    nodesOf(group) {
        return this.sequence.subarray(this.range.start[group], this.range.end[group]);
    }

    /** The group that holds an item directly; -1 for the whole graph. */
    parentOf(item) {
        return item.kind === "node" ? this.nodes[item.id].group : this.groups[item.id].parent;
    }

    /** Groups from the outermost (the whole graph left out) to `group` itself. */
    path(group) {
        const found = [];
        for (let g = group; g > 0; g = this.groups[g].parent) found.push(g);
        return found.reverse();
    }

    /** Whether `inner` is `outer` or inside it. */
    holds(outer, inner) {
        let group = inner;
        while (group >= 0 && this.depth[group] > this.depth[outer]) group = this.groups[group].parent;
        return group === outer;
    }

    /** The child of `group` that is or holds a node; null where the node is outside. @returns {Item|null} */
    childHolding(group, node) {
        let inner = this.nodes[node].group;
        if (inner === group) return { kind: "node", id: node };
        while (inner >= 0 && this.groups[inner].parent !== group) inner = this.groups[inner].parent;
        return inner < 0 ? null : { kind: "group", id: inner };
    }

    /** Whether all of a group computes gradients. */
    isBackward(group) {
        if (!this.backwardGroups.has(group)) {
            const nodes = this.nodesOf(group);
            this.backwardGroups.set(group, nodes.length > 0 && nodes.every((node) => this.nodes[node].backward));
        }
        return this.backwardGroups.get(group);
    }

    /** Numbers of the edges that leave a node. */
    outgoing(node) {
        return this.out.edges.subarray(this.out.start[node], this.out.start[node + 1]);
    }

    /** Numbers of the edges that enter a node. */
    incoming(node) {
        return this.in.edges.subarray(this.in.start[node], this.in.start[node + 1]);
    }

    /** The node and everything that its result depends on. @returns {Set<number>} */
    ancestors(node) {
        return this.#reach(node, this.in, 0);
    }

    /** The node and everything that depends on it. @returns {Set<number>} */
    descendants(node) {
        return this.#reach(node, this.out, 2);
    }

    #reach(node, side, end) {
        const found = new Set([node]);
        const stack = [node];
        while (stack.length) {
            const at = stack.pop();
            for (let i = side.start[at]; i < side.start[at + 1]; i++) {
                const next = this.edges[side.edges[i]][end];
                if (!found.has(next)) {
                    found.add(next);
                    stack.push(next);
                }
            }
        }
        return found;
    }

    /**
     * The shortest path from `a` to `b` along edges, else from `b` to `a`, else one that disregards directions.
     * @returns {Path|null} Its nodes begin with `a`; null where nothing connects them.
     */
    shortestPath(a, b) {
        const down = this.#search(a, b, true, false);
        if (down) return { ...down, direction: "down" };
        const up = this.#search(a, b, false, true);
        if (up) return { ...up, direction: "up" };
        const any = this.#search(a, b, true, true);
        return any && { ...any, direction: "any" };
    }

    #search(a, b, forwards, backwards) {
        const via = new Map([[a, -1]]);
        const queue = [a];
        const visit = (edge, next) => {
            if (via.has(next)) return;
            via.set(next, edge);
            queue.push(next);
        };
        for (let at = 0; at < queue.length && !via.has(b); at++) {
            const node = queue[at];
            if (forwards) for (const edge of this.outgoing(node)) visit(edge, this.edges[edge][2]);
            if (backwards) for (const edge of this.incoming(node)) visit(edge, this.edges[edge][0]);
        }
        if (!via.has(b)) return null;
        const nodes = [b];
        const edges = [];
        for (let node = b; node !== a; ) {
            const edge = via.get(node);
            const [tail, , head] = this.edges[edge];
            node = tail === node ? head : tail;
            nodes.push(node);
            edges.push(edge);
        }
        return { nodes: nodes.reverse(), edges: edges.reverse() };
    }

    /** The nodes so that tails come before heads; edges that close a cycle are disregarded. @returns {Int32Array} */
    topological() {
        const count = this.nodes.length;
        const waiting = new Int32Array(count);
        for (const [, , head] of this.edges) waiting[head]++;
        const order = new Int32Array(count);
        const done = new Uint8Array(count);
        let end = 0;
        const add = (node) => {
            done[node] = 1;
            order[end++] = node;
        };
        for (let node = 0; node < count; node++) if (!waiting[node]) add(node);
        let oldest = 0;
        for (let at = 0; at < count; at++) {
            if (at === end) {
                while (done[oldest]) oldest++;
                add(oldest);
            }
            for (const edge of this.outgoing(order[at])) {
                const head = this.edges[edge][2];
                if (!done[head] && --waiting[head] === 0) add(head);
            }
        }
        return order;
    }

    /**
     * The path whose nodes weigh most together.
     * @param {(node: number) => number} [weightOf] A node's weight, at least 0; 1 for each operator if left out.
     * @returns {{nodes: number[], edges: number[], total: number}|null} Null for a graph without nodes.
     */
    criticalPath(weightOf = (node) => (this.nodes[node].kind === "operator" ? 1 : 0)) {
        const count = this.nodes.length;
        if (!count) return null;
        const best = new Float64Array(count);
        const length = new Int32Array(count);
        const via = new Int32Array(count).fill(-1);
        const seen = new Uint8Array(count);
        let last = -1;
        for (const node of this.topological()) {
            for (const edge of this.incoming(node)) {
                const tail = this.edges[edge][0];
                if (!seen[tail]) continue;
                if (best[tail] > best[node] || (best[tail] === best[node] && length[tail] >= length[node])) {
                    best[node] = best[tail];
                    length[node] = length[tail] + 1;
                    via[node] = edge;
                }
            }
            const weight = weightOf(node);
            best[node] += weight > 0 ? weight : 0;
            seen[node] = 1;
            if (last < 0 || best[node] > best[last] || (best[node] === best[last] && length[node] > length[last])) last = node;
        }
        const nodes = [last];
        const edges = [];
        for (let node = last; via[node] >= 0; ) {
            edges.push(via[node]);
            node = this.edges[via[node]][0];
            nodes.push(node);
        }
        return { nodes: nodes.reverse(), edges: edges.reverse(), total: best[last] };
    }
}
