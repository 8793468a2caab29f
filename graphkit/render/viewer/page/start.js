// What happens when the page is opened.

/** The page's data. @returns {Promise<object>} */
async function openPayload() {
    const element = byId("payload");
    const text = element.textContent.trim();
    if (element.dataset.encoding !== "gzip") return JSON.parse(text);
    if (typeof DecompressionStream === "undefined") {
        throw new Error(
            "This browser is too old to unpack the graph: it has no DecompressionStream. " +
                "Current versions of Chrome, Edge, Firefox and Safari have it.",
        );
    }
    const letters = atob(text);
    const packed = new Uint8Array(letters.length);
    for (let at = 0; at < packed.length; at++) packed[at] = letters.charCodeAt(at);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
}

/** Tells a reader why there is nothing to see. @param {string} text */
function tellMessage(text) {
    byId("message").replaceChildren(make("p", {}, text));
    byId("message").hidden = false;
}

/** @param {object} payload */
function showGraphs(payload) {
    byId("message").hidden = true;
    byId("main").hidden = false;
    const columns = new Columns(payload.diff !== null);
    const viewer = new Viewer(payload);
    byId("stages").classList.toggle("two", payload.graphs.length > 1);
    const tabs = new Tabs(columns);
    const outline = new Outline(viewer, tabs.add("outline", "Outline"));
    const comparison = payload.diff ? new Comparison(viewer, tabs) : null;
    const heat = new Heat(viewer, tabs);
    const paths = new Paths(viewer, heat);
    const search = new SearchBox(viewer);
    const help = new Help();
    const toolbar = new Toolbar(viewer, help);
    const expand = (index, group) => toolbar.toggle(index, group);
    const panel = new Panel(viewer, { expand, paths, comparison });
    const parts = { search, toolbar, paths, heat, columns, help, comparison, tabs, expand };
    const keyboard = new Keyboard(viewer, parts);
    help.fill(keyboard.table, comparison !== null);
    viewer.scenes.forEach((scene, index) => {
        const host = make("div", { class: "minimap-host" });
        viewer.stages[index].append(host);
        new Minimap(host, scene);
        scene.addEventListener("expand", () => viewer.chosen?.kind === "group" && panel.show());
    });
    const tip = new Tip(viewer);
    if (!comparison && viewer.graph.groups.length === 1) tabs.open("outline");
    panel.show();
    viewer.dress(viewer.theme);
    if (payload.colours) heat.show(payload.colours);
    const link = new DeepLink(viewer, heat);
    link.follow();
    return {
        viewer,
        scenes: viewer.scenes,
        graphs: viewer.graphs,
        outline,
        comparison,
        heat,
        paths,
        search,
        panel,
        tip,
    };
}

/** Tells tests and measurements what there is. @param {object} parts */
function tellReady(parts) {
    window.graphkitViewer = { ...parts, ready: true, openedIn: performance.now() };
    document.documentElement.dataset.viewer = parts.failed ? "failed" : "ready";
}

async function start() {
    byId("message").hidden = false;
    try {
        const payload = await openPayload();
        if (payload.graphs.every((graph) => !graph.nodes.length)) {
            const names = payload.graphs.map((graph) => short(graph.title, 100)).join(", ");
            tellMessage(`The graph is empty: ${names || "it"} has no operators, inputs or outputs.`);
            tellReady({ scenes: [] });
            return;
        }
        const parts = showGraphs(payload);
        requestAnimationFrame(() => requestAnimationFrame(() => tellReady(parts)));
    } catch (problem) {
        byId("main").hidden = true;
        tellMessage(`The graph cannot be shown. ${problem instanceof Error ? problem.message : ""}`);
        tellReady({ scenes: [], failed: String(problem) });
    }
}

await start();
