// The minimap: the whole of what is open in small, with the part that is visible; drag in it to move. A graph that is
// much longer than wide is not squeezed into it but slides along, so that something can be seen of it.

/** How many times its own length a minimap may show of a long graph by sliding. */
const minimapSlides = 5;

/** A small picture of a scene. */
class Minimap {
    /**
     * @param {HTMLElement} host Gives it its size.
     * @param {Scene} scene
     */
    constructor(host, scene) {
        this.scene = scene;
        this.host = host;
        this.canvas = document.createElement("canvas");
        this.canvas.className = "minimap";
        this.canvas.setAttribute("aria-hidden", "true");
        this.canvas.style.touchAction = "none";
        host.append(this.canvas);
        this.background = document.createElement("canvas");
        this.size = { w: 0, h: 0 };
        this.scale = 1;
        this.stale = true;
        this.frame = 0;
        for (const type of ["laid-out", "looks"]) scene.addEventListener(type, () => this.#request(true));
        scene.addEventListener("view", () => this.#request(false));
        this.observer = new ResizeObserver(() => this.#request(true));
        this.observer.observe(host);
        this.canvas.addEventListener("pointerdown", (event) => {
            this.canvas.setPointerCapture(event.pointerId);
            this.#go(event);
        });
        this.canvas.addEventListener("pointermove", (event) => event.buttons && this.#go(event));
        this.#request(true);
    }

    #request(stale) {
        this.stale ||= stale;
        this.frame ||= requestAnimationFrame(() => {
            this.frame = 0;
            this.#paint();
        });
    }

    /**
     * Where the graph begins on the minimap, across or along: in the middle if it fits, else so far back as the middle
     * of the view is along the graph.
     */
    #begins(length, low, high, middle) {
        const shown = (high - low) * this.scale;
        if (shown <= length) return (length - shown) / 2;
        return (length - shown) * Math.max(0, Math.min(1, (middle - low) / (high - low)));
    }

    /** What of the world is under a place of the minimap. */
    #world(at, length, low, high) {
        const shown = (high - low) * this.scale;
        if (shown > length) return low + (at / length) * (high - low);
        return low + (at - (length - shown) / 2) / this.scale;
    }

    /** Move what is under the pointer to the middle of the scene. */
    #go(event) {
        const area = this.canvas.getBoundingClientRect();
        const { size, transform, bounds } = this.scene;
        const x = this.#world(event.clientX - area.left, this.size.w, bounds.x0, bounds.x1);
        const y = this.#world(event.clientY - area.top, this.size.h, bounds.y0, bounds.y1);
        this.scene.moveTo({ x: size.w / 2 - x * transform.k, y: size.h / 2 - y * transform.k, k: transform.k });
    }

    #paint() {
        const [w, h] = [this.host.clientWidth, this.host.clientHeight];
        if (!w || !h) return;
        const ratio = window.devicePixelRatio || 1;
        this.size = { w, h };
        if (this.stale) this.#paintBackground(ratio);
        const { canvas, scene, scale } = this;
        if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
            canvas.width = Math.round(w * ratio);
            canvas.height = Math.round(h * ratio);
            canvas.style.width = `${w}px`;
            canvas.style.height = `${h}px`;
        }
        const { x0, y0, x1, y1 } = scene.bounds;
        const [vx0, vy0, vx1, vy1] = scene.view();
        const left = this.#begins(w, x0, x1, (vx0 + vx1) / 2);
        const top = this.#begins(h, y0, y1, (vy0 + vy1) / 2);
        const context = canvas.getContext("2d");
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, canvas.width, canvas.height);
        context.drawImage(this.background, Math.round(left * ratio), Math.round(top * ratio));
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        const within = (place, length) => Math.max(1, Math.min(length - 1, place));
        const [rx0, ry0] = [within(left + (vx0 - x0) * scale, w - 3), within(top + (vy0 - y0) * scale, h - 3)];
        const [rx1, ry1] = [within(left + (vx1 - x0) * scale, w), within(top + (vy1 - y0) * scale, h)];
        context.fillStyle = scene.looks.theme.accent;
        context.globalAlpha = 0.1;
        context.fillRect(rx0, ry0, Math.max(3, rx1 - rx0), Math.max(3, ry1 - ry0));
        context.globalAlpha = 1;
        context.strokeStyle = scene.looks.theme.accent;
        context.lineWidth = 1.5;
        context.strokeRect(rx0, ry0, Math.max(3, rx1 - rx0), Math.max(3, ry1 - ry0));
    }

    #paintBackground(ratio) {
        this.stale = false;
        const { scene, background, size } = this;
        const { x0, y0, x1, y1 } = scene.bounds;
        const [across, along] = [(size.w - 12) / (x1 - x0), (size.h - 12) / (y1 - y0)];
        // At a readable scale the visible part takes no more than a third of the minimap.
        const third = Math.min(size.w / scene.size.w, size.h / scene.size.h) * 0.27;
        const sliding = Math.min(0.5 * Math.max(across, along), minimapSlides * Math.min(across, along), third);
        this.scale = Math.max(sliding, Math.min(1, across, along));
        const { scale } = this;
        background.width = Math.max(1, Math.ceil((x1 - x0) * scale * ratio));
        background.height = Math.max(1, Math.ceil((y1 - y0) * scale * ratio));
        const context = background.getContext("2d");
        context.setTransform(ratio * scale, 0, 0, ratio * scale, -ratio * scale * x0, -ratio * scale * y0);
        const { theme } = scene.looks;
        const least = 1 / scale;
        for (const box of scene.boxes) {
            const look = scene.looks.box(box);
            context.globalAlpha = look.faded ? 0.25 : 1;
            context.fillStyle = this.#colour(box, look, theme);
            context.fillRect(box.x, box.y, Math.max(box.w, least), Math.max(box.h, least));
        }
        context.globalAlpha = 1;
    }

    #colour(box, look, theme) {
        if (!box.frame) {
            if (look.fill === theme.module.fill) return mixColours(theme.module.fill, theme.module.edge, 0.45);
            return look.fill === theme.terminal.fill ? look.edge : look.fill;
        }
        const shades = this.scene.graph.isBackward(box.item.id) ? theme.backward : theme.frames;
        return shades[(box.depth + 1) % shades.length];
    }
}
