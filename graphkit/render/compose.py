"""Deciding what a picture shows: which boxes, in which frames, with which words."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from graphkit.render import labels
from graphkit.render.drawing import Arrow, Box, Drawing, Frame, Show
from graphkit.render.scopes import Reach
from graphkit.render.shading import shading
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import networkx as nx

    from graphkit.ir.describe import Parameter
    from graphkit.render.overlay import Overlay

__all__ = ["draw"]

_GENERATED: Final = "node_"
"""How torch.onnx begins the names that it makes up."""

_FORWARD: Final = "forward"
_BACKWARD: Final = "backward"

_APART: Final = 3
"""Values between a folded module and another box that have an arrow each."""

_DEEPEST: Final = 12
"""Scopes nested deeper than this are not framed."""


_EVERYTHING: Final = Show()


def draw(
    view: nx.MultiDiGraph,
    *,
    title: str = "",
    depth: int | None = None,
    show: Show = _EVERYTHING,
    overlay: Overlay | None = None,
    note: str = "",
) -> Drawing:
    """Decide what a picture of a view shows.

    Args:
        view: As :func:`graphkit.ir.view.nx_view` or :func:`graphkit.render.part.part` makes it.
        title: What to call it; the graph's own name if empty.
        depth: Scopes nested deeper than this become one box each; 0 folds the outermost scopes. None folds nothing.
        show: What is written out.
        overlay: Numbers that colour the boxes instead of the families of operators.
        note: What to say after its size.

    Returns:
        The drawing; equal views give equal drawings.
    """
    from graphkit.ir.family import FAMILIES

    artist = _Artist(view, depth, show)
    children = artist.body("")
    families = {box.family for box in artist.boxes.values()}
    shown = {key: box.id for key, box in artist.boxes.items()}
    keys: dict[str, list[str]] = {}
    for key, box in artist.boxes.items():
        if box.kind in ("operator", "module") or (overlay is not None and key in overlay.marks):
            keys.setdefault(box.id, []).append(key)
    return Drawing(
        short(title or view.graph["name"] or "model", 80),
        " · ".join(filter(None, (_size(view), short(view.graph.get("part", ""), 160), note))),
        tuple(children),
        tuple(artist.arrows()),
        tuple(family for family in FAMILIES if family in families),
        shown,
        None if overlay is None else shading(overlay, keys),
    )


def _size(view: nx.MultiDiGraph) -> str:
    nodes = [data for _, data in view.nodes(data=True) if data["kind"] == "operator"]
    whole = view.graph.get("whole", len(nodes))
    of_all = f" of {whole}" if whole != len(nodes) else ""
    parts = [f"{len(nodes)}{of_all} operator{'' if whole == 1 else 's'}"]
    if elements := _elements(nodes):
        parts.append(f"{labels.count(elements)} parameters")
    return " · ".join(parts)


def _elements(nodes: Iterable[dict[str, Any]]) -> int:
    """Elements of the distinct parameters that nodes read."""
    found: dict[str, Parameter] = {
        item.name: item for data in nodes for item in data["parameters"] if item.kind == "parameter"
    }
    return sum(_product(item.shape) for item in found.values())


def _product(shape: Sequence[int | str | None] | None) -> int:
    return math.prod(dim if isinstance(dim, int) else 1 for dim in shape or ()) if shape is not None else 0


def _is_generated(data: dict[str, Any]) -> bool:
    """Whether nobody but a program chose a node's name: it repeats the operator, or begins as generated names do."""
    own, op = data["leaf"], data["op"].lower()
    if data["origin"].framework == "mxnet":
        return bool(own.startswith("_"))
    word = re.sub(r"[\W\d_]+", "", own).lower()
    return not word or word in op or op in word or own.startswith(_GENERATED)


class _Artist:
    def __init__(self, view: nx.MultiDiGraph, depth: int | None, show: Show) -> None:
        self.view = view
        self.depth = depth
        self.show = show
        self.numbers = {key: number for number, key in enumerate(view)}
        self.members: dict[str, list[str]] = {"": []}
        for key, data in view.nodes(data=True):
            self.members.setdefault(data["body"], []).append(key)
        self.bodies: dict[str, list[str]] = {}
        for body, info in view.graph["bodies"].items():
            self.members.setdefault(body, [])
            self.bodies.setdefault(info.owner, []).append(body)
        self.boxes: dict[str, Box] = {}
        """Box that shows a node, by the node's key."""
        self.frames = 0
        self.trains = any(data.get("backward") for _, data in view.nodes(data=True))
        """Whether there are two passes to tell apart."""

    def body(self, body: str, scope: tuple[str, ...] = ()) -> list[Box | Frame]:
        """Everything in one graph: the main one or a body, whose owner's scope is already framed."""
        keys = self.members[body]
        index = {key: number for number, key in enumerate(keys)}
        edges = (
            (index[left], index[right])
            for tail, head in self.view.edges()
            if (left := self._holder(tail, body)) in index and (right := self._holder(head, body)) in index
        )
        reach = Reach(len(keys), edges)
        paths = {key: self._path(key) for key in keys}
        strip = len(scope)

        def group(numbers: Sequence[int], level: int, frame: tuple[str, ...]) -> list[Box | Frame]:
            groups: dict[str, list[int]] = {}
            pieces: list[tuple[list[int], str]] = []
            for number in numbers:
                path = paths[keys[number]]
                inside = path[:strip] == scope and len(path) > level and level < strip + _DEEPEST
                if inside:
                    groups.setdefault(path[level], []).append(number)
                else:
                    pieces.append(([number], ""))
            for name, found in groups.items():
                pieces += [(piece, name) for piece in reach.closed_groups(found)]
            items: list[Box | Frame] = []
            for piece, name in sorted(pieces):
                if len(piece) == 1:
                    items.append(self._node(keys[piece[0]], frame))
                elif self.depth is not None and level >= self.depth:
                    items.append(self._module([keys[number] for number in piece], (*frame, name), frame))
                else:
                    frame_id = self._next_frame()
                    inner = (*frame, name)
                    items.append(self._frame(frame_id, inner, frame, group(piece, level + 1, inner), piece, keys))
            return items

        return group(range(len(keys)), strip, scope)

    def _holder(self, key: str, body: str) -> str | None:
        """The node of a body that is or contains a node; None where the body does not hold it."""
        while True:
            where = self.view.nodes[key]["body"]
            if where == body:
                return key
            if not where:
                return None
            key = self.view.graph["bodies"][where].owner

    def _path(self, key: str) -> tuple[str, ...]:
        """Frames around a node: the pass, where there are two, and the modules of its scope."""
        data = self.view.nodes[key]
        modules = tuple(filter(None, data.get("scope", "").split(".")))
        if not self.trains or data["kind"] != "operator":
            return modules
        return (_BACKWARD if data["backward"] else _FORWARD, *modules)

    def _next_frame(self) -> str:
        self.frames += 1
        return f"c{self.frames - 1}"

    def _frame(
        self,
        frame_id: str,
        path: tuple[str, ...],
        around: tuple[str, ...],
        children: list[Box | Frame],
        piece: list[int],
        keys: list[str],
    ) -> Frame:
        title = short(".".join(path[len(around) :]))
        backward = self.trains and path[0] == _BACKWARD
        if len(children) == 1 and isinstance(only := children[0], Frame) and only.kind == "scope":
            return Frame(frame_id, "scope", f"{title}.{only.title}", only.note, only.children, only.tooltip, backward)
        note = self._module_class([keys[number] for number in piece], path)
        return Frame(frame_id, "scope", title, note, tuple(children), short(".".join(path), 400), backward)

    def _module_class(self, keys: list[str], path: tuple[str, ...]) -> str:
        for key in keys:
            origin = self.view.nodes[key].get("origin")
            if origin is not None and origin.module and self._path(key) == path:
                return short(origin.module.rpartition(".")[2], 32)
        return ""

    def _node(self, key: str, frame: tuple[str, ...]) -> Box | Frame:
        data = self.view.nodes[key]
        box = self._operator(key, data, frame) if data["kind"] == "operator" else self._terminal(key, data)
        self.boxes[key] = box
        if key not in self.bodies:
            return box
        outer = self._next_frame()
        frames: list[Box | Frame] = []
        for body in self.bodies[key]:
            info = self.view.graph["bodies"][body]
            inner = self._next_frame()
            note = short(info.name) if info.name != info.attribute else ""
            frames.append(Frame(inner, "body", short(info.attribute), note, tuple(self.body(body, self._path(key)))))
        return Frame(outer, "operator", box.title, box.name, (*frames, box), short(data["name"], 400))

    def _operator(self, key: str, data: dict[str, Any], frame: tuple[str, ...]) -> Box:
        origin = data["origin"]
        details = labels.attribute_lines(data["op"], data["domain"], data["attributes"]) if self.show.attributes else []
        if data["domain"] not in ("", "ai.onnx"):
            details.insert(0, short(data["domain"]))
        tooltip = [
            f"{data['op']} {short(data['name'], 400)}",
            *(f"not translated: {short(text, 400)}" for text in [data["untranslated"]] if text),
            *(f"scope {short(text, 400)}" for text in [data["scope"]] if text),
            *(f"from {origin.framework} {short(text, 400)}" for text in [origin.op or origin.name] if text),
            *(short(text, 400) for text in [origin.line] if text),
            *(
                f"{item.kind} {short(item.name, 400)} {labels.tensor(item.dtype, item.shape)}"
                for item in data["parameters"][:20]
            ),
            *(f"→ {short(out.name, 400)} {labels.tensor(out.dtype, out.shape)}" for out in data["outputs"][:20]),
        ]
        parameters = []
        if self.show.parameters:
            parameters = labels.parameter_lines(data["parameters"], data["scope"], origin.name or data["name"])
        return Box(
            f"n{self.numbers[key]}",
            "operator",
            data["family"],
            short(data["op"]),
            self._name(data, self._path(key)[len(frame) :]),
            tuple(details),
            tuple(parameters),
            tuple(line.strip() for line in tooltip),
            bool(data["untranslated"]),
        )

    @staticmethod
    def _name(data: dict[str, Any], rest: tuple[str, ...]) -> str:
        """A node's name relative to its frame; empty where it only repeats the operator."""
        own = data["leaf"]
        telling = bool(own) and not _is_generated(data)
        if rest and (data["origin"].scope or not telling):
            return short(".".join(rest))
        return short(".".join((*rest, own))) if telling else ""

    def _terminal(self, key: str, data: dict[str, Any]) -> Box:
        cut = data.get("cut", "")
        shape = labels.tensor(data["dtype"], data["shape"])
        return Box(
            f"n{self.numbers[key]}",
            data["kind"],
            "",
            short(data["name"]) or "?",
            "",
            tuple(filter(None, [shape if self.show.shapes else "", cut])),
            tuple(labels.parameter_lines(data["parameters"], "", "")) if self.show.parameters else (),
            (f"{data['kind']} {short(data['name'], 400)} {shape}".strip(),),
            cut=bool(cut),
        )

    def _module(self, keys: list[str], path: tuple[str, ...], around: tuple[str, ...]) -> Box:
        nodes = [self.view.nodes[key] for key in self._inside(keys)]
        operators = [data for data in nodes if data["kind"] == "operator"]
        kinds = Counter(data["op"] for data in operators)
        common = [f"{short(op)} × {number}" if number > 1 else short(op) for op, number in kinds.most_common(4)]
        if len(kinds) > 4:
            common.append("…")
        counts = [f"{len(operators)} operators"]
        if (elements := _elements(operators)) and self.show.parameters:
            counts.append(f"{labels.count(elements)} parameters")
        if lost := sum(bool(data["untranslated"]) for data in operators):
            counts.append(f"{lost} not translated")
        box = Box(
            f"n{self.numbers[keys[0]]}",
            "module",
            "",
            short(".".join(path[len(around) :])),
            self._module_class(keys, path),
            tuple(", ".join(pair) for pair in (common[:2], common[2:]) if pair),
            (("parameter", " · ".join(counts)),),
            (short(".".join(path), 400),),
            bool(lost),
        )
        for key in self._inside(keys):
            self.boxes[key] = box
        return box

    def _inside(self, keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            yield key
            for body in self.bodies.get(key, ()):
                yield from self._inside(self.members[body])

    def arrows(self) -> Iterator[Arrow]:
        """Every edge whose ends are in different boxes, once for each value and pair of boxes.

        Of many values between a folded module and another box there is one arrow.
        """
        edges = [
            (tail, head, (tail, data["output"]), data["kind"] == "body", data)
            for tail, head, data in self.view.edges(data=True)
        ]
        nodes = self.view.nodes
        owners = self.view.graph["bodies"]
        fed = {
            (value, owners[nodes[head]["body"]].owner)
            for _, head, value, body, _ in edges
            if body and nodes[head]["kind"] == "input"
        }
        found: dict[tuple[str, str], list[Arrow]] = {}
        seen = set()
        for tail, head, value, body, data in edges:
            left, right = self.boxes[tail], self.boxes[head]
            key = (right.id, value, body)
            if left is right or key in seen or (not body and (value, head) in fed):
                continue
            seen.add(key)
            shape = labels.tensor(data["dtype"], data["shape"], usual="float32")
            arrow = Arrow(
                left.id,
                right.id,
                value,
                shape if self.show.shapes else "",
                body,
                f"{short(data['value'], 400)} {shape}".strip(),
                bool(nodes[head].get("backward") and nodes[tail].get("backward") is False),
            )
            found.setdefault((left.id, right.id), []).append(arrow)
        modules = {box.id for box in self.boxes.values() if box.kind == "module"}
        for ends, arrows in found.items():
            yield from [_bundle(arrows)] if len(arrows) > _APART and modules & set(ends) else arrows


def _bundle(arrows: Sequence[Arrow]) -> Arrow:
    """One arrow for many values between two boxes."""
    first = arrows[0]
    more = f" and {len(arrows) - _APART} more" if len(arrows) > _APART else ""
    return replace(
        first,
        label=f"{len(arrows)} values",
        body=all(arrow.body for arrow in arrows),
        tooltip=", ".join(short(arrow.tooltip, 80) for arrow in arrows[:_APART]) + more,
        kept=all(arrow.kept for arrow in arrows),
    )
