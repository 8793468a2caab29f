"""Mermaid flowcharts, which GitHub and many editors show in Markdown."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from graphkit.render.compose import draw
from graphkit.render.drawing import Box
from graphkit.render.style import BACKWARD, COLOURS, FRAME_EDGE, FRAMES, KEPT, MODULE, TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    import networkx as nx

    from graphkit.render.drawing import Drawing, Frame

__all__ = ["MAX_EDGES", "MAX_TEXT", "to_mermaid"]

MAX_EDGES: Final = 500
"""Edges beyond which Mermaid, as GitHub sets it up, draws nothing (its ``maxEdges``)."""

MAX_TEXT: Final = 50_000
"""Characters beyond which it draws nothing (its ``maxTextSize``)."""

_DEEPEST: Final = 6
"""Depth from which folding is tried."""

_UNSAFE: Final = re.compile(r"""[^\w\s,=/×·…→+:()\[\]?.-]|_|[-+.](?=\s|$)|\](?=\()""")
"""Characters that Mermaid, or the Markdown in its labels, may take for syntax."""


def to_mermaid(view: nx.MultiDiGraph, *, title: str = "", depth: int | None = None, direction: str = "TB") -> str:
    """A flowchart of a view.

    Where Mermaid's limits would be passed, scopes are folded, the innermost first; a comment in the text says so.

    Args:
        view: As :func:`graphkit.ir.view.nx_view` makes it.
        title: What to call it; the graph's own name if empty.
        depth: Scopes nested deeper than this become one box each. None folds only what the limits ask for.
        direction: ``"TB"`` or ``"LR"``: which way values flow.
    """
    text = ""
    for level in [depth, *range(_DEEPEST if depth is None else depth - 1, -1, -1)]:
        drawing = draw(view, title=title, depth=level)
        note = "" if level == depth else _folded(level)
        text = _flowchart(drawing, direction, note)
        if len(drawing.arrows) <= MAX_EDGES and len(text.encode("utf-16-le")) <= 2 * MAX_TEXT:
            return text
    return _flowchart(
        draw(view, title=title, depth=depth),
        direction,
        f"This is more than {_LIMITS}; raise maxEdges and maxTextSize where you show it, or draw an SVG.",
    )


_LIMITS: Final = f"GitHub draws ({MAX_EDGES} edges, {MAX_TEXT} characters)"


def _folded(level: int | None) -> str:
    return f"Scopes nested deeper than {level} are folded, because the whole graph is more than {_LIMITS}."


def _flowchart(drawing: Drawing, direction: str, note: str) -> str:
    return "\n".join(_lines(drawing, direction, note)) + "\n"


def _lines(drawing: Drawing, direction: str, note: str) -> Iterator[str]:
    yield "---"
    yield f"title: {json.dumps(f'{drawing.title} — {drawing.subtitle}', ensure_ascii=False)}"
    yield "---"
    yield f"flowchart {direction}"
    if note:
        yield f"  %% {note}"
    yield from _items(drawing.children, 1)
    for arrow in drawing.arrows:
        line = "-.->" if arrow.body else "-->"
        label = f'|"{_escape(arrow.label)}"|' if arrow.label else ""
        yield f"  {arrow.tail} {line}{label} {arrow.head}"
    if kept := [str(number) for number, arrow in enumerate(drawing.arrows) if arrow.kept]:
        yield f"  linkStyle {','.join(kept)} stroke:{KEPT}"
    kinds = {box.kind for box in drawing.boxes()}
    painted = {_class(family): colour for family, colour in COLOURS.items() if family in drawing.families}
    if "module" in kinds:
        painted["module"] = MODULE
    if kinds & {"input", "output", "initializer"}:
        painted["terminal"] = TERMINAL
    for name, fill, backward in (("scope", FRAMES[0], False), ("backward", BACKWARD[0], True)):
        if frames := [frame.id for frame in drawing.frames() if frame.backward == backward]:
            yield f"  classDef {name} fill:{fill},stroke:{FRAME_EDGE},color:#222222"
            yield f"  class {','.join(frames)} {name}"
    for name, colour in painted.items():
        yield f"  classDef {name} fill:{colour.fill},stroke:{colour.edge},color:{colour.text}"


def _items(items: tuple[Box | Frame, ...], level: int) -> Iterator[str]:
    indent = "  " * level
    for item in items:
        if isinstance(item, Box):
            yield indent + _box(item)
        else:
            note = f" {item.note}" if item.note else ""
            yield f'{indent}subgraph {item.id}["{_escape(item.title + note) or " "}"]'
            yield from _items(item.children, level + 1)
            yield f"{indent}end"


def _box(box: Box) -> str:
    head = f"<b>{_escape(box.title)}</b>" + (f" {_escape(box.name)}" if box.name else "")
    lines = [head, *(_escape(text) for text in box.details if text), *(_escape(text) for _, text in box.parameters)]
    text = "<br/>".join(lines)
    if box.kind == "operator":
        return f'{box.id}["{text}"]:::{_class(box.family)}'
    if box.kind == "module":
        return f'{box.id}[["{text}"]]:::module'
    return f'{box.id}(["{text}"]):::terminal'


def _class(family: str) -> str:
    return family.replace(" ", "_")


def _escape(text: str) -> str:
    """Text for a quoted label: what may be syntax is written as a character code."""
    # Mermaid takes two dollars for a formula and \n for a new line however they are written; an invisible joiner helps.
    apart = text.replace("$$", "$\u2060$").replace("\\n", "\\\u2060n")
    return _UNSAFE.sub(lambda found: f"#{ord(found[0])};", apart)
