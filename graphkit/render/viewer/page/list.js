// A list of which only the rows in sight exist, so that it may have as many as a graph has nodes.

/** Rows that are made beyond those in sight. */
const SPARE_ROWS = 6;

/** A list box or a tree with rows of one height. */
class VirtualList {
    /**
     * @param {HTMLElement} host Element that scrolls.
     * @param {object} how
     * @param {string} how.label What the list is.
     * @param {"listbox"|"tree"} [how.role]
     * @param {number} how.height Height of a row in pixels.
     * @param {(index: number, row: HTMLElement) => void} how.fill Puts content into a row.
     * @param {(index: number, event: Event) => void} how.choose What a click on a row, or Enter, does.
     * @param {(event: KeyboardEvent, index: number) => boolean} [how.key] Keys of its own; true if it took one.
     * @param {HTMLElement} [how.input] Field that keeps the focus while arrows move in the list.
     */
    constructor(host, how) {
        this.host = host;
        this.how = how;
        this.length = 0;
        this.active = -1;
        this.first = 0;
        this.last = -1;
        this.sized = make("div", { class: "sized", role: "presentation" });
        host.classList.add("list");
        host.setAttribute("role", how.role ?? "listbox");
        host.setAttribute("aria-label", how.label);
        host.tabIndex = how.input ? -1 : 0;
        host.append(this.sized);
        host.addEventListener("scroll", () => this.draw(), { passive: true });
        host.addEventListener("click", (event) => this.clicked(event));
        host.addEventListener("keydown", (event) => this.pressed(event));
        how.input?.addEventListener("keydown", (event) => this.pressed(event));
        this.observer = new ResizeObserver(() => this.draw());
        this.observer.observe(host);
    }

    /** Draws no more; for a list that is taken off the page. */
    close() {
        this.observer.disconnect();
    }

    /** Shows that many rows anew. @param {number} length @param {number} [active] */
    show(length, active = this.active) {
        this.length = length;
        this.active = Math.min(active, length - 1);
        this.sized.style.height = `${length * this.how.height}px`;
        this.draw(true);
    }

    /** Makes the rows in sight. @param {boolean} anew Whether rows that are there are made again. */
    draw(anew = false) {
        const { height } = this.how;
        const first = Math.max(0, Math.floor(this.host.scrollTop / height) - SPARE_ROWS);
        const last =
            Math.min(this.length, Math.ceil((this.host.scrollTop + this.host.clientHeight) / height) + SPARE_ROWS) - 1;
        if (!anew && first === this.first && last === this.last) return;
        this.first = first;
        this.last = last;
        const rows = [];
        for (let index = first; index <= last; index++) rows.push(this.row(index));
        this.sized.replaceChildren(...rows);
        this.tell();
    }

    /** @param {number} index */
    row(index) {
        const row = make("div", {
            class: "row",
            id: this.id(index),
            role: this.how.role === "tree" ? "treeitem" : "option",
            "data-index": index,
            "aria-selected": String(index === this.active),
            "aria-posinset": index + 1,
            "aria-setsize": this.length,
        });
        row.style.transform = `translateY(${index * this.how.height}px)`;
        row.style.height = `${this.how.height}px`;
        this.how.fill(index, row);
        return row;
    }

    /** @param {number} index */
    id(index) {
        return `${this.host.id}-${index}`;
    }

    /** Makes a row the active one and brings it into sight. @param {number} index */
    activate(index) {
        if (!this.length) return;
        this.active = Math.max(0, Math.min(index, this.length - 1));
        this.bring(this.active);
        this.draw(true);
    }

    /** Scrolls no more than it takes; to what is far away, so that it is in the middle. @param {number} index */
    bring(index) {
        const top = index * this.how.height;
        const room = this.host.clientHeight;
        const far = top < this.host.scrollTop - room || top > this.host.scrollTop + 2 * room;
        if (far) this.host.scrollTop = top - room / 2;
        else if (top < this.host.scrollTop) this.host.scrollTop = top;
        else if (top + this.how.height > this.host.scrollTop + room) this.host.scrollTop = top + this.how.height - room;
    }

    tell() {
        const focused = this.how.input ?? this.host;
        const shown = this.active >= this.first && this.active <= this.last;
        if (shown) focused.setAttribute("aria-activedescendant", this.id(this.active));
        else focused.removeAttribute("aria-activedescendant");
    }

    clicked(event) {
        const row = event.target.closest?.(".row");
        if (!row) return;
        this.active = Number(row.dataset.index);
        this.draw(true);
        this.how.choose(this.active, event);
    }

    pressed(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || !this.length) return;
        const inField = Boolean(this.how.input);
        const page = Math.max(1, Math.floor(this.host.clientHeight / this.how.height) - 1);
        const to = {
            ArrowDown: this.active + 1,
            ArrowUp: this.active - 1,
            PageDown: this.active + page,
            PageUp: this.active - page,
            Home: inField ? undefined : 0,
            End: inField ? undefined : this.length - 1,
        }[event.key];
        if (this.how.key?.(event, this.active)) {
            event.preventDefault();
            event.stopPropagation();
        } else if (to !== undefined) {
            event.preventDefault();
            event.stopPropagation();
            this.activate(to);
        } else if (event.key === "Enter" || (event.key === " " && !inField)) {
            event.preventDefault();
            event.stopPropagation();
            if (this.active >= 0) this.how.choose(this.active, event);
        }
    }
}
