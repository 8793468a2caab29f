// What keys do, in one table that the help is made of as well.

/** Pixels that Shift and an arrow move the graph by. */
const PAN_STEP = 120;
const ARROWS = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right" };

class Keyboard {
    /**
     * @param {Viewer} viewer
     * @param {object} parts `search`, `toolbar`, `paths`, `heat`, `columns`, `help`, and `comparison` or null.
     */
    constructor(viewer, parts) {
        this.viewer = viewer;
        this.parts = parts;
        const { search, toolbar, paths, heat, columns, help, comparison } = parts;
        const node = (act) => () => paths.node !== null && act(viewer.active, paths.node);
        /** Keys, what they do, and the function; without one, where something else takes the key. */
        this.table = [
            [
                "Graph",
                [
                    [["↑", "↓", "←", "→"], "walk from node to node"],
                    [["Enter", "Space"], "open or close the group; with a node, centre it"],
                    [["x"], "close the group around the node", () => this.closeAround()],
                    [["Shift + arrow"], "move the graph"],
                    [["+", "="], "zoom in", () => toolbar.zoom(ZOOM_STEP)],
                    [["-", "_"], "zoom out", () => toolbar.zoom(1 / ZOOM_STEP)],
                    [["f", "0"], "fit the graph into the window", () => viewer.scenes.forEach((scene) => scene.fit())],
                    [["r"], "turn the graph: top-down or left-right", () => toolbar.turn()],
                    [["e"], "expand all groups", () => toolbar.expandAll()],
                    [["c"], "collapse all groups", () => toolbar.collapseAll()],
                ],
            ],
            [
                "Paths",
                [
                    [["a"], "ancestors of the node", node((index, id) => paths.reach("ancestors", index, id))],
                    [["s"], "descendants of the node", node((index, id) => paths.reach("descendants", index, id))],
                    [
                        ["t"],
                        "shortest path from the node to one that you pick",
                        node((index, id) => paths.pick(index, id)),
                    ],
                    [
                        ["w"],
                        "critical path by the colours' number, else the longest",
                        () => paths.critical(viewer.active),
                    ],
                ],
            ],
            [
                "Page",
                [
                    [["/"], "search", () => search.focus()],
                    [["n"], "next of the list: differences, ranked nodes, or the path's", () => this.step(1)],
                    [["p"], "previous of the list", () => this.step(-1)],
                    [["h"], "colour nodes by the next number", () => heat.next()],
                    ...(comparison
                        ? [
                              [["l"], "link the two graphs, or let go", () => comparison.link()],
                              [["b"], "go to the other graph", () => viewer.focus(1 - viewer.active)],
                          ]
                        : []),
                    [["o"], "show or hide the outline", () => columns.toggle("left")],
                    [["i"], "show or hide the details", () => columns.toggle("right")],
                    [["d"], "light or dark", () => toolbar.switchTheme()],
                    [["?"], "this help", () => help.open()],
                    [["Esc"], "clear the path, the search, the choice"],
                ],
            ],
        ];
        this.acts = new Map(
            this.table.flatMap(([, rows]) =>
                rows.flatMap(([keys, , act]) => (act ? keys.map((key) => [key, act]) : [])),
            ),
        );
        document.addEventListener("keydown", (event) => this.pressed(event));
    }

    pressed(event) {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        const focused = /** @type {HTMLElement} */ (event.target);
        if (focused.closest("input, select, textarea, dialog, [popover]")) return;
        const onGraph = focused === document.body || focused === this.viewer.scene.host;
        const walks = onGraph || focused.id === "panel" || focused.closest("#tools") !== null;
        if (event.key === "Escape") this.escape();
        else if (walks && ARROWS[event.key]) this.arrow(ARROWS[event.key], event.shiftKey);
        else if (onGraph && (event.key === "Enter" || event.key === " ")) this.enter();
        else {
            const act = this.acts.get(event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : event.key);
            if (!act) return;
            act();
        }
        event.preventDefault();
    }

    /** Walks along the edges, or moves the graph. */
    arrow(way, moving) {
        const { viewer } = this;
        const { scene, active } = viewer;
        if (moving) {
            const [x, y] = { up: [0, 1], down: [0, -1], left: [1, 0], right: [-1, 0] }[way];
            viewer.move(() => scene.panBy(x * PAN_STEP, y * PAN_STEP));
            return;
        }
        let from = viewer.chosen;
        if (from?.kind === "edge") {
            const [tail, , head] = viewer.graph.edges[from.id];
            from = { kind: "node", id: way === "up" || way === "left" ? tail : head };
            this.go(active, from);
            return;
        }
        const to = from
            ? scene.neighbour(from, way)
            : (scene.boxes.find(({ frame }) => !frame) ?? scene.boxes[0])?.item;
        if (to) this.go(active, to);
        else say("Nothing further that way");
    }

    /** Selects something and moves the graph no more than it takes to see it. */
    go(index, item) {
        const scene = this.viewer.scenes[index];
        this.viewer.choose(index, item, false);
        const box = scene.box(item);
        if (box) {
            const { x, y, w, h } = scene.screen(box);
            const seen = x >= 0 && y >= 0 && x + w <= scene.size.w && y + h <= scene.size.h;
            if (!seen) scene.centre(item);
        }
        say(this.viewer.called(index, item));
    }

    enter() {
        const { viewer } = this;
        const { chosen, active } = viewer;
        if (chosen?.kind === "group" && chosen.id) this.parts.expand(active, chosen.id);
        else if (chosen) viewer.scene.centre(chosen);
    }

    closeAround() {
        const { viewer } = this;
        const { chosen, active, graph } = viewer;
        if (!chosen || chosen.kind === "edge") return;
        const open = chosen.kind === "group" && viewer.scene.expanded.has(chosen.id);
        const group = open ? chosen.id : graph.parentOf(chosen);
        if (group <= 0) return;
        viewer.scene.collapse(group);
        this.go(active, { kind: "group", id: group });
    }

    step(by) {
        const { comparison, heat, paths, tabs } = this.parts;
        const lists = { differences: comparison, ranked: heat };
        if (paths.shown && paths.step(by)) return;
        if (lists[tabs.current]?.step(by)) return;
        if (comparison?.step(by) || heat.step(by)) return;
        say("There is no list to step through");
    }

    escape() {
        const { paths, search } = this.parts;
        if (paths.clear()) say("Path cleared");
        else if (search.field.value) search.clear();
        else if (this.viewer.chosen) {
            this.viewer.choose(this.viewer.active, null, false);
            say("Nothing is chosen");
        }
    }
}
