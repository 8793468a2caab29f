// How large boxes are and which words stand in them: cleaned, shortened, measured.

const measureFamily = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const measureFonts = {
    title: `600 13px ${measureFamily}`,
    label: `11px ${measureFamily}`,
    frame: `600 12px ${measureFamily}`,
    edge: `10px ${measureFamily}`,
};
const measureBoxes = { widest: 250, narrowest: 64, side: 12, title: 17, line: 14, pad: 7, frame: 28 };

/** What no canvas should be given: control characters, marks that turn the direction of text, lone surrogates. */
const textUnsafe = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+|\p{Surrogate}/gu;

/** Text of a model as one line of at most `limit` characters; a long one loses its middle. */
function textLine(text, limit = 60) {
    const cut = String(text ?? "").slice(0, 4000).replace(textUnsafe, " ").trim();
    const characters = Array.from(cut);
    if (characters.length <= limit && cut.length === String(text ?? "").trim().length) return cut;
    if (characters.length <= limit) return characters.join("");
    const head = Math.ceil((limit - 1) * 0.6);
    return `${characters.slice(0, head).join("")}…${characters.slice(characters.length - (limit - 1 - head)).join("")}`;
}

/** Measures and shortens text; remembers how wide characters are. */
class TextMeter {
    constructor() {
        this.context = document.createElement("canvas").getContext("2d");
        this.widths = new Map();
    }

    /** Width of a line of text in pixels. */
    width(text, font) {
        let known = this.widths.get(font);
        if (!known) this.widths.set(font, (known = new Map()));
        let sum = 0;
        for (const character of text) {
            let width = known.get(character);
            if (width === undefined) {
                this.context.font = font;
                known.set(character, (width = this.context.measureText(character).width));
            }
            sum += width;
        }
        return sum;
    }

    /** Text that fits into a width; what does not loses its end. */
    fit(text, font, room) {
        if (this.width(text, font) <= room) return text;
        const characters = Array.from(text);
        let [low, high] = [0, characters.length];
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if (this.width(`${characters.slice(0, middle).join("").trimEnd()}…`, font) <= room) low = middle;
            else high = middle - 1;
        }
        return `${characters.slice(0, low).join("").trimEnd()}…`;
    }
}

/**
 * The words of a box and its size.
 * @typedef {{w: number, h: number, title: string, label: string, lines: string[]}} BoxText
 */

/** Sizes the boxes of a graph; each is measured once. */
class BoxMeter {
    /** @param {Graph} graph */
    constructor(graph) {
        this.graph = graph;
        this.text = new TextMeter();
        this.nodes = new Array(graph.nodes.length);
        this.groups = new Array(graph.groups.length);
    }

    /** @param {Item} item @returns {BoxText} */
    box(item) {
        if (item.kind === "node") return (this.nodes[item.id] ??= this.#node(this.graph.nodes[item.id]));
        return (this.groups[item.id] ??= this.#group(item.id));
    }

    #sized(title, label, lines, side = measureBoxes.side) {
        const { widest, narrowest, pad } = measureBoxes;
        const room = widest - 2 * side;
        const { title: bold, label: plain } = measureFonts;
        const fitted = { title: this.text.fit(title, bold, room), label: this.text.fit(label, plain, room) };
        const shown = lines.map((line) => this.text.fit(line, plain, room));
        let width = Math.max(this.text.width(fitted.title, bold), this.text.width(fitted.label, plain));
        for (const line of shown) width = Math.max(width, this.text.width(line, plain));
        const head = 2 * pad + measureBoxes.title + (label ? measureBoxes.line : 0);
        const body = shown.length ? 2 * pad - 4 + shown.length * measureBoxes.line : 0;
        return { w: Math.max(narrowest, Math.ceil(width) + 2 * side), h: head + body, head, ...fitted, lines: shown };
    }

    #node(node) {
        if (node.kind !== "operator") {
            const tensor = [node.dtype, node.shape].filter(Boolean).join("  ");
            return this.#sized(textLine(node.label || node.name, 40) || node.kind, textLine(tensor, 48), [], 18);
        }
        const told = [...(node.details ?? []).slice(0, 3), ...(node.reads ?? []).slice(0, 2)];
        return this.#sized(
            textLine(node.op, 40) || "?",
            textLine(node.label, 40),
            told.map((line) => textLine(line, 48)),
        );
    }

    #group(id) {
        const group = this.graph.groups[id];
        const count = `${group.nodes} operator${group.nodes === 1 ? "" : "s"}`;
        if (group.kind === "operator" && group.owner !== undefined) {
            const owner = this.graph.nodes[group.owner];
            return this.#sized(textLine(owner.op, 40), textLine(owner.label, 40), [count], 22);
        }
        const label = textLine(group.label || group.name, 40) || "…";
        return this.#sized(label, textLine(group.note, 40), [count], 22);
    }

    /** Words of an open group's title bar. @returns {{label: string, note: string, w: number}} */
    frame(id) {
        const group = this.graph.groups[id];
        const owner = group.kind === "operator" && group.owner !== undefined ? this.graph.nodes[group.owner] : null;
        const label = textLine(owner ? owner.op : group.label || group.name, 40) || "…";
        const note = textLine(owner ? owner.label : group.note, 40);
        const width = this.text.width(label, measureFonts.frame) + this.text.width(note, measureFonts.label);
        return { label, note, w: Math.ceil(width) + 58 };
    }
}
