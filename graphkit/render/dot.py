"""Graphviz DOT.

An operator is a table: the painted box, and beside the place where its arrows start the shape of what it computes. So
a shape stands on its edge without taking part in the layout, where edge labels would double the ranks.
"""

from __future__ import annotations

import html
import textwrap
from typing import TYPE_CHECKING, Final

from graphkit.render.drawing import Box
from graphkit.render.routes import plan
from graphkit.render.style import (
    BACKWARD,
    COLOURS,
    CUT,
    FONT,
    FRAME_EDGE,
    FRAMES,
    KEPT,
    MODULE,
    TERMINAL,
    UNTRANSLATED,
    Colour,
    text_width,
)
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphkit.render.drawing import Drawing, Frame
    from graphkit.render.routes import Line

__all__ = ["to_dot"]

_TITLE: Final = 12
_NAME: Final = 10
_TEXT: Final = 9

_TOLD: Final = 12
"""Lines of an overlay that a tooltip has."""

_LIMITS: Final = (
    (8000, "nslimit=0.1, nslimit1=1, mclimit=0.1, splines=line, "),
    (2500, "nslimit=0.1, "),
    (1000, "nslimit=1, "),
)
"""Boxes or lines beyond which Graphviz must stop improving its layout, so that it takes seconds rather than minutes."""


def to_dot(drawing: Drawing, *, direction: str = "TB", headed: bool = True) -> str:
    """The DOT source of a drawing.

    Args:
        drawing: What to show.
        direction: ``"TB"`` or ``"LR"``: which way values flow.
        headed: Whether its title and a legend of its colours stand above it.
    """
    return "\n".join(_Writer(drawing, direction, headed).lines()) + "\n"


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tooltip(*texts: str) -> str:
    """A quoted string of lines; Graphviz reads character references in it, so they are escaped."""
    lines = (clean(line) for text in texts if text for line in text.split("\n"))
    escaped = (html.escape(line, quote=False).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + ("\\n".join(escaped) or " ") + '"'


def _font(text: str, size: int, colour: str, *, bold: bool = False, italic: bool = False) -> str:
    inner = html.escape(text)
    if bold:
        inner = f"<b>{inner}</b>"
    if italic:
        inner = f"<i>{inner}</i>"
    return f'<font point-size="{size}" color="{colour}">{inner}</font>'


def _row(cells: str, width: int, size: int, align: str = "left") -> str:
    return f'<tr><td align="{align}" width="{width}" height="{round(size * 1.3)}">{cells}</td></tr>'


def _chip(text: str, colour: Colour, *, dashed: bool = False) -> str:
    """A cell of the legend."""
    style = 'style="dashed" ' if dashed else ""
    return (
        f'<td bgcolor="{colour.fill}" color="{colour.edge}" border="1" {style}height="14" '
        f'width="{text_width(text, _TEXT) + 10}">{_font(text, _TEXT, colour.text)}</td>'
    )


def _table(rows: str, **attributes: object) -> str:
    extra = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="0"{extra}>{rows}</table>'


class _Writer:
    def __init__(self, drawing: Drawing, direction: str, headed: bool) -> None:
        self.drawing = drawing
        self.direction = direction
        self.headed = headed
        self.plan = plan(drawing)
        self.boxes = {box.id: box for box in drawing.boxes()}
        self.shading = drawing.shading
        self.values: dict[str, dict[tuple[str, int], str]] = {}
        """Shapes of the values that leave each box."""
        for arrow in drawing.arrows:
            self.values.setdefault(arrow.tail, {})[arrow.value] = arrow.label

    def lines(self) -> Iterator[str]:
        size = max(len(self.boxes), len(self.plan.lines))
        hurry = next((options for most, options in _LIMITS if size > most), "")
        label = f"label=<{self._heading()}>, " if self.headed else ""
        yield "digraph model {"
        yield (
            f"  graph [rankdir={self.direction}, newrank=true, {hurry}fontname={_quote(FONT)}, "
            f"{label}labelloc=t, labeljust=l, "
            "nodesep=0.25, ranksep=0.25, pad=0.2, outputorder=edgesfirst, bgcolor=white];"
        )
        yield f"  node [fontname={_quote(FONT)}, fontsize={_TEXT}, shape=plain];"
        yield '  edge [color="#666666", arrowsize=0.6];'
        yield from self._items(self.drawing.children, 1)
        yield from self._joints("", 1)
        for line in self.plan.lines:
            yield self._line(line)
        for upper, lower in self.plan.below:
            yield f"  {upper} -> {lower} [style=invis, weight=0];"
        yield "}"

    def _heading(self) -> str:
        title, subtitle = self.drawing.title, f"   {self.drawing.subtitle}"
        head = _font(title, 16, "#111111", bold=True) + _font(subtitle, 11, "#444444")
        rows = _row(head, text_width(title, 16, bold=True) + text_width(subtitle, 11), 16)
        if chips := "".join(self._chips()):
            chips = f'<table border="0" cellborder="0" cellspacing="4" cellpadding="1"><tr>{chips}</tr></table>'
            rows += f'<tr><td align="left">{_table(f"<tr><td>{chips}</td></tr>", align="left")}</td></tr>'
        if self.shading is not None and self.shading.note:
            for line in textwrap.wrap(self.shading.note, 100):
                rows += _row(_font(line, _NAME, "#444444"), text_width(line, _NAME), _NAME)
        return _table(rows)

    def _chips(self) -> Iterator[str]:
        """Cells of the legend."""
        if self.shading is not None:
            title = f"{self.shading.title}:"
            yield f'<td height="14" width="{text_width(title, _TEXT) + 4}">{_font(title, _TEXT, "#222222")}</td>'
            for shade in self.shading.legend:
                yield _chip(shade.label, shade.colour)
        else:
            for family, colour in COLOURS.items():
                if family in self.drawing.families:
                    yield _chip(family, colour)
        if any(box.untranslated for box in self.boxes.values()):
            yield _chip("not translated", Colour("#FFFFFF", UNTRANSLATED), dashed=True)

    def _items(self, items: tuple[Box | Frame, ...], level: int) -> Iterator[str]:
        for item in items:
            if isinstance(item, Box):
                yield f"{'  ' * level}{self._box(item)}"
            else:
                yield from self._frame(item, level)

    def _joints(self, frame: str, level: int) -> Iterator[str]:
        for joint in self.plan.joints.get(frame, ()):
            yield f'{"  " * level}{joint} [shape=point, width=0.045, color="#666666", tooltip=" "];'

    def _frame(self, frame: Frame, level: int) -> Iterator[str]:
        indent = "  " * level
        note = f"  {frame.note}" if frame.note else ""
        head = _font(frame.title, 10, "#222222", bold=True) + (_font(note, _TEXT, "#555555") if note else "")
        label = _table(_row(head, text_width(frame.title, 10, bold=True) + text_width(note, _TEXT), 10))
        yield f"{indent}subgraph cluster_{frame.id} {{"
        fills = BACKWARD if frame.backward else FRAMES
        yield (
            f'{indent}  graph [label=<{label}>, style="rounded,filled{",dashed" if frame.kind == "body" else ""}", '
            f'color="{FRAME_EDGE}", fillcolor="{fills[(level - 1) % len(fills)]}", margin=8, '
            f"tooltip={_tooltip(frame.tooltip or frame.title)}];"
        )
        yield from self._items(frame.children, level + 1)
        yield from self._joints(frame.id, level + 1)
        yield f"{indent}}}"

    def _box(self, box: Box) -> str:
        shaded = None if self.shading is None else self.shading.boxes.get(box.id)
        colour = _colour(box) if shaded is None else shaded.shade.colour
        name = f"  {box.name}" if box.name else ""
        align = "center" if box.kind in ("input", "output") else "left"
        head = _font(box.title, _TITLE, colour.text, bold=True) + (_font(name, _NAME, colour.text) if name else "")
        widths = [text_width(box.title, _TITLE, bold=True) + text_width(name, _NAME)]
        rows = _row(head, widths[0], _TITLE, align)
        for kind, text in [*(("", text) for text in box.details), *box.parameters]:
            widths.append(text_width(text, _TEXT))
            rows += _row(_font(text, _TEXT, colour.text, italic=kind == "buffer"), widths[-1], _TEXT, align)
        if shaded is not None and shaded.told:
            widths.append(text_width(shaded.told, _TEXT, bold=True))
            rows += _row(_font(shaded.told, _TEXT, colour.text, bold=True), widths[-1], _TEXT, align)
        strong = box.kind in ("input", "output", "module") and not box.cut
        border = 2 if strong or box.untranslated else 1
        style = "rounded,dashed" if box.untranslated or box.cut else "rounded"
        edge = UNTRANSLATED if box.untranslated else colour.edge
        painted = (
            f'<td port="b" border="{border}" style="{style}" bgcolor="{colour.fill}" color="{edge}" '
            f'cellpadding="5">{_table(rows)}</td>'
        )
        label = self._with_shapes(box, painted, max(widths) + 12)
        told = () if shaded is None else shaded.tooltip[:_TOLD]
        return f"{box.id} [label=<{label}>, tooltip={_tooltip(*box.tooltip, *told)}];"

    def _with_shapes(self, box: Box, painted: str, width: int) -> str:
        """The painted box, and the shapes of its values beside or below the start of their arrows."""
        shapes = list(self.values.get(box.id, {}).values())
        if not any(shapes) or box.kind in ("input", "output"):
            return _table(f"<tr>{painted}</tr>")
        cells = [(text_width(text, _TEXT) + 5, _font(f"\u00a0{text}", _TEXT, "#333333")) for text in shapes]
        if len(cells) > 1:
            tabs = "".join(
                f'<td port="o{number}" width="{room}" height="12">{text}</td>'
                for number, (room, text) in enumerate(cells)
            )
            table = f'<table border="0" cellborder="0" cellspacing="2" cellpadding="1"><tr>{tabs}</tr></table>'
            if self.direction == "LR":
                tabs = "".join(f"<tr>{tab}</td></tr>" for tab in tabs.split("</td>")[:-1])
                table = f'<table border="0" cellborder="0" cellspacing="2" cellpadding="1">{tabs}</table>'
                return _table(f"<tr>{painted}<td>{table}</td></tr>")
            room = sum(room for room, _ in cells) + 4 * len(cells)
            return _table(_spaced(painted, width, room) + f"<tr><td>{table}</td></tr>")
        room, text = cells[0]
        if self.direction == "LR":
            halves = (
                f'<tr><td width="{room}" height="12" valign="bottom">{text}</td></tr>'
                f'<tr><td width="{room}" height="12"></td></tr>'
            )
            return _table(f"<tr>{painted}<td>{_table(halves)}</td></tr>")
        halves = f'<td width="{room}" height="12"></td><td width="{room}" height="12" align="left">{text}</td>'
        return _table(_spaced(painted, width, 2 * room) + f"<tr><td>{_table(f'<tr>{halves}</tr>')}</td></tr>")

    def _line(self, line: Line) -> str:
        side, other = ("s", "n") if self.direction == "TB" else ("e", "w")
        tail, head, options = line.tail, line.head, []
        if tail in self.boxes:
            values = list(self.values[tail])
            several = len(values) > 1 and any(self.values[tail].values())
            port = f"o{values.index(line.arrow.value)}" if several else "b"
            tail += f":{port}:{side}"
        if head in self.boxes:
            head += f":b:{other}"
        else:
            options.append("arrowhead=none")
        if line.weight > 1:
            options.append(f"weight={line.weight}")
        if line.arrow.body:
            options.append("style=dashed")
        if line.arrow.kept:
            options.append(f'color="{KEPT}"')
        options.append(f"tooltip={_tooltip(line.arrow.tooltip)}")
        return f"  {tail} -> {head} [{', '.join(options)}];"


def _spaced(painted: str, width: int, room: int) -> str:
    """A row with the painted box in the middle of at least so much room."""
    gap = max(0, (room - width) // 2)
    spacer = f'<td width="{gap}"></td>' if gap else ""
    return f"<tr><td>{_table(f'<tr>{spacer}{painted}{spacer}</tr>')}</td></tr>"


def _colour(box: Box) -> Colour:
    if box.cut:
        return CUT
    if box.kind == "operator":
        return next(colour for family, colour in COLOURS.items() if family == box.family)
    return MODULE if box.kind == "module" else TERMINAL
