// The minimap: the whole of what is open in small, with the part that is visible; drag in it to move.

/** A small picture of a scene. */
class Minimap {
    /**
     * @param {HTMLElement} host Gives it its size.
     * @param {Scene} scene
     */
    constructor(host, scene) {
        this.scene = scene;
        this.canvas = document.createElement("canvas");
        this.canvas.className = "minimap";
        this.canvas.setAttribute("aria-hidden", "true");
        host.append(this.canvas);
        this.host = host;
        this.background = document.createElement("canvas");
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

    /** Move what is under the pointer to the middle of the scene. */
    #go(event) {
        const area = this.canvas.getBoundingClientRect();
        const { x, y, k } = this.fit;
        const { size, transform } = this.scene;
        const [wx, wy] = [(event.clientX - area.left - x) / k, (event.clientY - area.top - y) / k];
        this.scene.moveTo({ x: size.w / 2 - wx * transform.k, y: size.h / 2 - wy * transform.k, k: transform.k });
    }

    #paint() {
        const [w, h] = [this.host.clientWidth, this.host.clientHeight];
        if (!w || !h) return;
        const ratio = window.devicePixelRatio || 1;
        if (this.stale) this.#paintBackground(w, h, ratio);
        const { canvas, scene } = this;
        if (canvas.width !== this.background.width || canvas.height !== this.background.height) {
            canvas.width = this.background.width;
            canvas.height = this.background.height;
            canvas.style.width = `${w}px`;
            canvas.style.height = `${h}px`;
        }
        const context = canvas.getContext("2d");
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, canvas.width, canvas.height);
        context.drawImage(this.background, 0, 0);
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        const { x, y, k } = this.fit;
        const [x0, y0, x1, y1] = scene.view();
        const left = Math.max(1, x0 * k + x);
        const top = Math.max(1, y0 * k + y);
        const width = Math.max(4, Math.min(w - 1, x1 * k + x) - left);
        const height = Math.max(4, Math.min(h - 1, y1 * k + y) - top);
        context.fillStyle = scene.looks.theme.accent;
        context.globalAlpha = 0.1;
        context.fillRect(left, top, width, height);
        context.globalAlpha = 1;
        context.strokeStyle = scene.looks.theme.accent;
        context.lineWidth = 1.5;
        context.strokeRect(left, top, width, height);
    }

    #paintBackground(w, h, ratio) {
        this.stale = false;
        const { scene, background } = this;
        background.width = Math.round(w * ratio);
        background.height = Math.round(h * ratio);
        this.fit = sceneFit(scene.bounds, { w, h }, 1);
        const { x, y, k } = this.fit;
        const context = background.getContext("2d");
        context.setTransform(ratio * k, 0, 0, ratio * k, ratio * x, ratio * y);
        const { theme } = scene.looks;
        for (const box of scene.boxes) {
            const look = scene.looks.box(box);
            context.globalAlpha = look.faded ? 0.25 : 1;
            const shades = box.frame && scene.graph.isBackward(box.item.id) ? theme.backward : theme.frames;
            context.fillStyle = box.frame ? shades[(box.depth + 1) % shades.length] : look.fill === theme.terminal.fill ? look.edge : look.fill;
            const least = 1 / k;
            context.fillRect(box.x, box.y, Math.max(box.w, least), Math.max(box.h, least));
        }
        context.globalAlpha = 1;
    }
}
