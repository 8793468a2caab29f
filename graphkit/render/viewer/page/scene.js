// The scene: a canvas that shows what is open of a graph, and everything that can be done to it.

/**
 * One canvas with a graph. Its events, with what `detail` holds:
 * "select" {item: Item|null, edges?: number[]}, `edges` being all that a selected line stands for;
 * "hover" {item: Item|null, edges?: number[], x, y}, where the pointer is on the page;
 * "expand" {group, expanded}, of group 0 where many change at once; "laid-out" {milliseconds};
 * "view" {x, y, k}, the new transform; "looks" {}, when colours or fading have changed.
 */
class Scene extends EventTarget {
    /**
     * @param {HTMLElement} host Holds the canvas and gives it its size.
     * @param {Graph} graph
     * @param {{families: object[], theme: "light"|"dark"}} options
     */
    constructor(host, graph, { families, theme = "light" }) {
        super();
        this.host = host;
        this.graph = graph;
        this.meter = new BoxMeter(graph);
        this.layout = new Layout(graph, this.meter);
        this.looks = new Looks(graph, families);
        this.looks.themeName = theme;
        this.looks.reset();
        this.canvas = document.createElement("canvas");
        this.canvas.className = "scene";
        this.canvas.setAttribute("aria-hidden", "true");
        this.canvas.style.touchAction = "none";
        host.append(this.canvas);
        this.context = this.canvas.getContext("2d", { alpha: false });
        this.transform = { x: 0, y: 0, k: 1 };
        this.size = { w: 0, h: 0 };
        this.motion = null;
        this.selection = null;
        this.frame = 0;
        this.pointing = new Pointing(this);
        this.observer = new ResizeObserver(() => this.#resize());
        this.observer.observe(host);
        this.#resize();
        this.#openFirst(60);
        this.#arrange();
        this.home();
    }

    get themeName() {
        return this.looks.themeName;
    }

    get directionName() {
        return this.layout.direction;
    }

    /** Open groups. */
    get expanded() {
        return this.layout.expanded;
    }

    /** Open the outermost groups as long as about `limit` boxes are visible, and one that holds nearly everything. */
    #openFirst(limit) {
        const { graph } = this;
        const groupsIn = (group) => graph.children(group).filter(({ kind }) => kind === "group").map(({ id }) => id);
        let shown = graph.children(0).length;
        for (let level = groupsIn(0); level.length; level = level.flatMap(groupsIn)) {
            const total = level.reduce((sum, group) => sum + graph.children(group).length, 0);
            if (shown + total > limit) {
                const main = level.find((group) => graph.nodesOf(group).length > 0.8 * graph.nodes.length);
                if (main === undefined || shown > limit || graph.children(main).length > 2.5 * limit) return;
                level = [main];
            }
            for (const group of level) {
                this.layout.set(group, true);
                shown += graph.children(group).length;
            }
        }
    }

    /** Lay out what is open and index it. */
    #arrange() {
        const began = performance.now();
        const { boxes, links } = this.layout.arrange();
        this.boxes = boxes;
        this.links = links;
        this.byKey = new Map(boxes.map((box) => [box.key, box]));
        this.boxIndex = sceneIndex(boxes, ({ x, y, w, h }) => [x, y, x + w, y + h]);
        this.linkIndex = sceneIndex(links, ({ box: [x0, y0, x1, y1] }) => [x0 - 16, y0 - 16, x1 + 16, y1 + 16]);
        this.bounds = sceneBounds(boxes, links);
        spaceLabels(this);
        this.looks.reset();
        const milliseconds = performance.now() - began;
        this.redraw();
        this.#tell("laid-out", { milliseconds });
    }

    #tell(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }

    #resize() {
        const [w, h] = [this.host.clientWidth, this.host.clientHeight];
        const ratio = window.devicePixelRatio || 1;
        const fresh = this.size.w === 0 || this.size.h === 0;
        this.size = { w, h };
        this.ratio = ratio;
        this.canvas.width = Math.max(1, Math.round(w * ratio));
        this.canvas.height = Math.max(1, Math.round(h * ratio));
        this.canvas.style.width = `${w}px`;
        this.canvas.style.height = `${h}px`;
        if (fresh && this.boxes) this.home();
        this.#paint();
    }

    /** Draw before the next frame is shown. */
    redraw() {
        this.frame ||= requestAnimationFrame(() => {
            this.frame = 0;
            this.#paint();
        });
    }

    /** The part of the world that is visible, `margin` world pixels wider. */
    view(margin = 0) {
        const { x, y, k } = this.transform;
        return [-x / k - margin, -y / k - margin, (this.size.w - x) / k + margin, (this.size.h - y) / k + margin];
    }

    /** What to draw of a part of the world. @returns {Picture} */
    picture([x0, y0, x1, y1], scale) {
        const select = (index, items) => (index ? index.search(x0, y0, x1, y1).sort((a, b) => a - b).map((at) => items[at]) : []);
        const { looks } = this;
        return {
            boxes: select(this.boxIndex, this.boxes),
            links: select(this.linkIndex, this.links),
            look: (box) => looks.box(box),
            group: (link) => looks.link(link),
            theme: looks.theme,
            meter: this.meter,
            graph: this.graph,
            scale,
            left: this.view()[0],
            sideways: this.layout.direction === "LR",
            selected: this.selection && layoutKey(this.selection),
            hovered: looks.hovered && layoutKey(looks.hovered),
            linkAlpha: 1,
            alphaOf: null,
        };
    }

    #paint() {
        if (!this.boxes) return;
        const { context, transform } = this;
        if (this.ratio !== (window.devicePixelRatio || 1)) {
            this.#resize();
            return;
        }
        const { ratio } = this;
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.globalAlpha = 1;
        context.fillStyle = this.looks.theme.page;
        context.fillRect(0, 0, this.canvas.width, this.canvas.height);
        context.setTransform(ratio * transform.k, 0, 0, ratio * transform.k, ratio * transform.x, ratio * transform.y);
        const picture = this.picture(this.view(8), transform.k);
        if (this.motion && !this.motion.apply(picture)) this.motion = null;
        paintPicture(context, picture);
        if (this.motion) this.redraw();
    }

    /** Move the view; `from` says who did, so that the zoom behaviour is not told twice. */
    moveTo({ x, y, k }, from = null) {
        this.transform = { x, y, k };
        if (from !== this.pointing) this.pointing.follow(this.transform);
        this.redraw();
        this.#tell("view", this.transform);
    }

    /** Open a group. */
    expand(group) {
        this.#change(group, () => this.layout.set(group, true));
    }

    /** Close a group. */
    collapse(group) {
        this.#change(group, () => this.layout.set(group, false));
    }

    /** Open a closed group, close an open one. */
    toggle(group) {
        if (this.expanded.has(group)) this.collapse(group);
        else this.expand(group);
    }

    /** Change what is open; the upper left corner of `group`, if it is visible, stays where it is on the screen. */
    #change(group, change) {
        const open = this.expanded.has(group);
        const before = this.byKey.get(`g${group}`);
        const old = new Map(this.boxes.map((box) => [box.key, box]));
        const was = { ...this.transform };
        change();
        if (open === this.expanded.has(group)) return;
        this.#arrange();
        const after = this.byKey.get(`g${group}`);
        const { k } = was;
        if (before && after) {
            const x = was.x + (before.x - after.x) * k;
            const y = was.y + (before.y - after.y) * k;
            this.moveTo({ x, y, k });
            if (open) this.#intoView(after);
        }
        this.motion = Motion.between(old, was, this.boxes, this.transform, before);
        this.#tell("expand", { group, expanded: !open });
    }

    #intoView(box) {
        const { x, y, w, h } = this.screen(box);
        const [mx, my] = [Math.min(24, this.size.w / 4), Math.min(24, this.size.h / 4)];
        const dx = x < mx ? mx - x : x + w > this.size.w - mx ? Math.max(this.size.w - mx - x - w, mx - x) : 0;
        const dy = y < my ? my - y : y + h > this.size.h - my ? Math.max(this.size.h - my - y - h, my - y) : 0;
        if (dx || dy) this.panBy(dx, dy);
    }

    /** Open groups, outer ones first, while no more than `limit` boxes are visible. */
    expandAll(limit = 3000) {
        let shown = this.boxes.length;
        for (let group = 1; group < this.graph.groups.length; group++) {
            const parent = this.graph.groups[group].parent;
            if (this.expanded.has(group) || (parent > 0 && !this.expanded.has(parent))) continue;
            const more = this.graph.children(group).length;
            if (!more || shown + more > limit) continue;
            shown += more;
            this.layout.set(group, true);
        }
        this.#arrange();
        this.fit();
        this.#tell("expand", { group: 0, expanded: true });
    }

    /** Close all groups. */
    collapseAll() {
        for (const group of [...this.expanded]) this.layout.set(group, false);
        this.#arrange();
        this.fit();
        this.#tell("expand", { group: 0, expanded: false });
    }

    /** Open whatever holds a node. */
    reveal(node) {
        this.#open(this.graph.path(this.graph.nodes[node].group));
    }

    #open(groups) {
        const closed = groups.filter((group) => !this.expanded.has(group));
        if (!closed.length) return;
        for (const group of closed) this.layout.set(group, true);
        this.#arrange();
        for (const group of closed) this.#tell("expand", { group, expanded: true });
    }

    /** The visible box that shows a node or group: its own, or that of the closed group around it. */
    box(item) {
        if (!item || item.kind === "edge") return null;
        const group = this.graph.parentOf(item);
        const closed = this.graph.path(group).find((outer) => !this.expanded.has(outer));
        return this.byKey.get(closed === undefined ? layoutKey(item) : `g${closed}`) ?? null;
    }

    /** Where a box is on the host, in CSS pixels. */
    screen({ x, y, w, h }) {
        const { transform: t } = this;
        return { x: x * t.k + t.x, y: y * t.k + t.y, w: w * t.k, h: h * t.k };
    }

    /**
     * Select an item; a node is made visible first.
     * @param {Item|null} item
     * @param {{centre?: boolean, edges?: number[]}} options
     */
    select(item, { centre = false, edges } = {}) {
        if (item?.kind === "node") this.reveal(item.id);
        else if (item?.kind === "group") this.#open(this.graph.path(this.graph.groups[item.id].parent));
        this.selection = item;
        this.looks.selection = item;
        this.looks.links.clear();
        if (centre && item) this.centre(item);
        this.redraw();
        this.#tell("select", { item, edges: edges ?? (item?.kind === "edge" ? [item.id] : undefined) });
    }

    /** Show what the pointer is on. @param {Item|null} item */
    hover(item) {
        this.looks.hovered = item;
        this.looks.links.clear();
        this.redraw();
    }

    /** Show everything. */
    fit() {
        this.moveTo(sceneFit(this.bounds, this.size, 1.25));
    }

    /** The first view: everything if that can be read, else where the graph begins. */
    home() {
        this.moveTo(sceneHome(this));
    }

    /** Bring an item to the middle, at a scale at which it can be read. */
    centre(item) {
        const middle = this.#middle(item);
        if (!middle) return;
        const k = Math.max(this.transform.k, 0.8);
        this.moveTo({ x: this.size.w / 2 - middle.x * k, y: this.size.h / 2 - middle.y * k, k });
    }

    #middle(item) {
        if (item.kind === "edge") {
            const link = this.links.find(({ edges }) => edges.includes(item.id));
            if (!link) return null;
            const at = 2 * Math.floor(link.points.length / 4);
            return { x: link.points[at], y: link.points[at + 1] };
        }
        const box = this.box(item);
        if (!box) return null;
        const tall = box.frame && box.h * 0.8 > this.size.h;
        return { x: box.x + box.w / 2, y: tall ? box.y + this.size.h * 0.4 : box.y + box.h / 2 };
    }

    /** Zoom about the middle. */
    zoomBy(factor) {
        const { x, y, k } = this.transform;
        const scale = Math.max(0.002, Math.min(4, k * factor));
        const [cx, cy] = [this.size.w / 2, this.size.h / 2];
        this.moveTo({ x: cx - ((cx - x) * scale) / k, y: cy - ((cy - y) * scale) / k, k: scale });
    }

    /** Move the graph by CSS pixels. */
    panBy(dx, dy) {
        const { x, y, k } = this.transform;
        this.moveTo({ x: x + dx, y: y + dy, k });
    }

    /** Fade all but these. @param {{nodes: Set<number>, edges?: Set<number>}|null} highlight */
    highlight(highlight) {
        this.looks.highlight = highlight;
        this.#relook();
    }

    /** Colour by an overlay of the payload, or as usual; `scaled` is whose range the colours have, if not its own. */
    overlay(overlay, scaled = overlay) {
        this.looks.overlay = overlay;
        this.looks.scaled = scaled;
        this.#relook();
    }

    /** Colour by a function of the node. @param {((node: number) => string|null)|null} colourOf */
    colour(colourOf) {
        this.looks.colourOf = colourOf;
        this.#relook();
    }

    /** @param {"light"|"dark"} name */
    theme(name) {
        this.looks.themeName = name;
        this.#relook();
    }

    #relook() {
        this.looks.reset();
        this.redraw();
        this.#tell("looks", {});
    }

    /** @param {"TB"|"LR"} name Which way edges run. */
    direction(name) {
        this.layout.turn(name);
        this.#arrange();
        if (this.selection) this.centre(this.selection);
        else this.home();
    }

    /** What a key leads to from an item. @param {"up"|"down"|"left"|"right"} way @returns {Item|null} */
    neighbour(item, way) {
        return sceneNeighbour(this, item, way);
    }

    /** What is visible now as an SVG document. */
    svg() {
        return exportSvg(this);
    }

    /** What is visible now as a PNG picture, `scale` pixels to a CSS pixel. @returns {Promise<Blob>} */
    png(scale = 2) {
        return exportPng(this, scale);
    }

    /** Take the scene off the page. */
    destroy() {
        this.observer.disconnect();
        cancelAnimationFrame(this.frame);
        this.canvas.remove();
    }
}
