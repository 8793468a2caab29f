// How boxes and links look: their colours by family, overlay or comparison, what is faded and what stands out.

/** Decides the look of each visible box and link, and remembers it until something changes. */
class Looks {
    /**
     * @param {Graph} graph
     * @param {object[]} families Of the payload.
     */
    constructor(graph, families) {
        this.graph = graph;
        this.families = families;
        this.themeName = "light";
        this.overlay = null;
        this.scaled = null;
        this.colourOf = null;
        this.highlight = null;
        this.selection = null;
        this.hovered = null;
        this.reset();
    }

    /** Forget what was decided. */
    reset() {
        this.theme = THEMES[this.themeName];
        this.palette = this.families.map((family) => mixFamily(family, this.theme));
        this.heat = this.overlay ? heatScale(this.scaled, this.themeName) : null;
        this.boxes = new Map();
        this.links = new Map();
        this.sums = new Map();
    }

    /** @param {Box} box @returns {Look} */
    box(box) {
        let look = this.boxes.get(box.key);
        if (!look) this.boxes.set(box.key, (look = this.#decide(box)));
        return look;
    }

    #decide({ item, frame }) {
        const node = this.#nodeOf(item);
        const look = { ...this.#usual(item, node), dashed: false, faded: this.#isFaded(item), marks: [] };
        if (node?.untranslated) Object.assign(look, { dashed: true, edge: this.theme.untranslated });
        else if (item.kind === "group" && this.#someUntranslated(item.id)) look.edge = this.theme.untranslated;
        if (this.heat) this.#heated(item, look);
        if (this.colourOf) this.#coloured(item, look, frame);
        return look;
    }

    /** The operator that a box is: of a node, or of a closed control-flow operator. */
    #nodeOf(item) {
        if (item.kind === "node") return this.graph.nodes[item.id];
        const { kind, owner } = this.graph.groups[item.id];
        return kind === "operator" && owner !== undefined ? this.graph.nodes[owner] : null;
    }

    #usual(item, node) {
        const { theme } = this;
        if (!node) {
            if (!this.graph.isBackward(item.id)) return theme.module;
            return { ...theme.module, fill: theme.backward[2], edge: theme.producer, text: theme.ink };
        }
        if (node.kind !== "operator") return theme.terminal;
        const colours = this.palette[node.family] ?? theme.terminal;
        return node.backward ? { ...colours, edge: theme.producer } : colours;
    }

    #someUntranslated(group) {
        return this.graph.nodesOf(group).some((node) => this.graph.nodes[node].untranslated);
    }

    #isFaded(item) {
        if (!this.highlight) return false;
        const { nodes } = this.highlight;
        if (item.kind === "node") return !nodes.has(item.id);
        return !this.graph.nodesOf(item.id).some((node) => nodes.has(node));
    }

    #heated(item, look) {
        const [value, verdict] = this.valueOf(item);
        if (value === undefined) {
            Object.assign(look, { fill: this.theme.blank, edge: this.theme.frameEdge, text: this.theme.muted });
            return;
        }
        const fill = this.heat.colour(value, verdict);
        const known = !Number.isNaN(heatNumber(value)) || verdict === "fail";
        const text = known ? mixTextOn(fill) : this.theme.muted;
        const edge = verdict === "fail" ? this.theme.untranslated : mixColours(fill, this.theme.ink, 0.35);
        Object.assign(look, { fill, text, edge });
    }

    /**
     * What the overlay says of an item: value and verdict; of a group the largest share of a bound, or the sum.
     * The value is undefined where it says nothing.
     */
    valueOf(item) {
        if (!this.overlay) return [undefined, ""];
        if (item.kind === "node") return this.overlay.marks[item.id] ?? [undefined, ""];
        if (!this.sums.has(item.id)) this.sums.set(item.id, this.#sum(item.id));
        return this.sums.get(item.id);
    }

    #sum(group) {
        const bound = this.overlay.scale === "bound";
        let total;
        let worst = "";
        for (const node of this.graph.nodesOf(group)) {
            const mark = this.overlay.marks[node];
            if (!mark) continue;
            if (mark[1] === "fail" || (mark[1] === "unknown" && worst !== "fail") || !worst) worst = mark[1];
            const value = heatNumber(mark[0]);
            if (Number.isNaN(value)) {
                total ??= null;
                continue;
            }
            if (total === undefined || total === null) total = value;
            else total = bound ? Math.max(total, value) : total + value;
        }
        return [total, worst];
    }

    #coloured(item, look, frame) {
        const nodes = item.kind === "node" ? [item.id] : this.graph.nodesOf(item.id);
        const colours = new Set();
        let plain = false;
        for (const node of nodes) {
            const colour = this.colourOf(node);
            if (colour) colours.add(colour);
            else plain = true;
        }
        if (frame) {
            if (colours.size === 1 && !plain) look.marks = [...colours];
        } else if (colours.size === 1 && !plain) {
            const [fill] = colours;
            const hex = /^#[0-9a-f]{6}$/i.test(fill);
            Object.assign(look, { fill, text: mixTextOn(fill), edge: hex ? mixColours(fill, this.theme.ink, 0.4) : look.edge });
        } else {
            look.marks = [...colours];
        }
    }

    /** The style of a link, as draw.js names them. @param {Link} link */
    link(link) {
        let style = this.links.get(link);
        if (!style) this.links.set(link, (style = this.#style(link)));
        return style;
    }

    #style(link) {
        const { graph, selection, highlight } = this;
        if (selection?.kind === "edge" && link.edges.includes(selection.id)) return "selected";
        if (this.hovered?.kind === "edge" && link.edges.includes(this.hovered.id)) return "hovered";
        if (highlight) {
            const { nodes, edges } = highlight;
            const on = edges
                ? link.edges.some((edge) => edges.has(edge))
                : link.edges.some((edge) => nodes.has(graph.edges[edge][0]) && nodes.has(graph.edges[edge][2]));
            return on ? "path" : "faded";
        }
        if (selection?.kind === "node") {
            if (link.edges.some((edge) => graph.edges[edge][0] === selection.id)) return "out";
            if (link.edges.some((edge) => graph.edges[edge][2] === selection.id)) return "in";
        } else if (selection?.kind === "group") {
            const within = (node) => graph.holds(selection.id, graph.nodes[node].group);
            for (const edge of link.edges) {
                const [from, to] = [within(graph.edges[edge][0]), within(graph.edges[edge][2])];
                if (from !== to) return from ? "out" : "in";
            }
        }
        const [tail, , head, , kind] = graph.edges[link.edges[0]];
        if (kind === "body") return "body";
        return graph.nodes[head].backward && !graph.nodes[tail].backward ? "kept" : "plain";
    }
}
