// Parts that panels are made of.

/** A part of a panel with a heading; nothing if it is empty. @param {string} title */
function section(title, ...children) {
    const kept = children.filter((child) => child !== null && child !== undefined);
    return kept.length ? make("section", {}, make("h3", {}, title), ...kept) : null;
}

/** Names and values in two columns; nothing if there are none. @param {[string, string|Node][]} rows */
function pairs(rows) {
    const kept = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
    if (!kept.length) return null;
    return make(
        "dl",
        { class: "pairs" },
        ...kept.flatMap(([name, value]) => [
            make("dt", {}, short(String(name), 80)),
            make("dd", {}, value instanceof Node ? value : long(String(value))),
        ]),
    );
}

const LONG = 400;

/** A text; of a long one the middle only when asked for. @param {string} text */
function long(text) {
    if (text.length <= LONG) return make("span", { class: "value" }, text);
    const shown = make("span", { class: "value" }, short(text, LONG));
    const more = make(
        "button",
        {
            type: "button",
            class: "link",
            click: () => {
                shown.textContent = legible(text);
                more.remove();
            },
        },
        `all ${count(text.length)} characters`,
    );
    return make("span", {}, shown, " ", more);
}

/** Element type and shape of a value. */
function typeOf(dtype, shape) {
    if (!dtype && shape === null) return make("span", { class: "type quiet" }, "unknown");
    return make(
        "span",
        { class: "type" },
        dtype ? make("span", { class: "dtype" }, dtype) : null,
        shape === null || shape === undefined
            ? make("span", { class: "quiet" }, " unknown shape")
            : shape === ""
              ? " scalar"
              : ` ${short(shape, 120)}`,
    );
}

/**
 * A button that goes to something.
 * @param {Viewer} viewer @param {number} index @param {Item} item
 */
function jump(viewer, index, item) {
    const graph = viewer.graphs[index];
    const press = () => viewer.choose(index, item);
    if (item.kind === "group") {
        return make(
            "button",
            { type: "button", class: "jump", click: press },
            make("span", { class: "dot group" }),
            make("span", { class: "text" }, short(calledGroup(graph.groups[item.id]), 90)),
        );
    }
    const node = graph.nodes[item.id];
    return make(
        "button",
        { type: "button", class: "jump", title: short(node.name, 300), click: press },
        dot(viewer, node),
        make("span", { class: "text" }, make("b", {}, short(opOf(node), 40)), " ", short(calledNode(node), 90)),
    );
}

/** Entries that follow when more are asked for. */
const MORE = 100;

/**
 * What is made of the first few of many things, and a button in whose place come more.
 * @template T
 * @param {T[]} things
 * @param {number} few
 * @param {(thing: T) => Node} build
 * @returns {Node[]}
 */
function several(things, few, build) {
    const shown = things.slice(0, few).map(build);
    const rest = things.slice(few);
    if (!rest.length) return shown;
    const more = make(
        "button",
        { type: "button", class: "link more", click: () => more.replaceWith(...several(rest, MORE, build)) },
        `${count(rest.length)} more`,
    );
    return [...shown, more];
}

/** Buttons that go to nodes. @param {number[]} nodes */
function jumps(viewer, index, nodes) {
    const entries = several(nodes, 8, (id) => jump(viewer, index, { kind: "node", id }));
    return make("div", { class: "jumps" }, ...entries);
}

/** The groups around something, as buttons. @param {number} group The innermost. */
function crumbs(viewer, index, group) {
    const graph = viewer.graphs[index];
    if (!graph.nodes.length) return null;
    const around = graph.path(group);
    const trail = make(
        "nav",
        { class: "crumbs", "aria-label": "Groups around it" },
        make("button", { type: "button", click: () => viewer.choose(index, null) }, short(graph.title || "graph", 40)),
    );
    for (const id of around) {
        const { note, name } = graph.groups[id];
        trail.append(
            make("span", { class: "quiet", "aria-hidden": "true" }, "›"),
            make(
                "button",
                {
                    type: "button",
                    title: short([name, note].filter(Boolean).join(": "), 300),
                    click: () => viewer.choose(index, { kind: "group", id }),
                },
                short(calledGroup(graph.groups[id]), 40),
            ),
        );
    }
    return trail;
}

/** A name with a button that copies it. @param {string} name */
function fullName(name) {
    if (!name) return null;
    return make(
        "p",
        { class: "full-name" },
        long(name),
        " ",
        make(
            "button",
            {
                type: "button",
                class: "plain",
                "aria-label": "Copy the name",
                title: "Copy the name",
                click: () => copyText(name),
            },
            icon("copy"),
        ),
    );
}

/** A parameter with its size, its numbers and how they are spread. @param {string} role @param {object} item */
function parameterCard(role, item) {
    const found = item.statistics;
    const odd = found
        ? [
              ["zeros", found.zeros],
              ["NaN", found.nans],
              ["infinite", found.infinities],
          ].filter(([, many]) => many)
        : [];
    const size = [
        item.elements === null || item.elements === undefined ? "" : counted(item.elements, "element"),
        item.bytes === null || item.bytes === undefined ? "" : bytes(item.bytes),
    ]
        .filter(Boolean)
        .join(", ");
    const part = found && item.elements > found.counted ? `of ${count(found.counted)} elements at even distances` : "";
    return make(
        "div",
        { class: "parameter" },
        make(
            "div",
            { class: "line" },
            make("b", { class: "role" }, short(role || item.kind || "parameter", 60)),
            typeOf(item.dtype, item.shape),
        ),
        make("div", { class: "value quiet" }, long(item.name)),
        make("div", { class: "quiet" }, [item.kind, size].filter(Boolean).join(" · ")),
        item.values === undefined ? null : make("div", { class: "values" }, "= ", long(item.values)),
        found?.histogram ? histogram(found, item.name) : null,
        odd.length
            ? make(
                  "div",
                  { class: "odd" },
                  ...odd.map(([name, many]) =>
                      make(
                          "span",
                          { class: `tag ${name === "zeros" ? "" : "bad"}` },
                          `${count(many)} ${name}${found.counted ? ` (${brief((100 * many) / found.counted)} %)` : ""}`,
                      ),
                  ),
              )
            : null,
        part ? make("div", { class: "quiet" }, part) : null,
    );
}

/** What overlays say of a node. @param {Graph} graph @param {number} node */
function overlayFacts(graph, node) {
    const found = graph.overlays.filter((overlay) => overlay.marks[node]);
    if (!found.length) return null;
    return section(
        "Measured",
        ...found.map((overlay) => {
            const [value, verdict, lines] = overlay.marks[node];
            const named = `${overlay.title}: `;
            const exact = lines.find((line) => line.startsWith(named));
            return make(
                "div",
                { class: "measured" },
                make(
                    "div",
                    { class: "line" },
                    make("b", {}, short(overlay.title, 80)),
                    make("span", { class: "amount" }, exact ? long(exact.slice(named.length)) : amount(overlay, value)),
                    verdict ? make("span", { class: `tag ${verdict}` }, verdict) : null,
                ),
                ...lines
                    .filter((line) => line !== exact)
                    .map((line) => make("div", { class: "quiet value" }, long(line))),
            );
        }),
    );
}

/** A value of an overlay in words. */
function amount(overlay, value) {
    if (value === null || value === undefined) return "unknown";
    return overlay.scale === "bound" ? `${brief(value)} of the bound` : quantity(value, overlay.unit);
}
