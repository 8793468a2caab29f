// The chosen node in the page's address, and a note beside what the pointer is on.

/** Names longer than this are not put into the address. */
const LINKED_NAME = 500;

/** Milliseconds after the last choice at which the address follows; browsers refuse to change it too often. */
const LINK_DELAY = 150;

class DeepLink {
    /** @param {Viewer} viewer @param {Heat} heat */
    constructor(viewer, heat) {
        this.viewer = viewer;
        this.heat = heat;
        this.timer = 0;
        for (const type of ["choose", "heat"]) viewer.addEventListener(type, () => this.writeSoon());
        addEventListener("hashchange", () => this.follow());
    }

    writeSoon() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.write(), LINK_DELAY);
    }

    write() {
        const { active: index, chosen: item, graph } = this.viewer;
        const parts = new URLSearchParams();
        if (this.heat.title && this.heat.title.length <= LINKED_NAME) parts.set("heat", this.heat.title);
        if (item?.kind === "node" || item?.kind === "group") {
            const { name } = (item.kind === "node" ? graph.nodes : graph.groups)[item.id];
            if (name.length <= LINKED_NAME) parts.set(item.kind, name);
            if (name.length > LINKED_NAME || this.named(index, item.kind, name) !== item.id) {
                parts.set(item.kind === "node" ? "at" : "in", String(item.id));
            }
            if (index) parts.set("side", "b");
        }
        try {
            history.replaceState(null, "", parts.size ? `#${parts}` : location.pathname + location.search);
        } catch {
            // A page inside another may have no address of its own.
        }
    }

    named(index, kind, name) {
        const graph = this.viewer.graphs[index];
        const among = kind === "node" ? graph.nodes : graph.groups;
        const operator =
            kind === "node" ? among.findIndex((node) => node.name === name && node.kind === "operator") : -1;
        return operator >= 0 ? operator : among.findIndex((one) => one.name === name);
    }

    /** Goes where the address says. */
    follow() {
        const parts = new URLSearchParams(location.hash.slice(1));
        if (this.heat.titles.includes(parts.get("heat"))) this.heat.show(parts.get("heat"));
        const index = parts.get("side") === "b" && this.viewer.graphs.length > 1 ? 1 : 0;
        for (const [kind, number] of [
            ["node", "at"],
            ["group", "in"],
        ]) {
            if (!parts.has(kind) && !parts.has(number)) continue;
            const id = this.numbered(index, kind, parts.get(kind), parts.get(number));
            if (id >= 0) this.viewer.choose(index, { kind, id });
            else say(`This graph has no ${kind} ${short(parts.get(kind) ?? parts.get(number), 100)}`);
            return;
        }
    }

    /** The number of what an address names; the number in it is for names that repeat, or are too long. */
    numbered(index, kind, name, number) {
        const among = kind === "node" ? this.viewer.graphs[index].nodes : this.viewer.graphs[index].groups;
        const at = number === null ? -1 : Number(number);
        if (among[at] && (name === null || among[at].name === name)) return at;
        return name === null ? -1 : this.named(index, kind, name);
    }
}

/** What the pointer is on, in full, beside it. */
class Tip {
    /** @param {Viewer} viewer */
    constructor(viewer) {
        this.viewer = viewer;
        this.box = make("div", { class: "tip", "aria-hidden": "true", hidden: true });
        document.body.append(this.box);
        viewer.scenes.forEach((scene, index) => {
            scene.addEventListener("hover", (event) => this.show(index, event.detail));
            scene.addEventListener("view", () => this.hide());
        });
    }

    hide() {
        this.box.hidden = true;
    }

    show(index, { item, x, y }) {
        const lines = item ? this.lines(index, item) : [];
        if (!lines.length) {
            this.hide();
            return;
        }
        this.box.replaceChildren(...lines);
        this.box.hidden = false;
        const { offsetWidth, offsetHeight } = this.box;
        this.box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - offsetWidth - 8))}px`;
        this.box.style.top = `${y + 18 + offsetHeight > innerHeight ? Math.max(4, y - offsetHeight - 10) : y + 18}px`;
    }

    lines(index, item) {
        const graph = this.viewer.graphs[index];
        if (item.kind === "edge") {
            const { name, dtype, shape } = valueOf(graph, item.id);
            return [make("b", {}, short(name, 100)), typeOf(dtype, shape)];
        }
        if (item.kind === "group") {
            const group = graph.groups[item.id];
            return [
                make("b", {}, short(group.name || calledGroup(group), 100)),
                make("span", { class: "quiet" }, short(group.note, 100)),
                make("span", { class: "quiet" }, counted(group.nodes, "operator")),
            ];
        }
        const node = graph.nodes[item.id];
        const marks = graph.overlays.filter((overlay) => overlay.marks[item.id]).slice(0, 4);
        return [
            make("b", {}, short(fullOp(node), 60)),
            make("span", {}, short(node.name, 100)),
            ...marks.map((overlay) =>
                make("span", { class: "quiet" }, `${overlay.title}: ${amount(overlay, overlay.marks[item.id][0])}`),
            ),
            node.untranslated ? make("span", { class: "warn" }, short(node.untranslated, 140)) : null,
        ].filter(Boolean);
    }
}
