"""The layers of the package, drawn from what its modules import."""

from __future__ import annotations

import ast
import html
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import networkx as nx

import graphkit
from graphkit.render.engine import lay_out
from graphkit.render.style import COLOURS, FONT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pages.generated import Files

_ROOT: Final = Path(graphkit.__file__).parent
_ENTRANCES: Final = {"__init__", "__main__"}
"""Modules that import what they are to show, whatever layer it is of."""
_FRAMEWORK: Final = COLOURS["matmul"]
_PART: Final = COLOURS["convolution"]
_BASE: Final = COLOURS["shape"]
_LINE: Final = 34
"""Characters of a line in a box."""


def _graph() -> nx.DiGraph:
    """Which part imports which: a folder or module of the package, and each framework for itself."""
    graph = nx.DiGraph()
    for path in sorted(_ROOT.rglob("*.py")):
        part = _part(path.relative_to(_ROOT).with_suffix("").parts)
        if part is not None:
            graph.add_node(part)
            graph.add_edges_from((part, other) for other in _imported(path) if other not in (part, None))
    # What all frameworks share finds each of them, and asks it for what is its own.
    graph.remove_edges_from(
        [edge for edge in graph.edges if edge[0] == "frameworks" and edge[1].startswith("frameworks/")]
    )
    return graph


def _part(names: tuple[str, ...]) -> str | None:
    if names[0] in _ENTRANCES:
        return None
    folder = _ROOT.joinpath(*names[:2])
    return "/".join(names[:2]) if names[0] == "frameworks" and folder.is_dir() else names[0]


def _imported(path: Path) -> Iterator[str | None]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module in ("graphkit", "graphkit.frameworks"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            top, *rest = (name or "").split(".")
            if top == "graphkit" and rest:
                yield _part(tuple(rest))


def _picture() -> str:
    """The graph without what follows: an arrow where one part imports another, and not only by way of others."""
    graph = _graph()
    modules = {part for part in graph if not (_ROOT / part).is_dir()} | {"files"}
    low = {part for part in modules if not nx.descendants(graph, part) - modules}
    shown = nx.transitive_reduction(nx.quotient_graph(graph, _blocks(graph, low), relabel=False))
    lines = [
        "digraph layers {",
        f'graph [rankdir=TB, nodesep=0.25, ranksep=0.35, fontname="{FONT}", bgcolor=transparent];',
        f'node [shape=box, style="filled,rounded", fontname="{FONT}", fontsize=12, margin="0.12,0.07"];',
        'edge [color="#777777", arrowsize=0.7];',
    ]
    names = {block: sorted(block) for block in shown}
    lines += [f'"{_named(parts)}" [{_box(parts, low)}];' for parts in sorted(names.values())]
    edges = sorted((_named(names[one]), _named(names[two])) for one, two in shown.edges)
    lines += [f'"{one}" -> "{two}";' for one, two in edges]
    return lay_out("\n".join([*lines, "}"]), "svg").decode()


def _blocks(graph: nx.DiGraph, low: set[str]) -> list[set[str]]:
    return [low, *({part} for part in graph if part not in low)]


def _named(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else "base"


def _box(parts: list[str], low: set[str]) -> str:
    if set(parts) <= low:
        title, colour, said = "base", _BASE, ", ".join(parts)
    else:
        (part,) = parts
        title, colour = part, _FRAMEWORK if part.startswith("frameworks") else _PART
        said = _sentence(part)
    told = "<br/>".join(map(html.escape, textwrap.wrap(said, _LINE)))
    label = f'<b>{html.escape(title)}</b><br/><font point-size="10">{told}</font>'
    return f'label=<{label}>, fillcolor="{colour.fill}", color="{colour.edge}"'


def _sentence(part: str) -> str:
    """What a part says of itself, its first sentence."""
    path = _ROOT / part
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return told.partition("\n\n")[0].replace("\n", " ").replace("``", "").partition(". ")[0].rstrip(".")


FILES: Files = {"docs/reference/pictures/layers.svg": _picture}
