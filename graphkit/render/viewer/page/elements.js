// What every part of the page uses: elements, numbers and texts. A text of a model enters the page as text only.

const ICONS = "http://www.w3.org/2000/svg";

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * A text of a model, of which control characters become visible signs and none turns the direction of what follows.
 * @param {string} text
 */
function legible(text) {
    return text
        .replace(/[\u0000-\u001f]/g, (char) => String.fromCharCode(0x2400 + char.charCodeAt(0)))
        .replace(/[\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd");
}

/**
 * An element with attributes, handlers and children.
 * @param {string} tag
 * @param {Record<string, string|number|boolean|null|undefined|((event: Event) => void)>} attributes A function is a
 *   handler of the event of that name; null, undefined and false leave an attribute out.
 * @param {...(Node|string|number|null|undefined)} children Text stays text.
 */
function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === "function") element.addEventListener(name, value);
        else if (value !== null && value !== undefined && value !== false)
            element.setAttribute(name, value === true ? "" : legible(String(value)));
    }
    element.append(
        ...children
            .filter((child) => child !== null && child !== undefined && child !== "")
            .map((child) => (child instanceof Node ? child : legible(String(child)))),
    );
    return element;
}

/** An element of SVG. */
function drawn(tag, attributes = {}, ...children) {
    const element = document.createElementNS(ICONS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    element.append(...children);
    return element;
}

/** One of the page's icons. @param {string} name */
function icon(name) {
    return drawn("svg", { class: "icon", "aria-hidden": "true" }, drawn("use", { href: `#i-${name}` }));
}

/** A button that is an icon; its label is what it says when one stays on it, the key in brackets included. */
const tool = (name, label, act) =>
    make("button", { type: "button", class: "plain", "aria-label": label, title: label, click: act }, icon(name));

/** Buttons to the neighbours in a list. @param {string} thing What it lists @param {(by: number) => void} step */
const steppers = (thing, step) => [
    tool("back", `Previous ${thing} (p)`, () => step(-1)),
    tool("forth", `Next ${thing} (n)`, () => step(1)),
];

/** A number as JSON spells it, infinities and NaN too. @param {number|string|null|undefined} value */
function real(value) {
    if (typeof value === "string") return { inf: Infinity, "-inf": -Infinity, nan: NaN }[value] ?? NaN;
    return value ?? NaN;
}

/** A number in few digits: 0, 3.2e−7, 0.25, 1,234, 1.2e6. @param {number|string|null} value */
function brief(value) {
    const number = real(value);
    if (number === 0) return "0";
    if (!Number.isFinite(number)) return Number.isNaN(number) ? "NaN" : number > 0 ? "∞" : "−∞";
    const size = Math.abs(number);
    if (Number.isInteger(number) && size < 1e6) return signed(number.toLocaleString("en"));
    if (size >= 1e6 || size < 1e-3)
        return signed(
            number
                .toExponential(2)
                .replace(/\.?0+e/, "e")
                .replace("e+", "e"),
        );
    return signed(Number(number.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 6 }));
}

const signed = (text) => text.replaceAll("-", "−");

const STEPS = ["", " k", " M", " G", " T", " P", " E"];

/** A count with its unit: 4.09 G, 97.5 MB, 1,024. @param {number|string|null} value @param {string} unit */
function quantity(value, unit = "") {
    const number = real(value);
    if (unit === "bytes") return bytes(number);
    const tail = unit ? ` ${short(unit, 16)}` : "";
    const size = Math.abs(number);
    if (!Number.isFinite(number) || size < 1e4) return brief(value) + tail;
    const step = Math.min(Math.floor(Math.log10(size) / 3), STEPS.length - 1);
    return signed((number / 1000 ** step).toPrecision(3)) + STEPS[step] + tail;
}

/** @param {number} number */
function bytes(number) {
    const size = Math.abs(number);
    if (!Number.isFinite(number) || size < 1000) return `${brief(number)} B`;
    const step = Math.min(Math.floor(Math.log10(size) / 3), STEPS.length - 1);
    return `${signed((number / 1000 ** step).toPrecision(3))}${STEPS[step]}B`;
}

/** @param {number} number */
const count = (number) => number.toLocaleString("en");

/** A number of things: 1 node, 2 nodes. */
const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/**
 * A text of which the middle is left out where it is long; the end of a name tells most.
 * @param {string} text
 * @param {number} limit
 */
function short(text, limit = 80) {
    if (text.length <= limit) return text;
    const tail = Math.floor(((limit - 1) * 3) / 5);
    return `${text.slice(0, limit - 1 - tail).toWellFormed()}…${text.slice(-tail).toWellFormed()}`;
}

/** Tells a reader that listens what has happened. @param {string} text */
function say(text) {
    byId("said").textContent = legible(short(text, 300));
}

/** Puts a text on the clipboard. @param {string} text */
async function copyText(text) {
    try {
        await navigator.clipboard.writeText(text);
        say("Copied.");
    } catch {
        say("The browser does not let this page copy.");
    }
}

/** Lets the browser save a file. @param {Blob} blob @param {string} name */
function saveFile(blob, name) {
    const address = URL.createObjectURL(blob);
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A name of a file that every system takes. @param {string} text */
function fileName(text) {
    return short(text.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, ""), 60) || "graph";
}
