// The chosen node in the page's address, and a note beside what the pointer is on.

/** Names longer than this are not put into the address. */
const LINKED_NAME = 500;

class DeepLink {
    /** @param {Viewer} viewer */
    constructor(viewer) {
        this.viewer = viewer;
        viewer.addEventListener("choose", (event) => this.write(event.detail));
        addEventListener("hashchange", () => this.follow());
    }

    write({ index, item }) {
        const graph = this.viewer.graphs[index];
        const parts = new URLSearchParams();
        if (item?.kind === "node" || item?.kind === "group") {
            const { name } = (item.kind === "node" ? graph.nodes : graph.groups)[item.id];
            if (name.length > LINKED_NAME) parts.set("at", String(item.id));
            else {
                parts.set(item.kind, name);
                if (item.kind === "node" && this.named(index, "node", name) !== item.id)
                    parts.set("at", String(item.id));
            }
            if (index) parts.set("side", "b");
        }
        this.written = parts.size ? `#${parts}` : "";
        try {
            history.replaceState(null, "", this.written || location.pathname + location.search);
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
        const index = parts.get("side") === "b" && this.viewer.graphs.length > 1 ? 1 : 0;
        const graph = this.viewer.graphs[index];
        for (const kind of ["node", "group"]) {
            const name = parts.get(kind);
            if (name === null && !(kind === "node" && parts.has("at"))) continue;
            const at = parts.has("at") ? Number(parts.get("at")) : -1;
            const among = kind === "node" ? graph.nodes : graph.groups;
            const id = among[at] && (name === null || among[at].name === name) ? at : this.named(index, kind, name);
            if (among[id]) this.viewer.choose(index, { kind, id });
            else say(`This graph has no ${kind} ${short(name ?? String(at), 100)}`);
            return;
        }
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
