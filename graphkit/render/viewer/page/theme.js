// The colours of the canvas by day and by night, and those of overlays.

/** Colours of what is not an operator. Those of operators come with the payload. */
const THEMES = {
    light: {
        dark: false,
        page: "#fbfbfc",
        ink: "#1b1f24",
        muted: "#525b66",
        surface: "#ffffff",
        frames: ["#f3f5f8", "#e9edf2", "#dfe5ec", "#d5dde6"],
        backward: ["#fbf4ea", "#f7ebdb", "#f2e1cb", "#ecd7bb"],
        frameEdge: "#b8c0cb",
        module: { fill: "#e7e0f4", edge: "#7a68a6", text: "#221a38" },
        terminal: { fill: "#ffffff", edge: "#3b434d", text: "#1b1f24" },
        line: "#737e8b",
        arrow: "#5d6773",
        accent: "#0b63ce",
        producer: "#b35900",
        untranslated: "#c62828",
        blank: "#eceef1",
    },
    dark: {
        dark: true,
        page: "#14171b",
        ink: "#e8eaed",
        muted: "#a0a9b5",
        surface: "#1d2127",
        frames: ["#1a1e24", "#20252d", "#272d36", "#2e3540"],
        backward: ["#221d16", "#2a231a", "#32291e", "#3a3023"],
        frameEdge: "#434c59",
        module: { fill: "#362e4c", edge: "#a594d6", text: "#eee9fb" },
        terminal: { fill: "#14171b", edge: "#b9c1cc", text: "#e8eaed" },
        line: "#7a8694",
        arrow: "#95a0ae",
        accent: "#6cb2ff",
        producer: "#ffa94d",
        untranslated: "#ff7b72",
        blank: "#262b32",
    },
};

/** Red, green and blue of "#rrggbb", 0 to 255. */
function mixParts(colour) {
    const value = parseInt(colour.slice(1), 16);
    return [value >> 16, (value >> 8) & 255, value & 255];
}

/** A colour between two, `share` of the way from `a` to `b`. */
function mixColours(a, b, share) {
    const [from, to] = [mixParts(a), mixParts(b)];
    return `#${from.map((part, at) => Math.round(part + (to[at] - part) * share).toString(16).padStart(2, "0")).join("")}`;
}

/** Relative luminance, WCAG 2.2. */
function mixLuminance(colour) {
    const [r, g, b] = mixParts(colour).map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever is read better on a colour. */
function mixTextOn(colour) {
    return /^#[0-9a-f]{6}$/i.test(colour) && mixLuminance(colour) < 0.179 ? "#ffffff" : "#000000";
}

/** A family's colours in a theme: as the payload has them by day, toned down by night. */
function mixFamily(family, theme) {
    if (!theme.dark) return { fill: family.fill, edge: family.edge, text: family.text };
    const parts = mixParts(family.fill);
    const grey = Math.max(...parts) - Math.min(...parts) < 16;
    const fill = mixColours(theme.surface, grey ? "#8b96a4" : family.fill, grey ? 0.22 : 0.42);
    return { fill, edge: mixColours(theme.surface, grey ? "#8b96a4" : family.fill, 0.75), text: "#f2f4f6" };
}

// Paul Tol's "YlOrBr" for amounts and "sunset" for shares of a bound (https://sronpersonalpages.nl/~pault/): both are
// told apart by colour-blind eyes. By night amounts run from dark to bright.
const mixAmounts = ["#fff7bc", "#fee391", "#fec44f", "#fb9a29", "#ec7014", "#cc4c02", "#993404", "#662506"];
const mixBound = [
    ...["#364b9a", "#4a7bb7", "#6ea6cd", "#98cae1", "#c2e4ef", "#eaeccc"],
    ...["#feda8b", "#fdb366", "#f67e4b", "#dd3d2d", "#a50026"],
];

function mixAlong(colours, share) {
    const place = Math.max(0, Math.min(1, share)) * (colours.length - 1);
    const at = Math.min(colours.length - 2, Math.floor(place));
    return mixColours(colours[at], colours[at + 1], place - at);
}

/** A number of the payload; NaN where it is not known, infinite ones as they are. */
function heatNumber(value) {
    if (value === null || value === undefined || value === "nan") return NaN;
    if (value === "inf") return Infinity;
    if (value === "-inf") return -Infinity;
    return Number(value);
}

/**
 * How an overlay's numbers become colours.
 *
 * "bound" shows shares of a bound by magnitude: the middle of the colours is the bound itself, the ends are a thousandth
 * and a thousand times it.
 * @param {object} overlay An overlay of the payload.
 * @param {"light"|"dark"} themeName
 */
function heatScale(overlay, themeName) {
    const theme = THEMES[themeName];
    const values = Object.values(overlay.marks).map(([value]) => heatNumber(value)).filter(Number.isFinite);
    const bound = overlay.scale === "bound";
    const log = overlay.scale === "log";
    const positive = values.filter((value) => value > 0);
    let low = log ? Math.min(...heatFew(positive, Math.min)) : Math.min(0, ...heatFew(values, Math.min));
    let high = Math.max(...heatFew(values, Math.max));
    if (bound) [low, high] = [1e-3, 1e3];
    if (!Number.isFinite(low)) low = 0;
    if (!Number.isFinite(high) || high <= low) high = low + 1;
    const colours = bound ? mixBound : theme.dark ? [...mixAmounts].reverse() : mixAmounts;
    const share = (value) => {
        if (!bound && !log) return (value - low) / (high - low);
        if (value <= 0) return 0;
        return Math.log(value / low) / Math.log(high / low);
    };
    const valueAt = (at) => (bound || log ? low * (high / low) ** at : low + at * (high - low));
    return {
        low,
        high,
        scale: overlay.scale,
        unit: overlay.unit ?? "",
        stops: Array.from({ length: 11 }, (_, at) => ({
            at: at / 10,
            colour: mixAlong(colours, at / 10),
            value: valueAt(at / 10),
        })),
        /** Colour of a value; null for a node that the overlay says nothing of. */
        colour(value, verdict = "") {
            const number = heatNumber(value);
            if (Number.isNaN(number)) {
                if (verdict === "fail") return bound ? mixBound[mixBound.length - 1] : colours[colours.length - 1];
                return theme.blank;
            }
            return mixAlong(colours, number === Infinity ? 1 : number === -Infinity ? 0 : share(number));
        },
        textOn: mixTextOn,
    };
}

/** One number of many, so that no call gets more arguments than engines allow. */
function heatFew(values, pick) {
    return values.length ? [values.reduce((a, b) => pick(a, b))] : [];
}
