"""Mermaid flowcharts, which GitHub and many editors show in Markdown."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from graphkit.render.drawing import Box
from graphkit.render.style import BACKWARD, COLOURS, CUT, FRAME_EDGE, FRAMES, KEPT, MODULE, TERMINAL, UNTRANSLATED
from graphkit.stamps import MERMAID_ROOM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphkit.render.drawing import Drawing, Frame
    from graphkit.render.folding import Sketch
    from graphkit.render.shading import Shaded
    from graphkit.render.style import Colour

__all__ = ["MAX_EDGES", "MAX_TEXT", "to_mermaid"]

MAX_EDGES: Final = 500
"""Edges beyond which Mermaid, as GitHub sets it up, draws nothing (its ``maxEdges``)."""

MAX_TEXT: Final = 50_000
"""Characters beyond which it draws nothing (its ``maxTextSize``)."""

_LIKE: Final = str.maketrans("<>&", "‹›＆")
"""Characters that Mermaid takes for HTML in a title, where it knows no codes, and others that look like them."""

_UNSAFE: Final = re.compile(r"""[^\w\s,=/×·…→+:()\[\]?.-]|_|[-+.](?=\s|$)|\](?=\()""")
"""Characters that Mermaid, or the Markdown in its labels, may take for syntax."""


def to_mermaid(sketch: Sketch, *, direction: str = "TB") -> tuple[str, str]:
    """A flowchart.

    Where Mermaid's limits would be passed, modules are folded, the innermost first, and where that does not suffice,
    stretches of operators; a comment in the text says so.

    Args:
        sketch: What to draw.
        direction: ``"TB"`` or ``"LR"``: which way values flow.

    Returns:
        The text, and what was folded, as a clause; empty where nothing was.
    """

    def fits(drawing: Drawing) -> bool:
        if len(drawing.arrows) > MAX_EDGES:
            return False
        return len(_flowchart(drawing, direction, _WHOLE).encode("utf-16-le")) <= 2 * (MAX_TEXT - MERMAID_ROOM)

    drawing, folded = sketch.drawn(fits)
    note = f"{folded[:1].upper()}{folded[1:]}, because {_WHOLE}" if folded else ""
    return _flowchart(drawing, direction, note), folded


_WHOLE: Final = f"the whole graph is more than GitHub draws ({MAX_EDGES} edges, {MAX_TEXT} characters)."


def _flowchart(drawing: Drawing, direction: str, note: str) -> str:
    return "\n".join(_lines(drawing, direction, note)) + "\n"


def _lines(drawing: Drawing, direction: str, note: str) -> Iterator[str]:
    yield "---"
    title = f"{drawing.title} — {drawing.subtitle}".translate(_LIKE)
    yield f"title: {json.dumps(title, ensure_ascii=False)}"
    yield "---"
    yield f"flowchart {direction}"
    if note:
        yield f"  %% {note}"
    yield from _legend(drawing)
    yield from _items(drawing, drawing.children, 1)
    for arrow in drawing.arrows:
        line = "-.->" if arrow.body else "-->"
        label = f'|"{_escape(arrow.label)}"|' if arrow.label else ""
        yield f"  {arrow.tail} {line}{label} {arrow.head}"
    if kept := [str(number) for number, arrow in enumerate(drawing.arrows) if arrow.kept]:
        yield f"  linkStyle {','.join(kept)} stroke:{KEPT}"
    for name, fill, backward in (("scope", FRAMES[0], False), ("backward", BACKWARD[0], True)):
        if frames := [frame.id for frame in drawing.frames() if frame.backward == backward]:
            yield f"  classDef {name} fill:{fill},stroke:{FRAME_EDGE},color:#222222"
            yield f"  class {','.join(frames)} {name}"
    if drawing.shading is not None:
        yield f"  style legend fill:#FFFFFF,stroke:{FRAME_EDGE},color:#222222"
    if drawing.shading is not None and drawing.shading.note:
        yield "  classDef note fill:#FFFFFF,stroke:#FFFFFF,color:#444444"
    for name, colour in _painted(drawing).items():
        dashes = ",stroke-dasharray:4" if name == "cut" else ""
        yield f"  classDef {name} fill:{colour.fill},stroke:{colour.edge},color:{colour.text}{dashes}"
    if lost := [box.id for box in drawing.boxes() if box.untranslated]:
        yield f"  classDef lost fill:#FFFFFF,stroke:{UNTRANSLATED},color:#111111"
        yield f"  classDef untranslated stroke:{UNTRANSLATED},stroke-width:2px,stroke-dasharray:4"
        yield f"  class {','.join(['lost', *lost])} untranslated"


def _painted(drawing: Drawing) -> dict[str, Colour]:
    """Colours of the classes that boxes have."""
    shaded = {} if drawing.shading is None else drawing.shading.boxes
    boxes = [box for box in drawing.boxes() if box.id not in shaded]
    kinds = {box.kind for box in boxes if not box.cut}
    if drawing.shading is not None:
        found = {shade.name: shade.colour for shade in drawing.shading.legend}
    else:
        found = {_class(family): colour for family, colour in COLOURS.items() if family in drawing.families}
    if "module" in kinds:
        found["module"] = MODULE
    if kinds & {"input", "output", "initializer"}:
        found["terminal"] = TERMINAL
    if any(box.cut for box in boxes):
        found["cut"] = CUT
    return found


def _legend(drawing: Drawing) -> Iterator[str]:
    """Boxes that say what the colours of an overlay and the outline of what is not translated mean."""
    shading = drawing.shading
    lost = any(box.untranslated for box in drawing.boxes())
    if shading is None:
        if lost:
            yield '  lost["not translated"]:::lost'
        return
    yield f'  subgraph legend["{_escape(shading.title)}"]'
    entries = [f'legend_{shade.name}["{_escape(shade.label)}"]:::{shade.name}' for shade in shading.legend]
    entries += ['lost["not translated"]:::lost'] if lost else []
    entries += [f'legend_note["{_escape(shading.note)}"]:::note'] if shading.note else []
    yield from (f"    {entry}" for entry in entries)
    yield "  end"


def _items(drawing: Drawing, items: tuple[Box | Frame, ...], level: int) -> Iterator[str]:
    indent = "  " * level
    for item in items:
        if isinstance(item, Box):
            yield indent + _box(item, None if drawing.shading is None else drawing.shading.boxes.get(item.id))
        else:
            note = f" {item.note}" if item.note else ""
            yield f'{indent}subgraph {item.id}["{_escape(item.title + note) or " "}"]'
            yield from _items(drawing, item.children, level + 1)
            yield f"{indent}end"


def _box(box: Box, shaded: Shaded | None) -> str:
    head = f"<b>{_escape(box.title)}</b>" + (f" {_escape(box.name)}" if box.name else "")
    lines = [head, *(_escape(text) for text in box.details if text), *(_escape(text) for _, text in box.parameters)]
    if shaded is not None and shaded.told:
        lines.append(f"<b>{_escape(shaded.told)}</b>")
    text = "<br/>".join(lines)
    kind = {"operator": _class(box.family), "module": "module"}.get(box.kind, "terminal")
    name = "cut" if box.cut else kind if shaded is None else shaded.shade.name
    if box.kind == "operator":
        return f'{box.id}["{text}"]:::{name}'
    if box.kind == "module":
        return f'{box.id}[["{text}"]]:::{name}'
    return f'{box.id}(["{text}"]):::{name}'


def _class(family: str) -> str:
    return family.replace(" ", "_")


def _escape(text: str) -> str:
    """Text for a quoted label: what may be syntax is written as a character code."""
    # Mermaid takes two dollars for a formula and \n for a new line however they are written; an invisible joiner helps.
    apart = text.replace("$$", "$\u2060$").replace("\\n", "\\\u2060n")
    return _UNSAFE.sub(lambda found: f"#{ord(found[0])};", apart)
