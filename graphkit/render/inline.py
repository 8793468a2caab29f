"""A picture as a part of a page: one SVG element whose boxes a style sheet colours and a script finds.

Graphviz's own SVG carries colours, fonts, links for its tooltips and a document type. Here an element says by its class
what it is, and the page says how that looks:

    ``node`` with ``data-box`` (a box's id) around ``box`` (its outline), ``text`` and ``shape`` (beside its arrows);
    ``cluster`` (a frame) around ``frame`` and ``text``; ``edge`` around ``line`` and ``head``; ``joint`` with ``dot``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from graphkit.render.dot import to_dot
from graphkit.render.engine import lay_out
from graphkit.render.folding import Sketch, is_drawable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import networkx as nx

    from graphkit.render.drawing import Drawing

__all__ = ["Inline", "inline"]

_SVG: Final = "{http://www.w3.org/2000/svg}"
_KEPT: Final = frozenset(
    ("x", "y", "d", "points", "cx", "cy", "rx", "ry", "text-anchor", "font-size", "stroke-dasharray")
)


@dataclass(frozen=True, slots=True)
class Inline:
    """A picture for a page.

    Attributes:
        svg: The ``<svg>`` element, without scripts, links, styles and colours.
        boxes: Which box (``data-box``) shows each node of the view, by the node's key.
        folded: What had to be folded, as a clause; empty where nothing was.
    """

    svg: str
    boxes: Mapping[str, str]
    folded: str


def inline(view: nx.MultiDiGraph, *, direction: str = "TB") -> Inline:
    """Draw a view for a page; one of more than 4000 boxes is folded.

    Args:
        view: As :func:`graphkit.ir.view.nx_view` makes it.
        direction: ``"TB"`` or ``"LR"``: which way values flow.

    Raises:
        MissingError: pygraphviz is not installed.
        ExecutionError: Graphviz gave up.
    """
    drawing, folded = Sketch(view).drawn(is_drawable)
    root = ET.fromstring(lay_out(to_dot(drawing, direction=direction, headed=False), "svg"))
    return Inline(ET.tostring(_picture(root, drawing), encoding="unicode"), drawing.shown, folded)


def _picture(root: ET.Element, drawing: Drawing) -> ET.Element:
    boxes = {box.id: box for box in drawing.boxes()}
    graph = root.find(f"{_SVG}g")
    svg = ET.Element("svg", {"viewBox": root.get("viewBox", "0 0 1 1")})
    inner = ET.SubElement(svg, "g", {"transform": "" if graph is None else graph.get("transform", "")})
    for group in [] if graph is None else graph.findall(f"{_SVG}g"):
        name = group.findtext(f"{_SVG}title", "")
        kind = group.get("class", "")
        if kind == "node" and name not in boxes:
            kind = "joint"
        shapes = list(_shapes(group, kind))
        if kind == "edge" and not shapes:
            continue
        made = ET.SubElement(inner, "g", {"class": kind})
        if kind == "node":
            made.attrib |= {"class": f"node {boxes[name].kind}", "data-box": name}
        tooltip = next((link.get("{http://www.w3.org/1999/xlink}title", "") for link in group.iter(f"{_SVG}a")), "")
        if tooltip.strip() and kind != "joint":
            ET.SubElement(made, "title").text = tooltip
        made.extend(shapes)
    return svg


def _shapes(group: ET.Element, kind: str) -> Iterator[ET.Element]:
    """What a group draws, in elements of our own."""
    outline = None
    for element in group.iter():
        tag = element.tag.removeprefix(_SVG)
        kept = {name: value for name, value in element.attrib.items() if name in _KEPT}
        if tag == "text":
            made = ET.Element("text", kept | {"class": _writing(element, kind)})
            made.text = element.text
            if (element.text or "").strip():
                yield made
        elif tag in ("path", "polygon", "ellipse", "polyline"):
            place = kept.get("d", kept.get("points"))
            if kind == "node" and place == outline:
                continue  # Graphviz paints a cell first, and its border on top
            outline = place
            yield ET.Element(tag, kept | {"class": _part(tag, kind)})


def _writing(element: ET.Element, kind: str) -> str:
    bold = " bold" if element.get("font-weight") == "bold" else ""
    italic = " italic" if element.get("font-style") == "italic" else ""
    outside = kind == "node" and element.get("fill") == "#333333"
    return f"{'shape' if outside else 'text'}{bold}{italic}"


def _part(tag: str, kind: str) -> str:
    if kind == "edge":
        return "line" if tag == "path" else "head"
    return {"node": "box", "cluster": "frame"}.get(kind, "dot")
