// The columns of the page: which are shown, how wide they are, and the tabs of the left one.

const WIDTHS = { least: 160, most: 620, step: 24 };
/** Windows narrower than this begin without the outline. */
const NARROW = 1100;

class Columns {
    /** @param {boolean} compared Whether graphs are compared, of which the list of differences is what matters most. */
    constructor(compared) {
        this.column("left", compared || innerWidth >= NARROW, innerWidth >= 1400 ? 264 : 230, 1);
        this.column("right", innerWidth >= (compared ? NARROW : 760), innerWidth >= NARROW ? 340 : 286, -1);
    }

    column(side, shown, width, sign) {
        const grip = byId(`${side}-grip`);
        const set = (to) => {
            const kept = Math.round(Math.max(WIDTHS.least, Math.min(to, WIDTHS.most, innerWidth * 0.6)));
            byId("main").style.setProperty(`--${side}`, `${kept}px`);
            grip.setAttribute("aria-valuenow", String(kept));
        };
        const now = () => Number(grip.getAttribute("aria-valuenow"));
        grip.setAttribute("aria-valuemin", String(WIDTHS.least));
        grip.setAttribute("aria-valuemax", String(WIDTHS.most));
        set(width);
        this.show(side, shown);
        byId(`show-${side}`).addEventListener("click", () => this.toggle(side));
        grip.addEventListener("keydown", (event) => {
            const by = { ArrowLeft: -WIDTHS.step, ArrowRight: WIDTHS.step }[event.key];
            if (by === undefined) return;
            event.preventDefault();
            event.stopPropagation();
            set(now() + by * sign);
        });
        grip.addEventListener("pointerdown", (event) => {
            event.preventDefault();
            grip.setPointerCapture(event.pointerId);
            const [from, width] = [event.clientX, now()];
            const move = (moved) => set(width + (moved.clientX - from) * sign);
            grip.addEventListener("pointermove", move);
            grip.addEventListener("lostpointercapture", () => grip.removeEventListener("pointermove", move), {
                once: true,
            });
        });
    }

    /** @param {"left"|"right"} side @param {boolean} shown */
    show(side, shown) {
        byId(side).hidden = !shown;
        byId(`${side}-grip`).hidden = !shown;
        byId(`show-${side}`).setAttribute("aria-pressed", String(shown));
    }

    /** @param {"left"|"right"} side */
    toggle(side) {
        this.show(side, byId(side).hidden);
    }
}

/** Lists that share a place. */
class Tabs {
    /** @param {Columns} columns */
    constructor(columns) {
        this.columns = columns;
        this.bar = byId("tabs");
        this.lists = byId("lists");
        this.names = [];
        this.current = "";
        this.bar.addEventListener("keydown", (event) => {
            const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            if (!by) return;
            event.preventDefault();
            event.stopPropagation();
            this.open(this.names[(this.names.indexOf(this.current) + by + this.names.length) % this.names.length]);
            byId(`tab-${this.current}`).focus();
        });
    }

    /**
     * A place for a list, which is opened; the one of that name if it is there.
     * @param {string} name
     * @param {string} title
     */
    add(name, title) {
        if (!this.names.includes(name)) {
            this.names.push(name);
            this.bar.append(
                make("button", {
                    type: "button",
                    role: "tab",
                    id: `tab-${name}`,
                    "aria-controls": `list-${name}`,
                    click: () => this.open(name),
                }),
            );
            this.lists.append(
                make("div", {
                    id: `list-${name}`,
                    class: "tab-list",
                    role: "tabpanel",
                    "aria-labelledby": `tab-${name}`,
                }),
            );
        }
        byId(`tab-${name}`).textContent = legible(short(title, 24));
        this.open(name);
        return byId(`list-${name}`);
    }

    /** @param {string} name */
    remove(name) {
        if (!this.names.includes(name)) return;
        this.names = this.names.filter((other) => other !== name);
        byId(`tab-${name}`).remove();
        byId(`list-${name}`).remove();
        this.open(this.names[0]);
    }

    /** @param {string} name */
    open(name) {
        this.current = name;
        for (const other of this.names) {
            byId(`tab-${other}`).setAttribute("aria-selected", String(other === name));
            byId(`tab-${other}`).tabIndex = other === name ? 0 : -1;
            byId(`list-${other}`).hidden = other !== name;
        }
        this.bar.hidden = this.names.length < 2;
    }
}
