"""A difference as a picture: both graphs in one, what was added, removed and changed by colour; or a page with both."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError
from graphkit.inspecting.difference.text import node_lines, parameter_line, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import networkx as nx

    from graphkit.inspecting.difference.diff import Compared
    from graphkit.inspecting.difference.difference import Difference, NodeDifference, Status
    from graphkit.render.shading import Shade
    from graphkit.render.viewer.payload import Comparison
    from graphkit.render.viewer.payload import Status as Viewed

__all__ = ["FORMS", "check_form", "comparison", "draw_difference", "merged"]

FORMS: Final = ("html", "svg", "png", "pdf", "dot")
"""What a difference is drawn as."""
_WHOLE: Final = 150
"""Operators up to which both graphs are drawn whole; of larger ones, what is around the differences."""
_HOPS: Final = 3
_KEYS: Final = 400
"""Differing nodes up to which a part is cut out around them."""
_TOLD: Final = 12
"""Lines of a node's differences."""
_ADDED: Final = "B:"
"""How keys of the merged view begin that only the second graph has."""


def check_form(path: Path) -> str:
    """The form that a file's suffix names, one of :data:`FORMS`.

    Raises:
        InputError: It names none.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMS:
        raise InputError(
            f"{path} does not say how to draw a difference: its suffix is {path.suffix or 'missing'}; give it one of "
            f"{', '.join('.' + known for known in FORMS)}."
        )
    return form


def draw_difference(compared: Compared, path: Path) -> None:
    """Draw a difference into a file, written whole or not at all.

    Args:
        compared: The difference and its models.
        path: ``.html`` for a page in which both graphs are explored side by side, ``.svg``, ``.png``, ``.pdf`` or
            ``.dot`` for both in one picture.

    Raises:
        InputError: The suffix is none of these, or the file cannot be written.
        MissingError: pygraphviz or, for PNG and PDF, any font is not installed.
        ExecutionError: Graphviz gave up.
    """
    from graphkit.files import write_whole
    from graphkit.ir.view import nx_view
    from graphkit.stamps import marked

    form = check_form(path)
    views = nx_view(compared.left), nx_view(compared.right)
    difference = compared.difference
    if form == "html":
        from graphkit.render.viewer.page import to_html
        from graphkit.render.viewer.payload import subject

        subjects = [
            subject(model, view=view, title=side.label)
            for model, view, side in (
                (compared.left, views[0], difference.left),
                (compared.right, views[1], difference.right),
            )
        ]
        page = to_html(subjects, comparison=comparison(difference, *views))
        write_whole(path, marked(page, form, compared.left, compared.right))
        return
    from graphkit.render.dot import to_dot
    from graphkit.render.engine import lay_out

    text = to_dot(_drawing(difference, *views))
    drawn = text if form == "dot" else lay_out(text, form)
    write_whole(path, marked(drawn, form, compared.left, compared.right))


def comparison(difference: Difference, left: nx.MultiDiGraph, right: nx.MultiDiGraph) -> Comparison:
    """What the viewer is told of a difference.

    Args:
        difference: What is different.
        left: The view of the first model.
        right: That of the second.
    """
    from graphkit.render.viewer.payload import Comparison, Counterpart

    found = []
    for one, two, status, told in _counterparts(difference, left, right):
        found.append(Counterpart(one, two, _viewed(status), told))
    counts = []
    for text in summary(difference):
        number, _, what = text.partition(" ")
        counts.append((number, what))
    return Comparison(tuple(found), tuple(counts))


def _viewed(status: Status) -> Viewed:
    """How the viewer calls what it has no colour of its own for."""
    match status:
        case "replaced" | "folded":
            return "changed"
        case "rewritten":
            return "moved"
    return status


def _counterparts(
    difference: Difference, left: nx.MultiDiGraph, right: nx.MultiDiGraph
) -> Iterable[tuple[str | None, str | None, Status, tuple[str, ...]]]:
    """Keys of nodes in both views, how they differ, and lines about that."""
    keys = [[key for key, data in view.nodes(data=True) if data["kind"] == "operator"] for view in (left, right)]
    partner: dict[str, str] = {}
    for each in difference.nodes:
        one, two = (
            None if place is None or place.number is None else found[place.number]
            for place, found in zip((each.left, each.right), keys, strict=True)
        )
        if one is None and two is None:
            continue
        if one is not None and two is not None:
            partner[one] = two
        status: Status = "changed" if each.parameters and each.status in ("same", "renamed", "moved") else each.status
        yield one, two, _counted(difference, status), _told(difference, each)
    yield from _ends(difference, left, right, partner)


def _ends(
    difference: Difference, left: nx.MultiDiGraph, right: nx.MultiDiGraph, partner: Mapping[str, str]
) -> Iterable[tuple[str | None, str | None, Status, tuple[str, ...]]]:
    """Inputs and outputs; those of bodies meet by place where their owners are each other."""
    ours, theirs = _ends_by_place(left), _ends_by_place(right)
    named = [
        {(data["kind"], data["name"]): key for key, data in view.nodes(data=True) if not data["body"]}
        for view in (left, right)
    ]
    met: set[str] = set()
    for each in (*difference.inputs, *difference.outputs):
        one = None if each.left is None else named[0].get((each.kind, each.left.name))
        two = None if each.right is None else named[1].get((each.kind, each.right.name))
        if one is None and two is None:
            continue
        met.update(filter(None, (one and f"A{one}", two and f"B{two}")))
        yield one, two, _counted(difference, each.status), tuple(map(str, each.changes))
    for (owner, *place), key in ours.items():
        if f"A{key}" in met:
            continue
        other = theirs.get((partner.get(owner, "") if owner else "", *place))
        if other is not None and f"B{other}" not in met and (owner in partner or not owner):
            met.add(f"B{other}")
            yield key, other, "same", ()
        else:
            yield key, None, "removed", ()
    yield from ((None, key, "added", ()) for key in theirs.values() if f"B{key}" not in met)


def _ends_by_place(view: nx.MultiDiGraph) -> dict[tuple[Any, ...], str]:
    """Inputs and outputs by owner, body, kind and place."""
    found: dict[tuple[Any, ...], str] = {}
    count: Counter[tuple[str, str]] = Counter()
    for key, data in view.nodes(data=True):
        if data["kind"] == "operator":
            continue
        body, kind = data["body"], data["kind"]
        owner, attribute = "", ""
        if body:
            owner, attribute = view.graph["bodies"][body].owner, view.graph["bodies"][body].attribute
        found[owner, attribute, kind, count[body, kind]] = key
        count[body, kind] += 1
    return found


def _counted(difference: Difference, status: Status) -> Status:
    """The status, without names where these do not count."""
    return "same" if status == "renamed" and "names" in difference.ignored else status


def _told(difference: Difference, each: NodeDifference) -> tuple[str, ...]:
    lines = []
    named = "names" not in difference.ignored and each.status not in ("rewritten", "folded")
    if named and each.renamed and each.left is not None and each.right is not None:
        lines.append(f"name: {each.left.name} → {each.right.name}")
    lines += node_lines(each)
    lines += [parameter_line(difference.parameters[index]) for index in each.parameters]
    if each.rewrite is not None:
        rewrite = difference.rewrites[each.rewrite]
        words = {"folded": "folded into weights", "layout": "weights in another layout"}
        how = words.get(rewrite.kind, "written otherwise")
        error = "" if rewrite.error is None else f", error {rewrite.error:.1e}" if rewrite.error else ", equal numbers"
        lines.append(how + error)
    return tuple(lines[:_TOLD])


def merged(
    difference: Difference, left: nx.MultiDiGraph, right: nx.MultiDiGraph
) -> tuple[nx.MultiDiGraph, dict[str, Status], dict[str, tuple[str, ...]]]:
    """Both views as one: the first with what only the second has.

    Args:
        difference: What is different.
        left: The view of the first model.
        right: That of the second.

    Returns:
        A frozen view; status and lines by key.
    """
    import networkx as nx

    graph = nx.MultiDiGraph(left)
    graph.graph["bodies"] = dict(left.graph["bodies"])
    known: dict[str, str] = {}
    status: dict[str, Status] = {}
    told: dict[str, tuple[str, ...]] = {}
    for one, two, how, lines in _counterparts(difference, left, right):
        key = one if one is not None else f"{_ADDED}{two}"
        if two is not None:
            known[two] = key
        status[key] = how
        told[key] = lines
    bodies = {"": ""}
    for body, info in right.graph["bodies"].items():
        owner = known[info.owner]
        mine = f"{owner}/{info.attribute}"
        bodies[body] = mine
        if mine not in graph.graph["bodies"]:
            graph.graph["bodies"][mine] = replace(info, owner=owner)
    for key, data in right.nodes(data=True):
        if known[key] not in graph:
            graph.add_node(known[key], **{**data, "body": bodies[data["body"]]})
    for tail, head, data in right.edges(data=True):
        ends = known[tail], known[head]
        present = graph.get_edge_data(*ends, default={}).values()
        if status.get(ends[1]) in ("folded", "rewritten") and ends[0] in left and ends[1] in left:
            continue
        drawn = any((each["output"], each["kind"]) == (data["output"], data["kind"]) for each in present)
        if not drawn and ends[0] != ends[1] and not _closes(graph, *ends, left):
            graph.add_edge(*ends, **data)
    return nx.freeze(graph), status, told


def _closes(graph: nx.MultiDiGraph, tail: str, head: str, left: nx.MultiDiGraph) -> bool:
    """Whether an edge between two nodes of the first graph would make a cycle."""
    import networkx as nx

    return tail in left and head in left and bool(nx.has_path(graph, head, tail))


def _drawing(difference: Difference, left: nx.MultiDiGraph, right: nx.MultiDiGraph) -> Any:
    """Both graphs in one drawing, coloured by how they differ."""
    from graphkit.render.folding import Sketch, is_drawable
    from graphkit.render.part import part
    from graphkit.render.shading import Shaded, Shading

    view, status, told = merged(difference, left, right)
    differing = [key for key, how in status.items() if how not in ("same", "renamed")]
    operators = sum(data["kind"] == "operator" for _, data in view.nodes(data=True))
    note = ""
    if operators > _WHOLE and 0 < len(differing) <= _KEYS:
        view = part(view, around=differing, hops=_HOPS)
        note = f"What is within {_HOPS} hops of a difference; {operators:,} operators in all."
    title = f"{difference.left.label} → {difference.right.label}"
    drawing, folded = Sketch(view, title).drawn(is_drawable)
    shades = _shades()
    order: list[Status] = list(shades)
    held: dict[str, list[str]] = {}
    for key, number in drawing.shown.items():
        held.setdefault(number, []).append(key)
    boxes = {}
    for box in drawing.boxes():
        keys = held.get(box.id, [])
        ways: list[Status] = [status.get(key, "same") for key in keys]
        how: Status = max(ways, key=order.index, default="same")
        lines = [line for key in keys for line in told.get(key, ())]
        word = "" if how == "same" else lines[0] if len(keys) == 1 and lines else shades[how].label
        boxes[box.id] = Shaded(shades[how], _short(word), tuple(lines))
    shown = {item.shade for item in boxes.values()}
    legend = tuple(shade for shade in reversed(shades.values()) if shade in shown)
    notes = " ".join(filter(None, (", ".join(summary(difference)) or "the same", note, folded)))
    return replace(drawing, shading=Shading("A → B", notes, legend, boxes))


def _short(text: str) -> str:
    from graphkit.text import short

    return short(text, 64)


def _shades() -> dict[Status, Shade]:
    """Colours by status, what matters least first."""
    from graphkit.render.shading import Shade
    from graphkit.render.style import Colour

    return {
        "same": Shade("same", "same", Colour("#FFFFFF", "#AAAAAA", "#444444")),
        "renamed": Shade("renamed", "renamed", Colour("#DCEBFA", "#7FA6CC")),
        "rewritten": Shade("rewritten", "written otherwise, same numbers", Colour("#EEE8F8", "#9A86C4")),
        "moved": Shade("moved", "reads other values", Colour("#D9C7F2", "#7A5FB0")),
        "folded": Shade("folded", "folded into weights", Colour("#FBE3C0", "#BF8F45")),
        "changed": Shade("changed", "changed", Colour("#FFCF5C", "#B07D00")),
        "replaced": Shade("replaced", "another operator", Colour("#FFB000", "#9C6500")),
        "added": Shade("added", "only in B", Colour("#8FD6A4", "#2D7D46")),
        "removed": Shade("removed", "only in A", Colour("#F2A29B", "#A8362B")),
    }
