// Mouse, wheel and touch on a scene, and the short motion from one layout to the next.

/** Pans, zooms, selects, opens and closes as the pointer says. */
class Pointing {
    /** @param {Scene} scene */
    constructor(scene) {
        this.scene = scene;
        const { canvas } = scene;
        this.behaviour = libraries
            .zoom()
            .scaleExtent([0.002, 4])
            .clickDistance(5)
            .filter((event) => !event.button && event.type !== "dblclick")
            .on("zoom", ({ transform, sourceEvent }) => {
                if (sourceEvent) scene.moveTo({ x: transform.x, y: transform.y, k: transform.k }, this);
            });
        this.selected = libraries.select(canvas).call(this.behaviour).on("dblclick.zoom", null);
        canvas.addEventListener("click", (event) => this.#click(event));
        canvas.addEventListener("dblclick", (event) => this.#open(event));
        canvas.addEventListener("pointermove", (event) => this.#move(event));
        canvas.addEventListener("pointerleave", () => this.#leave());
        this.over = null;
    }

    /** Take over a view that something else has set. */
    follow({ x, y, k }) {
        this.selected.call(this.behaviour.transform, libraries.zoomIdentity.translate(x, y).scale(k));
    }

    #hit(event) {
        const { scene } = this;
        const area = scene.canvas.getBoundingClientRect();
        const { x, y, k } = scene.transform;
        const at = [(event.clientX - area.left - x) / k, (event.clientY - area.top - y) / k];
        return sceneHit(scene, ...at, (event.pointerType === "touch" ? 14 : 6) / k);
    }

    #click(event) {
        const { scene } = this;
        const hit = this.#hit(event);
        scene.host.focus({ preventScroll: true });
        if (hit?.part === "title" || hit?.part === "opener") {
            if (event.detail <= 1) scene.toggle(hit.item.id);
            return;
        }
        scene.select(hit?.item ?? null, { edges: hit?.edges });
    }

    #open(event) {
        const hit = this.#hit(event);
        if (hit?.part === "box" && hit.item.kind === "group") this.scene.toggle(hit.item.id);
    }

    #move(event) {
        if (event.buttons) return;
        const hit = this.#hit(event);
        const key = hit && layoutKey(hit.item);
        this.scene.canvas.style.cursor = !hit || hit.part === "frame" ? "grab" : "pointer";
        if (key === this.over) return;
        this.over = key;
        this.scene.hover(hit && hit.part !== "frame" ? hit.item : null);
        const detail = { item: hit?.item ?? null, edges: hit?.edges, x: event.clientX, y: event.clientY };
        this.scene.dispatchEvent(new CustomEvent("hover", { detail }));
    }

    #leave() {
        if (this.over === null) return;
        this.over = null;
        this.scene.hover(null);
        this.scene.dispatchEvent(new CustomEvent("hover", { detail: { item: null } }));
    }
}

/** Moves boxes from where they were on the screen to where they are now. */
class Motion {
    /** The motion between two layouts; null where it would be too much, or is not wanted. */
    static between(old, was, boxes, now, toggled) {
        if (window.matchMedia("(prefers-reduced-motion: reduce)").matches || boxes.length > 1500) return null;
        const from = new Map();
        const moved = ({ x, y, w, h }) => ({ x: x + (was.x - now.x) / now.k, y: y + (was.y - now.y) / now.k, w, h });
        for (const box of boxes) {
            const before = old.get(box.key);
            if (before) from.set(box.key, moved(before));
        }
        return new Motion(from, toggled ? moved(toggled) : null);
    }

    constructor(from, origin) {
        this.from = from;
        this.origin = origin;
        this.began = performance.now();
        this.duration = 170;
    }

    /** Change a picture to the present moment; false once the motion is over. */
    apply(picture) {
        const share = (performance.now() - this.began) / this.duration;
        if (share >= 1) return false;
        const t = 1 - (1 - share) ** 3;
        const between = (a, b) => a + (b - a) * t;
        picture.boxes = picture.boxes.map((box) => {
            const start = this.from.get(box.key);
            if (!start) return box;
            const size = box.frame ? { w: between(start.w, box.w), h: between(start.h, box.h) } : {};
            return { ...box, x: between(start.x, box.x), y: between(start.y, box.y), ...size };
        });
        picture.alphaOf = (box) => (this.from.has(box.key) ? 1 : t);
        picture.linkAlpha = t;
        return true;
    }
}
