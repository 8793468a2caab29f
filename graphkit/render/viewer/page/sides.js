// A node of one graph beside its counterpart in the other, in the panel.

/**
 * What is known of a pair of nodes: what differs first, then all attributes and values with what differs marked.
 * @param {Comparison} comparison @param {Panel} panel
 * @param {number} index @param {number} id A node of one side.
 * @returns {(Node|null)[]|null} Null for a node that was not compared.
 */
function sidesOf(comparison, panel, index, id) {
    const { viewer, pairOf, pairs: all } = comparison;
    const pair = pairOf[index].get(id);
    if (pair === undefined) return null;
    const [one, two, status] = all[pair];
    const lines = viewer.diff.told?.[pair] ?? [];
    const where = { added: "only in B", removed: "only in A" }[status];
    const verdict = make(
        "div",
        { class: "verdict" },
        comparison.badge(status),
        make("b", {}, STATUS[status].title),
        where ? make("span", { class: "quiet" }, where) : null,
    );
    const told = lines.length
        ? make("ul", { class: "told" }, ...lines.map((line) => make("li", {}, long(line))))
        : null;
    if (one === null || two === null) return [verdict, told, ...panel.node(index, id)];
    const [left, right] = comparison.nodesOf(pair);
    return [
        verdict,
        told,
        ...panel.head(index, id),
        panel.tools(index, id),
        section(
            "Both sides",
            beside([
                ["name", left.name, right.name],
                ["operator", fullOp(left), fullOp(right)],
                ["group", viewer.graphs[0].groups[left.group].name, viewer.graphs[1].groups[right.group].name],
            ]),
        ),
        section("Attributes on both sides", beside(joined(left.attributes ?? [], right.attributes ?? []))),
        section(
            "Values on both sides",
            beside([
                ...joined(valuesOf(viewer.graphs[0], left, "outputs"), valuesOf(viewer.graphs[1], right, "outputs")),
                ...joined(
                    valuesOf(viewer.graphs[0], left, "parameters"),
                    valuesOf(viewer.graphs[1], right, "parameters"),
                ),
            ]),
        ),
        make("details", {}, make("summary", {}, "All of A"), ...panel.body(0, one).filter(Boolean)),
        make("details", {}, make("summary", {}, "All of B"), ...panel.body(1, two).filter(Boolean)),
    ];
}

/** Outputs by position, or parameters by role, as names and what they are. @returns {[string, string][]} */
function valuesOf(graph, node, what) {
    const text = (dtype, shape) => [dtype ?? "unknown", shape ?? "unknown shape"].filter(Boolean).join(" ");
    if (what === "parameters") {
        return (node.parameters ?? []).map(([role, number]) => [
            role || "parameter",
            text(graph.parameters[number].dtype, graph.parameters[number].shape),
        ]);
    }
    return (node.outputs ?? [["", node.dtype, node.shape]]).map(([, dtype, shape], at) => [
        `output ${at}`,
        text(dtype, shape),
    ]);
}

/** Two lists of names and values as one. @returns {[string, string|undefined, string|undefined][]} */
function joined(left, right) {
    const [one, two] = [new Map(left), new Map(right)];
    return [...new Set([...one.keys(), ...two.keys()])].map((name) => [name, one.get(name), two.get(name)]);
}

/** A table of names with the values of both sides. */
function beside(rows) {
    if (!rows.length) return null;
    const cell = (value) => make("td", {}, value === undefined ? make("span", { class: "quiet" }, "–") : long(value));
    return make(
        "table",
        { class: "beside" },
        make(
            "thead",
            {},
            make("tr", {}, make("td"), make("th", { scope: "col" }, "A"), make("th", { scope: "col" }, "B")),
        ),
        make(
            "tbody",
            {},
            ...rows.map(([name, left, right]) =>
                make(
                    "tr",
                    left === right ? {} : { class: "differs" },
                    make("th", { scope: "row" }, short(name, 60)),
                    cell(left),
                    cell(right),
                ),
            ),
        ),
    );
}
