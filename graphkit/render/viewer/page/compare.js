// Two graphs side by side: what differs, and each node beside its counterpart.

/** How nodes may differ: a sign, what it is called, its colours by day and by night. */
const STATUS = {
    changed: { sign: "≠", title: "changed", light: "#f2c14e", dark: "#a87a12" },
    added: { sign: "+", title: "added", light: "#7fcf9a", dark: "#2f8a53" },
    removed: { sign: "−", title: "removed", light: "#f2938c", dark: "#b8483f" },
    renamed: { sign: "≈", title: "renamed", light: "#8fc1ee", dark: "#2f6fae" },
    moved: { sign: "→", title: "moved", light: "#c6aef0", dark: "#7457b3" },
    same: { sign: "=", title: "same", light: "#e6e9ed", dark: "#2c323a" },
};

const DIFFERENCE_HEIGHT = 44;

class Comparison {
    /** @param {Viewer} viewer @param {Tabs} tabs */
    constructor(viewer, tabs) {
        this.viewer = viewer;
        this.tabs = tabs;
        /** Which pair a node is in, by graph. */
        this.pairOf = [new Map(), new Map()];
        this.pairs = viewer.diff.pairs;
        this.pairs.forEach(([one, two], pair) => {
            if (one !== null) this.pairOf[0].set(one, pair);
            if (two !== null) this.pairOf[1].set(two, pair);
        });
        this.groups = this.viewer.graphs.map((graph) => new Map(graph.groups.map((group, id) => [group.name, id])));
        this.counts = Object.fromEntries(Object.keys(STATUS).map((status) => [status, 0]));
        this.pairs.forEach(([, , status]) => this.counts[status]++);
        this.wanted = new Set(Object.keys(STATUS).filter((status) => status !== "same" && this.counts[status]));
        this.linked = true;
        this.build();
        this.filter();
        viewer.addEventListener("choose", (event) => this.follow(event.detail));
        viewer.addEventListener("theme", () => this.paint());
        viewer.addEventListener("heat", () => this.paint());
        viewer.scenes.forEach((scene, index) => {
            let before = scene.transform;
            scene.addEventListener("view", () => {
                if (viewer.moving === index && this.linked) this.moveAlong(1 - index, before, scene.transform);
                before = scene.transform;
            });
            scene.addEventListener("expand", (event) => this.openAlong(index, event.detail));
        });
        this.paint();
        byId("link").hidden = false;
        byId("link").addEventListener("click", () => this.link());
        if (viewer.diff.summary.length) {
            const told = viewer.diff.summary.map((line) => line.join(" ")).join(" · ");
            document.querySelector(".facts").textContent = legible(short(told, 400));
        }
    }

    /** Links the two graphs, or lets go. */
    link() {
        this.linked = !this.linked;
        byId("link").setAttribute("aria-pressed", String(this.linked));
        say(this.linked ? "The graphs are linked" : "The graphs are not linked");
    }

    /** Moves the view of a side as the other's was moved. */
    moveAlong(side, from, to) {
        const scene = this.viewer.scenes[side];
        const { x, y, k } = scene.transform;
        const grown = to.k / from.k;
        scene.moveTo({ x: to.x + (x - from.x) * grown, y: to.y + (y - from.y) * grown, k: k * grown });
    }

    /** Opens or closes what stands on the other side for a group. */
    openAlong(index, { group, expanded }) {
        const other = group && this.linked ? this.partner(index, { kind: "group", id: group }) : null;
        const scene = this.viewer.scenes[1 - index];
        if (other && scene.expanded.has(other.id) !== expanded) scene[expanded ? "expand" : "collapse"](other.id);
    }

    build() {
        const host = this.tabs.add("differences", "Differences");
        this.filters = make("div", { class: "filters", role: "group", "aria-label": "Which differences are listed" });
        this.field = make("input", {
            type: "search",
            class: "small",
            placeholder: "Filter",
            "aria-label": "Filter differences by name or operator",
            spellcheck: "false",
            autocomplete: "off",
            input: () => this.filter(),
        });
        for (const [status, { title }] of Object.entries(STATUS)) {
            if (!this.counts[status]) continue;
            this.filters.append(
                make(
                    "button",
                    {
                        type: "button",
                        class: "filter",
                        "data-status": status,
                        "aria-pressed": String(this.wanted.has(status)),
                        click: (event) => {
                            if (!this.wanted.delete(status)) this.wanted.add(status);
                            event.currentTarget.setAttribute("aria-pressed", String(this.wanted.has(status)));
                            this.filter();
                        },
                    },
                    this.badge(status),
                    ` ${title} `,
                    make("span", { class: "quiet" }, count(this.counts[status])),
                ),
            );
        }
        this.told = make("span", { class: "text", role: "status" });
        const body = make("div", { id: "differences-list" });
        host.append(
            this.filters,
            this.field,
            make(
                "div",
                { class: "list-title quiet" },
                this.told,
                ...steppers("difference", (by) => this.step(by)),
            ),
            body,
        );
        this.list = new VirtualList(body, {
            label: "Differences",
            height: DIFFERENCE_HEIGHT,
            fill: (at, row) => this.fill(at, row),
            choose: (at) => this.go(at),
        });
    }

    badge(status) {
        const badge = make("span", { class: "badge", title: STATUS[status].title }, STATUS[status].sign);
        badge.style.background = STATUS[status][this.viewer.theme];
        return badge;
    }

    /** @param {number} pair @returns {object[]} The nodes of a pair, null where there is none. */
    nodesOf(pair) {
        return [0, 1].map((side) => this.viewer.graphs[side].nodes[this.pairs[pair][side]] ?? null);
    }

    filter() {
        const words = this.field.value.toLowerCase().split(/\s+/).filter(Boolean);
        this.listed = this.pairs.flatMap(([, , status], pair) => {
            if (!this.wanted.has(status)) return [];
            const text = words.length
                ? this.nodesOf(pair)
                      .map((node) => (node ? `${node.op} ${node.name} ${node.label}` : ""))
                      .join(" ")
                      .toLowerCase()
                : "";
            return words.every((word) => text.includes(word)) ? [pair] : [];
        });
        const differing = this.pairs.length - this.counts.same;
        this.told.textContent =
            differing || this.wanted.has("same")
                ? `${count(this.listed.length)} of ${counted(differing, "difference")}`
                : "The graphs are the same";
        this.list.show(this.listed.length, -1);
    }

    fill(at, row) {
        const pair = this.listed[at];
        const [, , status] = this.pairs[pair];
        const [one, two] = this.nodesOf(pair);
        const node = two ?? one;
        const names = [one, two].filter(Boolean).map((item) => short(item.name || calledNode(item), 60));
        const lines = this.viewer.diff.told?.[pair] ?? [];
        row.append(
            this.badge(status),
            opAndName(node, [...new Set(names)].join(" → ")),
            make(
                "span",
                { class: "under quiet text" },
                lines.length ? short(lines.join("; "), 160) : STATUS[status].title,
            ),
        );
    }

    /** Goes to a difference on both sides. */
    go(at) {
        this.list.active = at;
        const [one, two, status] = this.pairs[this.listed[at]];
        const index = two === null || (one !== null && this.viewer.active === 0) ? 0 : 1;
        this.viewer.choose(index, { kind: "node", id: index ? two : one });
        const where = `${count(at + 1)} of ${count(this.listed.length)}`;
        say(`${STATUS[status].title}: ${this.viewer.called(index, this.viewer.chosen)}, ${where}`);
    }

    /** @param {1|-1} by */
    step(by) {
        if (!this.listed.length) return false;
        this.tabs.open("differences");
        const { chosen, active } = this.viewer;
        const pair = chosen?.kind === "node" ? this.pairOf[active].get(chosen.id) : undefined;
        const here = pair === undefined ? this.list.active : this.listed.indexOf(pair);
        const to =
            here < 0 ? (by > 0 ? 0 : this.listed.length - 1) : (here + by + this.listed.length) % this.listed.length;
        this.list.activate(to);
        this.go(to);
        return true;
    }

    /** What stands on the other side for something; null if nothing does. @returns {Item|null} */
    partner(index, item) {
        const other = 1 - index;
        if (item?.kind === "node") {
            const pair = this.pairOf[index].get(item.id);
            const id = pair === undefined ? null : this.pairs[pair][other];
            return id === null ? null : { kind: "node", id };
        }
        if (item?.kind !== "group") return null;
        const id = this.groups[other].get(this.viewer.graphs[index].groups[item.id].name);
        return id ? { kind: "group", id } : null;
    }

    /** Selects on the other side what was selected on one. */
    follow({ index, item }) {
        if (this.linked) this.viewer.place(1 - index, this.partner(index, item));
        if (item?.kind !== "node") return;
        const at = this.listed.indexOf(this.pairOf[index].get(item.id) ?? -1);
        if (at >= 0) this.list.activate(at);
    }

    /** Colours nodes by how they differ, unless by something else. */
    paint() {
        const coloured = !byId("heat").value;
        this.viewer.scenes.forEach((scene, index) =>
            scene.colour(
                coloured
                    ? (node) => {
                          const pair = this.pairOf[index].get(node);
                          return pair === undefined ? null : STATUS[this.pairs[pair][2]][this.viewer.theme];
                      }
                    : null,
            ),
        );
        for (const badge of this.filters.querySelectorAll(".badge")) {
            badge.style.background = STATUS[badge.parentElement.dataset.status][this.viewer.theme];
        }
        this.list.draw(true);
    }

    /** What is said of the comparison as a whole. */
    summary() {
        return section(
            "Comparison",
            pairs([
                ["A", short(this.viewer.diff.titles[0], 120)],
                ["B", short(this.viewer.diff.titles[1], 120)],
            ]),
            pairs(this.viewer.diff.summary),
        );
    }
}

/** What the colours of a comparison mean, of those that occur. @param {Viewer} viewer */
function statusKeys(viewer) {
    const found = new Set(viewer.diff.pairs.map(([, , status]) => status));
    return Object.entries(STATUS)
        .filter(([status]) => found.has(status))
        .map(([, status]) => {
            const mark = make("span", { class: "badge small", "aria-hidden": "true" }, status.sign);
            mark.style.background = status[viewer.theme];
            return make("span", { class: "key" }, mark, status.title);
        });
}
