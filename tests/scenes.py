"""Pages that show a graph by the viewer's engine alone, and graphs to show."""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from browser import opened

from graphkit.render.style import COLOURS
from graphkit.render.viewer.page import SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Page

__all__ = ["graph", "nested", "operator", "shown"]

_ENGINE = SCRIPTS[: SCRIPTS.index("minimap.js") + 1]

_START = """
const payload = JSON.parse(document.getElementById("payload").textContent);
const host = document.getElementById("host");
const data = new Graph(payload.graph);
const scene = new Scene(host, data, { families: payload.families, theme: payload.theme });
const map = new Minimap(document.getElementById("map"), scene);
Object.assign(window, { scene, data, map, heatScale, mixTextOn, sceneDistance });
"""


def operator(op: str = "Relu", group: int = 0, **more: Any) -> dict[str, Any]:
    """An operator of a payload, with one output."""
    node = {"kind": "operator", "op": op, "domain": "", "name": op, "label": op.lower(), "family": 2, "group": group}
    node |= {"attributes": [], "inputs": [], "parameters": [], "origin": {}, "outputs": [["y", "float32", "N × 64"]]}
    return node | more


def graph(
    nodes: Sequence[dict[str, Any]],
    edges: Sequence[tuple[int, int]],
    parents: Sequence[int] = (),
    *,
    overlays: Sequence[dict[str, Any]] = (),
    title: str = "a graph",
) -> dict[str, Any]:
    """A graph of a payload.

    Args:
        nodes: Its nodes.
        edges: Pairs of nodes.
        parents: For each group but the graph itself, the group that holds it.
        overlays: As the payload has them.
        title: What it is called.
    """
    groups = [{"name": "", "label": "", "note": "", "parent": -1, "kind": "graph", "nodes": len(nodes)}]
    groups += [
        {"name": f"g{k}", "label": f"g{k}", "note": "Block", "parent": parent, "kind": "scope", "nodes": 0}
        for k, parent in enumerate(parents, 1)
    ]
    for node in nodes:
        group = node["group"]
        while group > 0:
            groups[group]["nodes"] += 1
            group = groups[group]["parent"]
    inputs = [0] * len(nodes)
    listed = []
    for tail, head in edges:
        listed.append([tail, 0, head, inputs[head]])
        inputs[head] += 1
    return {"title": title, "nodes": list(nodes), "groups": groups, "edges": listed, "overlays": list(overlays)}


def nested(seed: int, size: int = 60) -> dict[str, Any]:
    """A random graph in random nested groups, with skips, joins and what nothing feeds."""
    rng = random.Random(seed)
    parents = [rng.randrange(0, k) for k in range(1, 9)]
    group = 0
    nodes = []
    for _ in range(size):
        if rng.random() < 0.3:
            group = rng.randrange(len(parents) + 1)
        details = ["3×3, pad 1"] * rng.randrange(3)
        nodes.append(operator(rng.choice(["Conv", "Relu", "BatchNormalization"]), group, details=details))
    edges = []
    for head in range(1, size):
        if rng.random() < 0.9:
            edges.append((head - 1 if rng.random() < 0.7 else rng.randrange(head), head))
        if rng.random() < 0.3:
            edges.append((rng.randrange(head), head))
    return graph(nodes, edges, parents)


@contextmanager
def shown(browser: Browser, folder: Path, told: dict[str, Any], *, theme: str = "light") -> Iterator[Page]:
    """A page with a graph; ``scene``, ``data`` and what tests call are its globals."""
    families = [{"name": name, **colour._asdict()} for name, colour in COLOURS.items()]
    payload = json.dumps({"graph": told, "families": families, "theme": theme}).replace("<", "\\u003c")
    root = files("graphkit.render.viewer")
    script = "\n".join(root.joinpath("page", name).read_text(encoding="utf-8") for name in _ENGINE)
    libraries = root.joinpath("libraries", "libraries.js").read_text(encoding="utf-8")
    file = folder / "page.html"
    file.write_text(
        "<!doctype html><meta charset=utf-8><style>body{margin:0}#host{width:1000px;height:800px}"
        "#map{position:absolute;top:600px;left:1020px;width:150px;height:180px}</style>"
        "<div id=host tabindex=0></div><div id=map></div>"
        f'<script type="application/json" id="payload">{payload}</script>'
        f'<script>{libraries}</script><script type="module">{script}{_START}</script>',
        encoding="utf-8",
    )
    with opened(browser, file) as page:
        page.wait_for_function("window.scene")
        yield page
