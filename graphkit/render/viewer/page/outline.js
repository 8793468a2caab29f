// The graph as a tree of its modules.

const OUTLINE_HEIGHT = 26;

class Outline {
    /** @param {Viewer} viewer @param {HTMLElement} host */
    constructor(viewer, host) {
        this.viewer = viewer;
        this.shown = 0;
        this.open = viewer.graphs.map((graph) => new Set(graph.groups.length > 1 ? [] : [0]));
        /** @type {{item: Item, depth: number}[]} */
        this.rows = [];
        this.title = make("div", { class: "list-title quiet" });
        const body = make("div", { id: "outline" });
        host.append(this.title, body);
        this.list = new VirtualList(body, {
            label: "Outline of the modules",
            role: "tree",
            height: OUTLINE_HEIGHT,
            fill: (index, row) => this.fill(index, row),
            choose: (index, event) => this.choose(index, event),
            key: (event, index) => this.key(event, index),
        });
        viewer.addEventListener("choose", () => this.follow());
        viewer.addEventListener("active", () => this.follow());
        viewer.addEventListener("theme", () => this.list.draw(true));
        this.build();
    }

    get graph() {
        return this.viewer.graphs[this.shown];
    }

    /** Lists what is open. */
    build() {
        const rows = [];
        const add = (group, depth) => {
            for (const item of this.graph.children(group)) {
                rows.push({ item, depth });
                if (item.kind === "group" && this.open[this.shown].has(item.id)) add(item.id, depth + 1);
            }
        };
        add(0, 1);
        this.rows = rows;
        const many = this.viewer.graphs.length > 1;
        this.title.replaceChildren(make("span", {}, `${"AB"[this.shown]} · ${short(this.graph.title, 60)}`));
        this.title.hidden = !many;
        this.list.show(
            rows.length,
            rows.findIndex(({ item }) => sameItem(item, this.chosen)),
        );
    }

    /** What of the tree is chosen: a value stands for the node that makes it. @returns {Item|null} */
    get chosen() {
        const { chosen, active } = this.viewer;
        if (!chosen || active !== this.shown) return null;
        return chosen.kind === "edge" ? { kind: "node", id: this.graph.edges[chosen.id][0] } : chosen;
    }

    /** Shows what was chosen elsewhere. */
    follow() {
        this.shown = this.viewer.active;
        const item = this.chosen;
        if (item) this.graph.path(this.graph.parentOf(item)).forEach((group) => this.open[this.shown].add(group));
        this.build();
        if (this.list.active >= 0) this.list.bring(this.list.active);
        this.list.draw(true);
    }

    fill(index, row) {
        const { item, depth } = this.rows[index];
        row.setAttribute("aria-level", String(depth));
        row.style.paddingLeft = `${(Math.min(depth, 12) - 1) * 14 + 4}px`;
        if (item.kind === "group") {
            const group = this.graph.groups[item.id];
            const open = this.open[this.shown].has(item.id);
            row.setAttribute("aria-expanded", String(open));
            row.append(
                make("span", { class: "twist", "aria-hidden": "true" }, icon("forth")),
                make(
                    "span",
                    { class: "text", title: short([group.name, group.note].filter(Boolean).join(": "), 300) },
                    make("b", {}, short(calledGroup(group), 60)),
                    " ",
                    make("span", { class: "quiet" }, short(group.note, 60)),
                ),
                make("span", { class: "aside quiet" }, count(group.nodes)),
            );
            return;
        }
        const node = this.graph.nodes[item.id];
        const name = withinGroup(calledNode(node), this.graph.groups[node.group].name);
        row.append(
            make("span", { class: "twist" }),
            dot(this.viewer, node),
            make(
                "span",
                { class: "text", title: short(node.name, 300) },
                short(opOf(node), 40),
                " ",
                make("span", { class: "quiet" }, name === opOf(node) ? "" : short(name, 60)),
            ),
        );
    }

    toggle(index) {
        const { item } = this.rows[index];
        if (item.kind !== "group") return;
        const open = this.open[this.shown];
        if (!open.delete(item.id)) open.add(item.id);
        const top = this.list.host.scrollTop;
        this.build();
        this.list.active = index;
        this.list.host.scrollTop = top;
        this.list.draw(true);
    }

    choose(index, event) {
        if (event.target.closest?.(".twist") && this.rows[index].item.kind === "group") this.toggle(index);
        else {
            this.viewer.choose(this.shown, this.rows[index].item);
            say(this.viewer.called(this.shown, this.rows[index].item));
        }
    }

    key(event, index) {
        const row = this.rows[index];
        if (!row) return false;
        const group = row.item.kind === "group";
        const open = group && this.open[this.shown].has(row.item.id);
        if (event.key === "ArrowRight") {
            if (group && !open) this.toggle(index);
            else if (group) this.list.activate(index + 1);
        } else if (event.key === "ArrowLeft") {
            if (open) this.toggle(index);
            else {
                const around = this.rows.findLastIndex(({ depth }, at) => at < index && depth < row.depth);
                if (around >= 0) this.list.activate(around);
            }
        } else return false;
        return true;
    }
}

/** A name without that of the group that holds it: "mul" of "h.0.act.mul" in "h.0.act". */
function withinGroup(name, group) {
    const inside = group && name.length > group.length + 1 && name.startsWith(group) && /[./]/.test(name[group.length]);
    return inside ? name.slice(group.length + 1) : name;
}
