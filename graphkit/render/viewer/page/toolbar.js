// The toolbar: view, groups, pictures to save, light and dark.

const ZOOM_STEP = 1.3;
/** Boxes that "expand all" opens at most, so that the page stays quick. */
const EXPANDED_BOXES = 4000;

class Toolbar {
    /** @param {Viewer} viewer @param {Help} help */
    constructor(viewer, help) {
        this.viewer = viewer;
        const press = (id, act) => byId(id).addEventListener("click", act);
        press("fit", () => viewer.scenes.forEach((scene) => scene.fit()));
        press("closer", () => this.zoom(ZOOM_STEP));
        press("farther", () => this.zoom(1 / ZOOM_STEP));
        press("direction", () => this.turn());
        press("expand", () => this.expandAll());
        press("collapse", () => this.collapseAll());
        press("theme", () => this.switchTheme());
        press("help", () => help.open());
        this.pictures = byId("export-menu");
        this.pictures.addEventListener("beforetoggle", () => this.fillMenu());
        for (const [button, menu] of [
            ["export", this.pictures],
            ["paths", byId("paths-menu")],
        ])
            this.hang(byId(button), menu);
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => viewer.dress(themeOf()));
        byId("tools").hidden = false;
    }

    zoom(factor) {
        this.viewer.move((scene) => scene.zoomBy(factor));
    }

    turn() {
        const to = this.direction === "LR" ? "TB" : "LR";
        this.direction = to;
        this.viewer.scenes.forEach((scene) => scene.direction(to));
        byId("direction").replaceChildren(
            icon(to === "LR" ? "right" : "down"),
            make("span", { class: "word" }, to === "LR" ? "Right" : "Down"),
        );
        say(to === "LR" ? "The graph runs from left to right" : "The graph runs from top to bottom");
    }

    expandAll() {
        this.viewer.scenes.forEach((scene) => scene.expandAll(EXPANDED_BOXES));
        const left = this.viewer.scenes.reduce(
            (sum, scene, index) => sum + this.viewer.graphs[index].groups.length - 1 - scene.expanded.size,
            0,
        );
        say(
            left > 0
                ? `Expanded as far as stays quick; ${counted(left, "group")} stay closed`
                : "All groups are expanded",
        );
    }

    collapseAll() {
        this.viewer.scenes.forEach((scene) => scene.collapseAll());
        say("All groups are collapsed");
    }

    /** Opens or closes a group. */
    toggle(index, group) {
        const scene = this.viewer.scenes[index];
        scene.toggle(group);
        const now = scene.expanded.has(group) ? "expanded" : "collapsed";
        say(`${this.viewer.called(index, { kind: "group", id: group })} ${now}`);
    }

    switchTheme() {
        const to = this.viewer.theme === "dark" ? "light" : "dark";
        keepTheme(to);
        this.viewer.dress(to);
        say(to === "dark" ? "Dark" : "Light");
    }

    /** Puts a menu under its button. */
    hang(button, menu) {
        menu.addEventListener("toggle", (event) => {
            button.setAttribute("aria-expanded", String(event.newState === "open"));
            if (event.newState !== "open") return;
            const { left, bottom } = button.getBoundingClientRect();
            menu.style.left = `${Math.max(8, Math.min(left, innerWidth - menu.offsetWidth - 8))}px`;
            menu.style.top = `${bottom + 4}px`;
            menu.querySelector("button:not([disabled])")?.focus();
        });
        menu.addEventListener("keydown", (event) => {
            const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
            if (!by) return;
            event.preventDefault();
            const entries = [...menu.querySelectorAll("button:not([disabled])")];
            entries[(entries.indexOf(document.activeElement) + by + entries.length) % entries.length]?.focus();
        });
    }

    fillMenu() {
        const { viewer } = this;
        const entries = viewer.scenes.flatMap((_, index) => {
            const side = viewer.scenes.length > 1 ? `${"AB"[index]} as ` : "";
            return [
                ["SVG", "text that can be searched", () => this.saveSvg(index)],
                ["PNG", "twice the size of the screen", () => this.savePng(index)],
            ].map(([kind, note, act]) =>
                make(
                    "button",
                    {
                        type: "button",
                        role: "menuitem",
                        click: () => {
                            this.pictures.hidePopover();
                            act();
                        },
                    },
                    make("span", {}, `${side}${kind}`),
                    make("span", { class: "quiet" }, note),
                ),
            );
        });
        this.pictures.replaceChildren(make("p", { class: "quiet" }, "The graph as it is shown now"), ...entries);
    }

    saveSvg(index) {
        const blob = new Blob([this.viewer.scenes[index].svg()], { type: "image/svg+xml" });
        saveFile(blob, `${fileName(this.viewer.graphs[index].title)}.svg`);
        say("Saved as SVG");
    }

    async savePng(index) {
        try {
            saveFile(await this.viewer.scenes[index].png(2), `${fileName(this.viewer.graphs[index].title)}.png`);
            say("Saved as PNG");
        } catch (problem) {
            say(`The picture was not saved: ${problem.message}`);
        }
    }
}
