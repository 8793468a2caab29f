// What is searched for, and where: `conv op:Relu attr:kernel_shape=3`, all of which must hold.

/** What may stand before a colon in a query, and what it looks at. */
const FIELDS = {
    op: "the operator, e.g. op:Conv",
    name: "names of nodes and groups",
    attr: "an attribute, e.g. attr:group or attr:kernel_shape=3",
    shape: "shapes of outputs and parameters, e.g. shape:64x56x56",
    dtype: "types of elements, e.g. dtype:float16",
    param: "parameters, by name or kind",
    from: "the framework's operator, its module or source line",
    is: "input, output, operator, untranslated, backward, or group",
};

/**
 * The parts of a query.
 * @param {string} text Words; "in quotes" with spaces; some with a prefix of FIELDS.
 * @returns {{field: string, want: string}[]} In lower case.
 */
function parsed(text) {
    const parts = [];
    for (const [, field, quoted, bare] of text.toLowerCase().matchAll(/(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))/g)) {
        const want = quoted ?? bare;
        const known = field !== undefined && Object.hasOwn(FIELDS, field);
        const whole = field === undefined || known ? want : `${field}:${want}`;
        if (whole) parts.push({ field: known ? field : "", want: whole });
    }
    return parts.filter(({ field, want }) => field || !Object.keys(FIELDS).some((name) => want === `${name}:`));
}

/** A shape or list in one spelling: "3 × 3", "[3, 3]" and "3x3" are "3x3". @param {string} text */
const plainList = (text) =>
    text
        .toLowerCase()
        .replace(/[[\]() ]/g, "")
        .replace(/[×,*]/g, "x");

/** Whether a list has another in it: "nx64x56x56" has "64x56". */
const hasRun = (list, run) => `x${list}x`.includes(`x${run}x`);

/** Whether an attribute is as wanted: `group`, `kernel_shape=3`, `auto_pad=same`. */
function isAttribute([name, value], want) {
    const at = want.indexOf("=");
    if (!name.toLowerCase().includes(at < 0 ? want : want.slice(0, at))) return false;
    if (at < 0) return true;
    const wanted = want.slice(at + 1);
    return /^[-+.\de x×,*[\]()]+$/.test(wanted)
        ? hasRun(plainList(value), plainList(wanted))
        : value.toLowerCase().includes(wanted);
}

/** Finds nodes and groups of a graph. */
class SearchIndex {
    /** @param {Graph} graph */
    constructor(graph) {
        this.graph = graph;
        this.nodes = graph.nodes.map((node) => this.entry(node));
        this.groups = graph.groups.map((group) => ({
            name: `${group.name}\n${group.label}`.toLowerCase(),
            leaf: calledGroup(group).toLowerCase(),
            all: `${group.name}\n${group.label}\n${group.note}`.toLowerCase(),
        }));
    }

    entry(node) {
        const { origin = {} } = node;
        const parameters = (node.parameters ?? []).map(([, number]) => this.graph.parameters[number]);
        const outputs = node.outputs ?? [[node.name, node.dtype, node.shape]];
        const op = fullOp(node).toLowerCase();
        const name = `${node.name}\n${node.label}`.toLowerCase();
        const param = parameters
            .map((item) => `${item.name} ${item.kind}`)
            .join("\n")
            .toLowerCase();
        const from = [origin.framework, origin.op, origin.name, origin.scope, origin.module, origin.line]
            .filter(Boolean)
            .join("\n")
            .toLowerCase();
        const attributes = (node.attributes ?? [])
            .map(([key, value]) => `${key}=${value}`)
            .join("\n")
            .toLowerCase();
        return {
            op,
            name,
            param,
            from,
            leaf: calledNode(node).toLowerCase(),
            shapes: [...outputs.map((output) => output[2]), ...parameters.map((item) => item.shape)]
                .filter(Boolean)
                .map(plainList),
            dtypes: [...outputs.map((output) => output[1]), ...parameters.map((item) => item.dtype)]
                .join("\n")
                .toLowerCase(),
            all: [
                op,
                name,
                attributes,
                param,
                from,
                outputs
                    .map((output) => output.join(" "))
                    .join("\n")
                    .toLowerCase(),
                node.untranslated ? "untranslated" : "",
            ].join("\n"),
        };
    }

    /**
     * What a query finds, the best first: what is called so, what begins so, then the rest in the graph's order.
     * @param {string} text
     * @returns {Item[]}
     */
    find(text) {
        const parts = parsed(text);
        if (!parts.length) return [];
        const found = [[], [], [], []];
        this.groups.forEach((entry, id) => {
            if (id && parts.every((part) => this.groupIs(entry, id, part)))
                found[this.rank(entry, parts)].push({ kind: "group", id });
        });
        this.nodes.forEach((entry, id) => {
            if (parts.every((part) => this.nodeIs(entry, id, part)))
                found[this.rank(entry, parts)].push({ kind: "node", id });
        });
        return found.flat();
    }

    rank(entry, parts) {
        const words = parts.filter(({ field }) => ["", "op", "name"].includes(field)).map(({ want }) => want);
        const called = [entry.leaf, entry.op].filter(Boolean);
        if (words.some((word) => called.includes(word))) return 0;
        if (words.some((word) => called.some((name) => name.startsWith(word)))) return 1;
        return words.some((word) => called.some((name) => name.includes(word))) ? 2 : 3;
    }

    groupIs(entry, id, { field, want }) {
        if (field === "is") return want === "group" || this.graph.groups[id].kind === want;
        if (field === "name") return entry.name.includes(want);
        return field === "" && entry.all.includes(want);
    }

    nodeIs(entry, id, { field, want }) {
        const node = this.graph.nodes[id];
        switch (field) {
            case "":
                return entry.all.includes(want);
            case "op":
                return entry.op.includes(want);
            case "attr":
                return (node.attributes ?? []).some((attribute) => isAttribute(attribute, want));
            case "shape":
                return entry.shapes.some((shape) => hasRun(shape, plainList(want)));
            case "dtype":
                return entry.dtypes.includes(want);
            case "is":
                return (
                    node.kind === want ||
                    (want === "untranslated" && Boolean(node.untranslated)) ||
                    (want === "backward" && Boolean(node.backward)) ||
                    (want === "constant" && node.kind === "initializer")
                );
            default:
                return entry[field].includes(want);
        }
    }
}
