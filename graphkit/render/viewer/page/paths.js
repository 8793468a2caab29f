// What a node depends on, what depends on it, and paths.

class Paths {
    /** @param {Viewer} viewer @param {Heat} heat */
    constructor(viewer, heat) {
        this.viewer = viewer;
        this.heat = heat;
        this.chip = byId("chip");
        this.menu = byId("paths-menu");
        /** Where a path begins whose end is to be picked. @type {{index: number, node: number}|null} */
        this.start = null;
        /** What is shown. @type {{index: number, nodes: number[]}|null} */
        this.shown = null;
        this.menu.addEventListener("beforetoggle", () => this.fillMenu());
        viewer.addEventListener("choose", (event) => this.picked(event.detail));
    }

    /** The node that tools begin at. */
    get node() {
        const { chosen, graph } = this.viewer;
        return chosen?.kind === "node" ? chosen.id : chosen?.kind === "edge" ? graph.edges[chosen.id][0] : null;
    }

    fillMenu() {
        const { active: index } = this.viewer;
        const { node } = this;
        const overlay = this.heat.overlays[index];
        const need = node === null ? "Choose a node first" : "";
        const entry = (text, key, act, why = "") =>
            make(
                "button",
                {
                    type: "button",
                    role: "menuitem",
                    disabled: Boolean(why),
                    title: why || null,
                    click: () => {
                        this.menu.hidePopover();
                        act();
                    },
                },
                make("span", {}, text),
                key ? make("kbd", {}, key) : null,
            );
        this.menu.replaceChildren(
            entry("Ancestors", "a", () => this.reach("ancestors", index, node), need),
            entry("Descendants", "s", () => this.reach("descendants", index, node), need),
            entry("Shortest path to…", "t", () => this.pick(index, node), need),
            make("hr"),
            entry(
                overlay && overlay.scale !== "bound" ? `Critical path by ${short(overlay.title, 30)}` : "Longest path",
                "w",
                () => this.critical(index),
            ),
            make("hr"),
            entry("Clear", "Esc", () => this.clear(), this.shown ? "" : "No path is shown"),
        );
    }

    /** @param {"ancestors"|"descendants"} side */
    reach(side, index, node) {
        const graph = this.viewer.graphs[index];
        const found = graph[side](node);
        const nodes = [...found].sort((one, two) => one - two);
        const word = side === "ancestors" ? "Ancestors" : "Descendants";
        this.show(
            index,
            nodes,
            `${word} of ${short(calledNode(graph.nodes[node]), 40)}: ${counted(nodes.length - 1, "node")}`,
        );
    }

    /** Lets the reader pick the end of a path. */
    pick(index, node) {
        this.clear();
        this.start = { index, node };
        const name = short(calledNode(this.viewer.graphs[index].nodes[node]), 40);
        this.tell(`Path from ${name}: choose its other end`, true);
    }

    picked({ index, item }) {
        if (!this.start || item?.kind !== "node" || index !== this.start.index) return;
        const { node } = this.start;
        if (item.id === node) return;
        this.start = null;
        this.between(index, node, item.id);
    }

    between(index, one, two) {
        const graph = this.viewer.graphs[index];
        const [from, to] = [one, two].map((node) => short(calledNode(graph.nodes[node]), 30));
        const found = graph.shortestPath(one, two);
        if (!found) {
            this.tell(`Nothing connects ${from} and ${to}`, false);
            return;
        }
        const how = { down: "", up: " (against the arrows)", any: " (no path along the arrows)" }[found.direction];
        this.show(index, found.nodes, `${from} → ${to}: ${counted(found.nodes.length - 1, "step")}${how}`, found.edges);
    }

    critical(index) {
        const graph = this.viewer.graphs[index];
        const overlay = this.heat.overlays[index];
        const weighed = overlay && overlay.scale !== "bound";
        const weightOf = (node) => {
            const value = real(overlay.marks[node]?.[0] ?? 0);
            return value > 0 ? value : 0;
        };
        const found = weighed ? graph.criticalPath(weightOf) : graph.criticalPath();
        if (!found) return;
        const total = weighed
            ? `${quantity(found.total, overlay.unit)} of ${short(overlay.title, 30)}`
            : counted(found.total, "operator");
        this.show(
            index,
            found.nodes,
            `${weighed ? "Critical path" : "Longest path"}: ${counted(found.nodes.length, "node")}, ${total}`,
            found.edges,
        );
    }

    /**
     * Lets nodes stand out.
     * @param {number} index Which graph.
     * @param {number[]} nodes In order.
     * @param {string} title What they are.
     * @param {number[]} [edges] All between the nodes if left out.
     */
    show(index, nodes, title, edges) {
        this.start = null;
        if (this.shown && this.shown.index !== index) this.viewer.emphasise("path", this.shown.index, null);
        this.shown = { index, nodes };
        const held = new Set(nodes);
        const { edges: all } = this.viewer.graphs[index];
        const between =
            edges ?? all.flatMap(([tail, , head], edge) => (held.has(tail) && held.has(head) ? [edge] : []));
        this.viewer.emphasise("path", index, { nodes: held, edges: new Set(between) });
        this.tell(title, false);
    }

    tell(text, waiting) {
        this.chip.replaceChildren(
            icon("path"),
            make("span", { class: "text" }, text),
            ...(this.shown && !waiting ? steppers("node", (by) => this.step(by)) : []),
            tool("close", "Clear (Esc)", () => this.clear()),
        );
        this.chip.hidden = false;
        this.chip.classList.toggle("waiting", waiting);
        this.viewer.stages.forEach((stage) => stage.classList.toggle("picking", waiting));
        say(text);
    }

    /** @param {1|-1} by */
    step(by) {
        if (!this.shown) return false;
        const { index, nodes } = this.shown;
        const here = this.viewer.active === index ? nodes.indexOf(this.node) : -1;
        const to = (here + by + nodes.length) % nodes.length;
        this.viewer.choose(index, { kind: "node", id: nodes[here < 0 && by < 0 ? nodes.length - 1 : to] });
        say(`${this.viewer.called(index, this.viewer.chosen)}, ${count(to + 1)} of ${count(nodes.length)}`);
        return true;
    }

    /** Shows no path. Whether there was something to clear. */
    clear() {
        const had = Boolean(this.shown || this.start || !this.chip.hidden);
        if (this.shown) this.viewer.emphasise("path", this.shown.index, null);
        this.shown = null;
        this.start = null;
        this.chip.hidden = true;
        this.viewer.stages.forEach((stage) => stage.classList.remove("picking"));
        return had;
    }
}
