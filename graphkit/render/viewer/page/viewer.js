// What is looked at: the graphs, their scenes, and what is chosen in them.

/** @param {Item|null} one @param {Item|null} two */
const sameItem = (one, two) => one?.kind === two?.kind && one?.id === two?.id;

/** What a node is called in lists. @param {object} node */
const calledNode = (node) => node.label || node.name || node.op;

/** What kind of thing a node is, in a word. @param {object} node */
const opOf = (node) => (node.kind === "operator" ? node.op : node.kind === "initializer" ? "constant" : node.kind);

/** An operator with its domain. @param {object} node */
const fullOp = (node) => (node.kind === "operator" && node.domain ? `${node.domain}.${node.op}` : opOf(node));

/** What a group is called in lists. @param {object} group */
const calledGroup = (group) => group.label || group.name || group.note || group.kind;

/**
 * The graphs of a page and what is chosen in them.
 *
 * Events: `choose` {index, item}: something was selected; `theme`; `heat`; `active`: another scene is worked with.
 */
class Viewer extends EventTarget {
    /** @param {object} payload */
    constructor(payload) {
        super();
        this.payload = payload;
        this.families = payload.families;
        this.diff = payload.diff;
        this.active = 0;
        /** @type {Item|null} */
        this.chosen = null;
        this.emphases = new Map();
        this.theme = themeOf();
        this.graphs = payload.graphs.map((graph) => new Graph(graph));
        this.stages = payload.graphs.map((graph, index) => this.stage(graph, index));
        byId("stages").append(...this.stages.map((stage) => stage.parentElement));
        this.scenes = this.graphs.map(
            (graph, index) => new Scene(this.stages[index], graph, { families: payload.families, theme: this.theme }),
        );
        this.scenes.forEach((scene, index) => this.listen(scene, index));
        /** Which view a reader is moving just now. @type {number|null} */
        this.moving = null;
        addEventListener("pointerup", () => setTimeout(() => (this.moving = null)));
    }

    get scene() {
        return this.scenes[this.active];
    }

    get graph() {
        return this.graphs[this.active];
    }

    stage(graph, index) {
        const hint =
            "Arrow keys walk from node to node, Enter opens and closes groups, the question mark tells all keys.";
        const stage = make("div", {
            class: "stage",
            id: `stage-${index}`,
            tabindex: 0,
            role: "application",
            "aria-roledescription": "graph",
            "aria-label": `Graph of ${short(graph.title, 100)}. ${hint}`,
        });
        const head = make(
            "div",
            { class: "stage-head" },
            make("span", { class: "side" }, "AB"[index]),
            make(
                "span",
                { class: "text", title: short(`${graph.title} ${graph.source}`, 300) },
                short(graph.title, 120),
            ),
            make("span", { class: "quiet text" }, graph.source === graph.title ? "" : short(graph.source, 120)),
        );
        head.hidden = this.payload.graphs.length < 2;
        make("div", { class: "half" }, head, stage);
        return stage;
    }

    listen(scene, index) {
        const stage = this.stages[index];
        stage.addEventListener("focus", () => this.activate(index));
        stage.addEventListener("wheel", () => (this.moving = index), { capture: true, passive: true });
        stage.addEventListener("wheel", () => (this.moving = null), { passive: true });
        stage.addEventListener(
            "pointerdown",
            () => {
                this.activate(index);
                this.moving = index;
            },
            { capture: true },
        );
        scene.addEventListener("select", (event) => this.told(index, event.detail.item));
    }

    /** Makes a scene the one that tools work on. @param {number} index */
    activate(index) {
        if (this.active === index) return;
        this.active = index;
        this.stages.forEach((stage, number) => stage.parentElement.classList.toggle("active", number === index));
        this.dispatchEvent(new Event("active"));
    }

    told(index, item) {
        if (this.silent) return;
        this.activate(index);
        this.chosen = item;
        this.dispatchEvent(new CustomEvent("choose", { detail: { index, item } }));
    }

    /**
     * Selects something, wherever it is hidden.
     * @param {number} index Which graph.
     * @param {Item|null} item
     * @param {boolean} [centre] Whether to bring it to the middle.
     */
    choose(index, item, centre = true) {
        this.activate(index);
        this.place(index, item, centre);
        this.told(index, item);
    }

    /** Moves a view as a reader does. @param {(scene: Scene) => void} act */
    move(act) {
        this.moving = this.active;
        act(this.scene);
        this.moving = null;
    }

    /** Gives the keys to a graph. @param {number} index */
    focus(index) {
        this.stages[index].focus({ preventScroll: true });
    }

    /** Selects without telling anyone. */
    place(index, item, centre = true) {
        const scene = this.scenes[index];
        this.silent = true;
        try {
            if (item) this.uncover(index, item);
            scene.select(item, { centre });
        } finally {
            this.silent = false;
        }
    }

    /** Opens the groups that hold something. */
    uncover(index, item) {
        const [scene, graph] = [this.scenes[index], this.graphs[index]];
        if (item.kind === "node") scene.reveal(item.id);
        else if (item.kind === "edge")
            [graph.edges[item.id][0], graph.edges[item.id][2]].forEach((node) => scene.reveal(node));
        else {
            graph
                .path(graph.groups[item.id].parent)
                .forEach((group) => scene.expanded.has(group) || scene.expand(group));
        }
    }

    /**
     * Lets nodes stand out and others fade.
     * @param {"path"|"search"} reason Of several, searches go before paths.
     * @param {number} index Which graph.
     * @param {{nodes: Set<number>, edges?: Set<number>}|null} what
     */
    emphasise(reason, index, what) {
        const kept = this.emphases.get(index) ?? {};
        if (kept[reason] === what || (!kept[reason] && !what)) return;
        kept[reason] = what;
        this.emphases.set(index, kept);
        this.scenes[index].highlight(kept.search ?? kept.path ?? null);
    }

    /**
     * Colours of a node's family; null for what is not an operator.
     * @returns {{fill: string, edge: string, text: string}|null}
     */
    familyOf(node) {
        const family = this.families[node.family];
        return node.kind === "operator" && family ? mixFamily(family, THEMES[this.theme]) : null;
    }

    /** @param {"light"|"dark"} theme */
    dress(theme) {
        this.theme = theme;
        document.documentElement.dataset.theme = theme;
        this.scenes.forEach((scene) => scene.theme(theme));
        this.dispatchEvent(new Event("theme"));
    }

    /** What something is, in a few words. @param {number} index @param {Item|null} item */
    called(index, item) {
        const graph = this.graphs[index];
        if (!item) return "";
        if (item.kind === "edge") return `value ${valueOf(graph, item.id).name}`;
        if (item.kind === "group")
            return `${calledGroup(graph.groups[item.id])}, group of ${counted(graph.groups[item.id].nodes, "operator")}`;
        const node = graph.nodes[item.id];
        return `${opOf(node)} ${calledNode(node)}`;
    }
}

/** The value that an edge carries. @returns {{name: string, dtype: string|null, shape: string|null}} */
function valueOf(graph, edge) {
    const [tail, output] = graph.edges[edge];
    const node = graph.nodes[tail];
    if (node.kind !== "operator") return { name: node.name, dtype: node.dtype ?? null, shape: node.shape ?? null };
    const [name, dtype, shape] = node.outputs?.[output] ?? ["", null, null];
    return { name, dtype, shape };
}

const KEPT_THEME = "graphkit-viewer-theme";

/** The theme that was chosen in this session, or else the system's. @returns {"light"|"dark"} */
function themeOf() {
    try {
        const kept = sessionStorage.getItem(KEPT_THEME);
        if (kept === "light" || kept === "dark") return kept;
    } catch {
        // Some browsers give files no storage.
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** @param {"light"|"dark"} theme */
function keepTheme(theme) {
    try {
        sessionStorage.setItem(KEPT_THEME, theme);
    } catch {
        // Some browsers give files no storage.
    }
}
