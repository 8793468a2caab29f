// The search field and the list of what it finds.

const FOUND_HEIGHT = 42;
/** Rows of results that are in sight at once. */
const FOUND_ROWS = 9;

class SearchBox {
    /** @param {Viewer} viewer */
    constructor(viewer) {
        this.viewer = viewer;
        this.field = /** @type {HTMLInputElement} */ (byId("search"));
        this.popup = byId("found");
        this.indexes = [];
        /** @type {{index: number, item: Item}[]} */
        this.found = [];
        this.count = make("p", { class: "found-count quiet", role: "status" });
        this.rows = make("div", { id: "found-list" });
        this.popup.append(this.rows, this.count);
        this.list = new VirtualList(this.rows, {
            label: "Found",
            height: FOUND_HEIGHT,
            input: this.field,
            fill: (index, row) => this.fill(index, row),
            choose: (index) => this.choose(index),
        });
        this.field.addEventListener("input", () => this.search());
        this.field.addEventListener("focus", () => this.field.value.trim() && this.search());
        this.field.addEventListener("keydown", (event) => event.key === "Escape" && this.leave(event));
        // A press on the list must not take the focus from the field, whose loss closes the list.
        this.popup.addEventListener("pointerdown", (event) => event.preventDefault());
        this.field.addEventListener("blur", () => this.show(false));
        byId("finder").hidden = false;
    }

    focus() {
        this.field.focus();
        this.field.select();
    }

    indexOf(number) {
        return (this.indexes[number] ??= new SearchIndex(this.viewer.graphs[number]));
    }

    search() {
        const text = this.field.value;
        const parts = parsed(text);
        this.found = this.viewer.graphs.flatMap((_, index) =>
            this.indexOf(index)
                .find(text)
                .map((item) => ({ index, item })),
        );
        this.viewer.graphs.forEach((graph, index) => {
            const nodes = new Set();
            for (const { index: where, item } of this.found) {
                if (where !== index) continue;
                if (item.kind === "node") nodes.add(item.id);
                else for (const node of graph.nodesOf(item.id)) nodes.add(node);
            }
            this.viewer.emphasise("search", index, nodes.size ? { nodes } : null);
        });
        this.popup.hidden = !parts.length;
        this.field.setAttribute("aria-expanded", String(parts.length > 0));
        this.count.textContent = this.found.length
            ? `${count(this.found.length)} found · ↑ ↓ to choose, Enter to go there`
            : parts.length
              ? "Nothing is called so. Press Esc, then ? for what can be searched."
              : "";
        this.rows.style.height = `${Math.min(this.found.length, FOUND_ROWS) * FOUND_HEIGHT}px`;
        this.rows.scrollTop = 0;
        this.list.show(this.found.length, this.found.length ? 0 : -1);
    }

    show(open) {
        this.popup.hidden = !open;
        this.field.setAttribute("aria-expanded", String(open));
        if (!open) this.viewer.graphs.forEach((_, index) => this.viewer.emphasise("search", index, null));
    }

    fill(position, row) {
        const { index, item } = this.found[position];
        const graph = this.viewer.graphs[index];
        const side = this.viewer.graphs.length > 1 ? make("span", { class: "side" }, "AB"[index]) : null;
        if (item.kind === "group") {
            const group = graph.groups[item.id];
            row.append(
                make("span", { class: "dot group" }),
                make("span", { class: "main text" }, short(calledGroup(group), 90)),
                make("span", { class: "aside quiet" }, counted(group.nodes, "operator")),
                side ?? "",
                make(
                    "span",
                    { class: "under quiet text" },
                    short([group.note, group.name].filter(Boolean).join(" · "), 120),
                ),
            );
            return;
        }
        const node = graph.nodes[item.id];
        const where = node.name === calledNode(node) ? graph.groups[node.group].name : node.name;
        const shape = node.kind === "operator" ? node.outputs[0]?.[2] : node.shape;
        row.append(
            dot(this.viewer, node),
            opAndName(node, short(calledNode(node), 90)),
            make("span", { class: "aside quiet" }, shape ?? ""),
            side ?? "",
            make("span", { class: "under quiet text" }, short(where, 120)),
        );
    }

    choose(position) {
        const { index, item } = this.found[position];
        this.viewer.choose(index, item);
        this.show(false);
        this.viewer.focus(index);
        say(`${this.viewer.called(index, item)}, ${count(position + 1)} of ${count(this.found.length)} found`);
    }

    /** Closes the list; empties the field if there is none. */
    leave(event) {
        event.preventDefault();
        event.stopPropagation();
        if (!this.popup.hidden && this.found.length) this.show(false);
        else this.clear();
    }

    clear() {
        this.field.value = "";
        this.found = [];
        this.show(false);
        this.field.blur();
    }
}

/** A dot in the colour of an operator's family. @param {Viewer} viewer @param {object} node */
function dot(viewer, node) {
    const mark = make("span", { class: `dot ${node.kind}`, "aria-hidden": "true" });
    const family = viewer.familyOf(node);
    if (family) {
        mark.style.background = family.fill;
        mark.style.borderColor = family.edge;
    }
    return mark;
}

/** An operator and a name in one line; where there is little room, the end of the name is seen, which tells most. */
function opAndName(node, name) {
    return make(
        "span",
        { class: "main" },
        make("b", { class: "text" }, short(opOf(node), 50)),
        " ",
        make("span", { class: "text tail" }, make("bdi", {}, name)),
    );
}
