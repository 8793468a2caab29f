// What is known of the node, group or value that is chosen; of the whole graph where none is.

class Panel {
    /**
     * @param {Viewer} viewer
     * @param {{expand: (index: number, group: number) => void, paths: Paths, comparison: Comparison|null}} parts
     */
    constructor(viewer, parts) {
        this.viewer = viewer;
        this.parts = parts;
        this.host = byId("panel");
        viewer.addEventListener("choose", () => this.show());
        viewer.addEventListener("active", () => this.show());
        viewer.addEventListener("theme", () => this.show());
    }

    show() {
        const { active: index, chosen: item } = this.viewer;
        const both = item?.kind === "node" ? this.sides(index, item.id) : null;
        const focused = this.host.contains(document.activeElement);
        this.host.replaceChildren(...(both ?? this.facts(index, item)).filter(Boolean));
        this.host.parentElement.scrollTop = 0;
        if (focused) this.host.focus({ preventScroll: true });
    }

    /** A node beside its counterpart, where graphs are compared. */
    sides(index, id) {
        return this.parts.comparison && sidesOf(this.parts.comparison, this, index, id);
    }

    /** @param {number} index @param {Item|null} item @returns {(Node|null)[]} */
    facts(index, item) {
        if (item?.kind === "node") return this.node(index, item.id);
        if (item?.kind === "edge") return this.edge(index, item.id);
        return this.group(index, item?.id ?? 0);
    }

    node(index, id) {
        return [...this.head(index, id), this.tools(index, id), ...this.body(index, id)];
    }

    /** What a node is, where it is and what is odd about it. */
    head(index, id) {
        const node = this.viewer.graphs[index].nodes[id];
        const family = this.viewer.familyOf(node);
        const badge = make("span", { class: `op ${node.kind}` }, short(opOf(node), 60));
        if (family) {
            badge.style.background = family.fill;
            badge.style.borderColor = family.edge;
            badge.style.color = family.text;
        }
        const words = [
            family ? this.viewer.families[node.family].name : "",
            node.domain,
            node.backward ? "computes gradients" : "",
        ];
        return [
            make(
                "div",
                { class: "title" },
                badge,
                make(
                    "span",
                    { class: "quiet" },
                    words
                        .filter(Boolean)
                        .map((word) => short(word, 60))
                        .join(" · "),
                ),
            ),
            make("h2", {}, short(calledNode(node), 120)),
            node.name === calledNode(node) && node.name.length <= 120 ? null : fullName(node.name),
            crumbs(this.viewer, index, node.group),
            node.untranslated
                ? make("p", { class: "notice" }, make("b", {}, "Not translated. "), long(node.untranslated))
                : null,
        ];
    }

    tools(index, id) {
        const { paths } = this.parts;
        const tool = (text, title, act) => make("button", { type: "button", class: "small", title, click: act }, text);
        return make(
            "div",
            { class: "row-tools" },
            tool("Ancestors", "Everything that it depends on (a)", () => paths.reach("ancestors", index, id)),
            tool("Descendants", "Everything that depends on it (s)", () => paths.reach("descendants", index, id)),
            tool("Path to…", "The shortest path to a node that you pick (t)", () => paths.pick(index, id)),
        );
    }

    body(index, id) {
        const graph = this.viewer.graphs[index];
        const node = graph.nodes[id];
        return [
            section("Attributes", pairs(node.attributes ?? [])),
            overlayFacts(graph, id),
            this.inputs(index, id),
            this.outputs(index, id),
            section(
                "Parameters",
                ...several(node.parameters ?? [], 12, ([role, number]) =>
                    parameterCard(role, graph.parameters[number]),
                ),
            ),
            this.origin(node),
        ];
    }

    inputs(index, id) {
        const graph = this.viewer.graphs[index];
        const node = graph.nodes[id];
        const edges = [...graph.incoming(id)];
        const read = new Set((node.parameters ?? []).map(([, number]) => graph.parameters[number].name));
        const byName = new Map(edges.map((edge) => [valueOf(graph, edge).name, edge]));
        const told = (node.inputs ?? []).filter(([, name]) => !read.has(name));
        const names = new Set(told.map(([, name]) => name));
        const rest = [...byName]
            .filter(([name]) => !names.has(name))
            .map(([name, edge]) => [graph.edges[edge][4] ?? "", name]);
        return section(
            "Inputs",
            ...several([...told, ...rest], 20, ([role, name]) => {
                const edge = byName.get(name);
                return this.value(index, role, name, edge, edge === undefined ? [] : [graph.edges[edge][0]], "from");
            }),
        );
    }

    outputs(index, id) {
        const graph = this.viewer.graphs[index];
        const node = graph.nodes[id];
        const own = node.outputs ?? [[node.name, node.dtype ?? null, node.shape ?? null]];
        const title = node.kind === "operator" ? "Outputs" : "Value";
        return section(
            title,
            ...several([...own.entries()], 20, ([output, [name, dtype, shape]]) => {
                const edges = [...graph.outgoing(id)].filter((edge) => graph.edges[edge][1] === output);
                const readers = [...new Set(edges.map((edge) => graph.edges[edge][2]))];
                return this.value(index, "", name, edges[0], readers, "to", { dtype, shape });
            }),
        );
    }

    /** A value with its type and the nodes at its other end. */
    value(index, role, name, edge, ends, word, known) {
        const { dtype, shape } =
            known ?? (edge === undefined ? { dtype: null, shape: null } : valueOf(this.viewer.graphs[index], edge));
        const shown =
            edge === undefined
                ? make("span", { class: "value" }, short(name, 120))
                : make(
                      "button",
                      {
                          type: "button",
                          class: "link value",
                          title: "Show the value",
                          click: () => this.viewer.choose(index, { kind: "edge", id: edge }, false),
                      },
                      short(name, 120) || "(unnamed)",
                  );
        return make(
            "div",
            { class: "port" },
            make("div", { class: "line" }, role ? make("b", { class: "role" }, short(role, 60)) : null, shown),
            make("div", {}, typeOf(dtype, shape)),
            ends.length
                ? make(
                      "div",
                      { class: "ends-at" },
                      make("span", { class: "quiet" }, word),
                      jumps(this.viewer, index, ends),
                  )
                : null,
        );
    }

    origin(node) {
        const { origin = {} } = node;
        return section(
            "Origin",
            pairs([
                ["framework", origin.framework ?? ""],
                ["operator", origin.op ?? ""],
                ["name", origin.name ?? ""],
                ["scope", origin.scope || node.scope || ""],
                ["module", origin.module ?? ""],
                ["source line", origin.line ?? ""],
            ]),
        );
    }

    edge(index, id) {
        const graph = this.viewer.graphs[index];
        const [tail, output, , , kind] = graph.edges[id];
        const { name, dtype, shape } = valueOf(graph, id);
        const readers = [...graph.outgoing(tail)]
            .filter((edge) => graph.edges[edge][1] === output)
            .map((edge) => graph.edges[edge][2]);
        return [
            make(
                "div",
                { class: "title" },
                make("span", { class: "op value" }, kind === "body" ? "value of a body" : "value"),
            ),
            make("h2", {}, short(name, 120) || "(unnamed)"),
            name.length > 120 ? fullName(name) : null,
            section("Type", make("div", {}, typeOf(dtype, shape))),
            section("Made by", jumps(this.viewer, index, [tail])),
            section("Read by", jumps(this.viewer, index, [...new Set(readers)])),
        ];
    }

    group(index, id) {
        const graph = this.viewer.graphs[index];
        const group = graph.groups[id];
        const nodes = [...graph.nodesOf(id)];
        if (id === 0) return [...this.whole(index), ...this.contents(index, 0, nodes)];
        const expanded = this.viewer.scenes[index].expanded.has(id);
        const kinds = {
            scope: "module",
            pass: "pass",
            operator: "operator with bodies",
            body: "body",
            run: "consecutive nodes",
        };
        return [
            make(
                "div",
                { class: "title" },
                make("span", { class: "op group" }, kinds[group.kind] ?? "group"),
                make("span", { class: "quiet" }, short(group.note, 120)),
            ),
            make("h2", {}, short(calledGroup(group), 120)),
            group.name === calledGroup(group) ? null : fullName(group.name),
            crumbs(this.viewer, index, group.parent),
            make(
                "div",
                { class: "row-tools" },
                make(
                    "button",
                    { type: "button", class: "small", title: "Enter", click: () => this.parts.expand(index, id) },
                    expanded ? "Collapse" : "Expand",
                ),
                group.owner === undefined
                    ? null
                    : make(
                          "button",
                          {
                              type: "button",
                              class: "small",
                              click: () => this.viewer.choose(index, { kind: "node", id: group.owner }),
                          },
                          "Its operator",
                      ),
            ),
            ...this.contents(index, id, nodes),
        ];
    }

    /** What a page says of its graph while nothing is chosen. */
    whole(index) {
        const graph = this.viewer.graphs[index];
        const inBody = (node) => graph.path(node.group).some((group) => graph.groups[group].kind === "body");
        const ends = (kind) =>
            graph.nodes.flatMap((node, number) => (node.kind === kind && !inBody(node) ? [number] : []));
        const terminals = (title, kind) =>
            section(
                title,
                ...several(ends(kind), 12, (id) =>
                    make(
                        "div",
                        { class: "port" },
                        make("div", { class: "line" }, jump(this.viewer, index, { kind: "node", id })),
                        make("div", {}, typeOf(graph.nodes[id].dtype ?? null, graph.nodes[id].shape ?? null)),
                    ),
                ),
            );
        return [
            make("div", { class: "title" }, make("span", { class: "op group" }, "graph")),
            make("h2", {}, short(graph.title, 120) || "graph"),
            make("p", { class: "quiet value" }, graph.data.source === graph.title ? "" : short(graph.data.source, 300)),
            pairs(graph.data.facts),
            this.parts.comparison?.summary() ?? null,
            terminals("Inputs", "input"),
            terminals("Outputs", "output"),
        ];
    }

    /** What a group holds: sums, and operators by type. */
    contents(index, id, nodes) {
        const graph = this.viewer.graphs[index];
        const [types, parameters] = [new Map(), new Set()];
        for (const number of nodes) {
            const node = graph.nodes[number];
            if (node.kind === "operator") {
                const type = fullOp(node);
                if (types.has(type)) types.get(type).push(number);
                else types.set(type, [number]);
            }
            for (const [, parameter] of node.parameters ?? []) parameters.add(parameter);
        }
        const own = [...parameters]
            .map((number) => graph.parameters[number])
            .filter((item) => item.kind === "parameter");
        const sum = (name) => own.reduce((total, item) => total + (item[name] ?? 0), 0);
        const most = [...types].sort(([, one], [, two]) => two.length - one.length);
        return [
            id
                ? pairs([
                      ["operators", count(graph.groups[id].nodes)],
                      [
                          "parameters",
                          own.length
                              ? `${quantity(sum("elements"))} in ${counted(own.length, "tensor")}, ${bytes(sum("bytes"))}`
                              : "",
                      ],
                      ...graph.overlays.map((overlay) => [overlay.title, this.total(overlay, nodes)]),
                  ])
                : null,
            section(
                "Operators",
                most.length
                    ? make(
                          "div",
                          { class: "bars" },
                          ...several(most, 30, ([name, members]) => this.bar(index, name, members, most[0][1].length)),
                      )
                    : null,
            ),
        ];
    }

    /** The sum of an overlay in a group, or its worst node where it judges. */
    total(overlay, nodes) {
        const marks = nodes.map((node) => overlay.marks[node]).filter(Boolean);
        if (!marks.length) return "";
        const known = marks
            .map(([value]) => value)
            .filter((value) => value !== null)
            .map(real);
        const unknown = marks.length - known.length ? ` and ${count(marks.length - known.length)} unknown` : "";
        if (!known.length) return "unknown";
        if (overlay.scale !== "bound")
            return (
                quantity(
                    known.reduce((one, two) => one + two, 0),
                    overlay.unit,
                ) + unknown
            );
        const worst = known.reduce((one, two) => (Number.isNaN(two) || two > one ? two : one), 0);
        return `${amount(overlay, worst)} at worst${unknown}`;
    }

    bar(index, name, members, most) {
        const node = this.viewer.graphs[index].nodes[members[0]];
        const family = this.viewer.familyOf(node);
        const fill = make("span", { class: "fill", "aria-hidden": "true" });
        fill.style.width = `${(100 * members.length) / most}%`;
        if (family) {
            fill.style.background = family.fill;
            fill.style.borderColor = family.edge;
        }
        let next = -1;
        return make(
            "button",
            {
                type: "button",
                class: "bar",
                title: "Go to the next of them",
                click: () => {
                    next = (next + 1) % members.length;
                    const item = { kind: "node", id: members[next] };
                    this.viewer.place(index, item);
                    say(`${this.viewer.called(index, item)}, ${next + 1} of ${members.length}`);
                },
            },
            make("span", { class: "text" }, short(name, 60)),
            make("span", { class: "track" }, fill),
            make("span", { class: "number" }, count(members.length)),
        );
    }
}
