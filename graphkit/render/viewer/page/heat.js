// Nodes in the colours of a number: its legend, and the nodes with the most of it.

const RANKED_HEIGHT = 40;

class Heat {
    /**
     * @param {Viewer} viewer
     * @param {Tabs} tabs
     */
    constructor(viewer, tabs) {
        this.viewer = viewer;
        this.tabs = tabs;
        this.choice = /** @type {HTMLSelectElement} */ (byId("heat"));
        this.legend = byId("legend");
        this.title = "";
        this.merged = null;
        /** @type {{index: number, node: number, value: number, verdict: string}[]} */
        this.ranked = [];
        this.titles = [...new Set(viewer.graphs.flatMap((graph) => graph.overlays.map((overlay) => overlay.title)))];
        byId("heat-choice").hidden = !this.titles.length;
        this.choice.append(
            make("option", { value: "" }, viewer.diff ? "Differences" : "Operator families"),
            ...this.titles.map((title, at) => make("option", { value: at + 1 }, short(title, 40))),
        );
        // Keys go back to the graph after a choice with the pointer; one by keys may go on.
        this.choice.addEventListener("pointerdown", () => (this.pointed = true));
        this.choice.addEventListener("keydown", () => (this.pointed = false));
        this.choice.addEventListener("change", () => this.pointed && viewer.focus(viewer.active));
        this.choice.addEventListener("change", () => this.show(this.titles[Number(this.choice.value) - 1] ?? ""));
        viewer.addEventListener("theme", () => this.dress());
        this.paint();
    }

    /** Overlays of the chosen title, one for each graph. */
    get overlays() {
        return this.viewer.graphs.map(
            (graph) => graph.overlays.find((overlay) => overlay.title === this.title) ?? null,
        );
    }

    /** Colours nodes by an overlay. @param {string} title Empty for none. */
    show(title) {
        this.title = title;
        this.choice.value = title ? String(this.titles.indexOf(title) + 1) : "";
        this.merged = this.joined();
        this.overlays.forEach((overlay, index) => this.viewer.scenes[index].overlay(overlay, this.merged));
        this.paint();
        this.rank();
        this.viewer.dispatchEvent(new Event("heat"));
        say(title ? `Nodes are coloured by ${title}` : "Nodes are coloured as usual");
    }

    /** The next overlay, and none after the last. */
    next() {
        const at = this.titles.indexOf(this.title);
        this.show(this.titles[at + 1] ?? "");
    }

    /** The overlays of both graphs as one, for a common scale. */
    joined() {
        const all = this.overlays.filter(Boolean);
        if (all.length < 2) return all[0] ?? null;
        const marks = all.flatMap((overlay, index) =>
            Object.entries(overlay.marks).map(([node, mark]) => [`${index}:${node}`, mark]),
        );
        return { ...all[0], marks: Object.fromEntries(marks) };
    }

    dress() {
        this.paint();
        if (!this.list) return;
        this.colours = heatScale(this.merged, this.viewer.theme);
        this.list.draw(true);
    }

    paint() {
        const overlay = this.overlays.find(Boolean);
        this.legend.replaceChildren(...(overlay ? this.gradient(overlay) : this.families()));
        this.legend.hidden = !this.legend.childElementCount;
        this.legend.classList.toggle("usual", !overlay && !this.viewer.diff);
    }

    gradient(overlay) {
        const scale = heatScale(this.merged, this.viewer.theme);
        const strip = make("div", { class: "strip", "aria-hidden": "true" });
        const stops = scale.stops.map(({ colour, at }) => `${colour} ${at * 100}%`);
        strip.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
        const bound = overlay.scale === "bound";
        const ends = bound
            ? ["1/1000 of the bound", "the bound", "1000 ×"]
            : [
                  quantity(scale.low, overlay.unit),
                  quantity(scale.stops[5].value, overlay.unit),
                  quantity(scale.high, overlay.unit),
              ];
        const marks = this.overlays.filter(Boolean).flatMap((one) => Object.values(one.marks));
        const blank = marks.filter(([value]) => value === null).length;
        const box = make("span", { class: "dot" });
        box.style.background = THEMES[this.viewer.theme].blank;
        return [
            make(
                "div",
                { class: "line" },
                make("b", {}, short(overlay.title, 40)),
                make(
                    "span",
                    { class: "quiet" },
                    { linear: "in proportion", log: "by magnitude", bound: "share of the bound" }[overlay.scale],
                ),
            ),
            strip,
            make("div", { class: "ends quiet" }, ...ends.map((text) => make("span", {}, text))),
            make(
                "div",
                { class: "line quiet" },
                box,
                blank ? `unknown (${counted(blank, "node")}) or not measured` : "not measured",
            ),
            overlay.note ? make("p", { class: "quiet note" }, short(overlay.note, 300)) : null,
        ].filter(Boolean);
    }

    /** The families that occur. */
    families() {
        if (this.viewer.diff) return [make("div", { class: "keys" }, ...statusKeys(this.viewer))];
        const found = new Set(this.viewer.graphs.flatMap((graph) => graph.nodes.map((node) => node.family)));
        const rows = this.viewer.families.flatMap((family, number) =>
            found.has(number)
                ? [make("span", { class: "key" }, dot(this.viewer, { kind: "operator", family: number }), family.name)]
                : [],
        );
        return rows.length ? [make("div", { class: "keys" }, ...rows)] : [];
    }

    /** Lists nodes, those with the most first, NaN before all. */
    rank() {
        this.list?.close();
        this.ranked = this.overlays.flatMap((overlay, index) =>
            Object.entries(overlay?.marks ?? {}).map(([node, [value, verdict]]) => ({
                index,
                node: Number(node),
                value: value === null ? null : real(value),
                verdict,
            })),
        );
        const size = ({ value, verdict }) =>
            value === null ? (verdict === "fail" ? Infinity : -Infinity) : Number.isNaN(value) ? Infinity : value;
        this.ranked.sort(
            (one, two) =>
                Number(two.verdict === "fail") - Number(one.verdict === "fail") ||
                (size(two) > size(one) ? 1 : size(two) < size(one) ? -1 : one.node - two.node),
        );
        if (!this.title) {
            this.tabs.remove("ranked");
            this.list = null;
            return;
        }
        const host = this.tabs.add("ranked", this.title);
        const body = make("div", { id: "ranked-list" });
        const fails = this.ranked.filter(({ verdict }) => verdict === "fail").length;
        host.replaceChildren(
            make(
                "div",
                { class: "list-title quiet" },
                make(
                    "span",
                    { class: "text" },
                    `${counted(this.ranked.length, "node")}${fails ? `, ${count(fails)} failed` : ""}, most first`,
                ),
                ...steppers("node", (by) => this.step(by)),
            ),
            body,
        );
        this.most = this.ranked.reduce((most, { value }) => (Number.isFinite(value) ? Math.max(most, value) : most), 0);
        this.colours = heatScale(this.merged, this.viewer.theme);
        this.list = new VirtualList(body, {
            label: `Nodes by ${short(this.title, 60)}`,
            height: RANKED_HEIGHT,
            fill: (at, row) => this.fill(at, row),
            choose: (at) => this.go(at),
        });
        this.list.show(this.ranked.length, -1);
    }

    fill(at, row) {
        const { index, node: id, value, verdict } = this.ranked[at];
        const overlay = this.overlays[index];
        const node = this.viewer.graphs[index].nodes[id];
        const fill = make("span", { class: "fill", "aria-hidden": "true" });
        const share = this.most > 0 && value > 0 ? Math.min(1, value / this.most) : 0;
        fill.style.width = `${share && Math.max(1, 100 * share)}%`;
        fill.style.background = this.colours.colour(value, verdict);
        row.append(
            this.viewer.graphs.length > 1 ? make("span", { class: "side" }, "AB"[index]) : "",
            opAndName(node, short(node.name || calledNode(node), 80)),
            make(
                "span",
                { class: "aside" },
                overlay.scale === "bound" && value !== null
                    ? `${brief(value)} ×`
                    : value === null
                      ? "unknown"
                      : quantity(value, overlay.unit),
            ),
            verdict === "fail" ? make("span", { class: "tag fail" }, "fail") : "",
            make("span", { class: "track under" }, fill),
        );
    }

    go(at) {
        const { index, node } = this.ranked[at];
        this.viewer.choose(index, { kind: "node", id: node });
        say(
            `${this.viewer.called(index, { kind: "node", id: node })}, ${count(at + 1)} of ${count(this.ranked.length)}`,
        );
    }

    /** @param {1|-1} by */
    step(by) {
        if (!this.list || !this.ranked.length) return false;
        const { chosen, active } = this.viewer;
        const here =
            chosen?.kind === "node"
                ? this.ranked.findIndex(({ index, node }) => index === active && node === chosen.id)
                : -1;
        const from = here < 0 ? (by > 0 ? -1 : 0) : here;
        const to = (from + by + this.ranked.length) % this.ranked.length;
        this.tabs.open("ranked");
        this.list.activate(to);
        this.go(to);
        return true;
    }
}
