"""What the viewer's page is told of graphs, as JSON holds it; the page's scripts read it under the same names."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from graphkit.ir.describe import Tensor, role_of
from graphkit.ir.family import FAMILIES
from graphkit.render.compose import draw
from graphkit.render.labels import attribute_lines, count, dims, parameter_lines
from graphkit.render.style import COLOURS
from graphkit.render.viewer.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import networkx as nx
    import onnx_ir as ir

    from graphkit.ir.describe import Parameter
    from graphkit.ir.statistics import Statistics
    from graphkit.render.overlay import Overlay

__all__ = ["FORMAT", "Comparison", "Counterpart", "Status", "Subject", "payload", "subject"]

FORMAT: Final = 1
"""Version of the layout, which the page's scripts know."""

_COUNTED: Final = 1 << 18
"""Elements of a parameter that its statistics are made of; more of them are counted at even distances."""
_TEXT: Final = 4000
"""Characters of an attribute that are told."""

Status: TypeAlias = Literal["same", "changed", "renamed", "moved", "added", "removed"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A graph to be explored.

    Attributes:
        view: As :func:`graphkit.ir.view.nx_view` makes it.
        title: What to call it.
        source: What it was read from, e.g. ``"MXNet resnet-symbol.json"``.
        facts: What to say of it as a whole, as (name, value).
        overlays: Numbers laid over it.
        tensors: Data of its parameters and constants by name, for their statistics.
    """

    view: nx.MultiDiGraph
    title: str
    source: str = ""
    facts: Sequence[tuple[str, str]] = ()
    overlays: Sequence[Overlay] = ()
    tensors: Mapping[str, ir.TensorProtocol] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A node of one graph and what it is in another.

    Attributes:
        left: Key of the node in the left view; None where it has none there.
        right: Key of the node in the right view; None where it has none there.
        status: How they differ.
        told: What differs, a line each.
    """

    left: str | None
    right: str | None
    status: Status
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two graphs differ.

    Attributes:
        counterparts: Every node of both, once.
        summary: What to say of it as a whole, as (count, what), e.g. ``("3", "nodes added")``.
    """

    counterparts: Sequence[Counterpart]
    summary: Sequence[tuple[str, str]] = ()


def subject(
    model: ir.Model,
    *,
    view: nx.MultiDiGraph | None = None,
    title: str = "",
    overlays: Sequence[Overlay] = (),
    facts: Sequence[tuple[str, str]] = (),
) -> Subject:
    """A model to be explored.

    Args:
        model: Any model.
        view: Its view, or a part of that; None for the whole.
        title: What to call it; the name of what it was read from, or its graph's, if empty.
        overlays: Numbers laid over its view.
        facts: What to say of it besides its size.
    """
    from graphkit.ir.describe import constant_of
    from graphkit.ir.origin import source_of
    from graphkit.ir.view import nx_view

    origin = source_of(model)
    label = origin.label if origin is not None else ""
    tensors = {
        value.name or "": tensor
        for graph in model.graphs()
        for value in (*graph.initializers.values(), *(output for node in graph for output in node.outputs))
        if (tensor := constant_of(value)) is not None
    }
    shown = nx_view(model) if view is None else view
    return Subject(shown, title or label or model.graph.name or "model", label, facts, overlays, tensors)


def payload(
    subjects: Sequence[Subject], *, title: str = "", comparison: Comparison | None = None, colours: str = ""
) -> dict[str, Any]:
    """What the page is told.

    Args:
        subjects: One graph, or two to be compared.
        title: What to call the page; what the graphs are called if empty.
        comparison: How the two graphs differ.
        colours: Title of the overlay that colours the nodes at first; empty for none.

    Returns:
        JSON's types alone: numbers that JSON has not are text.
    """
    found: dict[str, Any] = {
        "format": FORMAT,
        "title": title or " ⇄ ".join(item.title for item in subjects),
        "families": [{"name": family, **COLOURS[family]._asdict()} for family in FAMILIES],
        "graphs": [_Graph(item).told() for item in subjects],
        "colours": colours,
        "diff": None,
    }
    if comparison is not None:
        found["diff"] = _compared(subjects, comparison)
    return found


def _compared(subjects: Sequence[Subject], comparison: Comparison) -> dict[str, Any]:
    left, right = ({key: number for number, key in enumerate(item.view)} for item in subjects)
    return {
        "titles": [item.title for item in subjects],
        "summary": [list(line) for line in comparison.summary],
        "pairs": [
            [
                None if pair.left is None else left[pair.left],
                None if pair.right is None else right[pair.right],
                pair.status,
            ]
            for pair in comparison.counterparts
        ],
        "told": {str(index): list(pair.told) for index, pair in enumerate(comparison.counterparts) if pair.told},
    }


class _Graph:
    """One graph as the page is told it."""

    def __init__(self, item: Subject) -> None:
        self.subject = item
        self.view = item.view
        self.numbers = {key: number for number, key in enumerate(item.view)}
        drawing = draw(item.view, title=item.title)
        self.boxes = {box.id: box for box in drawing.boxes()}
        self.groups = Groups(drawing, item.view)
        self.parameters: dict[str, int] = {}
        self.listed: list[dict[str, Any]] = []

    def told(self) -> dict[str, Any]:
        nodes = [self._node(number, key, data) for number, (key, data) in enumerate(self.view.nodes(data=True))]
        return {
            "title": self.subject.title,
            "source": self.subject.source,
            "facts": [list(fact) for fact in (*self._facts(), *self.subject.facts)],
            "nodes": nodes,
            "groups": [
                {name: value for name, value in asdict(group).items() if value is not None}
                for group in self.groups.groups
            ],
            "edges": [self._edge(tail, head, data) for tail, head, data in self.view.edges(data=True)],
            "parameters": self.listed,
            "overlays": [self._overlay(item) for item in self.subject.overlays],
        }

    def _facts(self) -> list[tuple[str, str]]:
        operators = self.groups.groups[0].nodes
        elements = bytes_ = 0
        for item in self.listed:
            if item["kind"] == "parameter":
                elements += item["elements"] or 0
                bytes_ += item["bytes"] or 0
        facts = [("operators", f"{operators:,}")]
        if elements:
            facts.append(("parameters", count(elements)))
            facts.append(("size of parameters", count(bytes_, "B")))
        return facts

    def _node(self, number: int, key: str, data: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "kind": data["kind"],
            "name": data["name"],
            "label": "",
            "group": self.groups.of[number],
        }
        if data["kind"] != "operator":
            found |= {"op": data["name"], "dtype": data["dtype"], "shape": _shape(data["shape"])}
            found["parameters"] = [[item.role, self._parameter(item)] for item in data["parameters"]]
            return found
        box = self.boxes[f"n{number}"]
        origin = data["origin"]
        found |= {
            "op": data["op"],
            "domain": data["domain"],
            "label": box.name,
            "family": FAMILIES.index(data["family"]),
            "details": attribute_lines(data["op"], data["domain"], data["attributes"]),
            "reads": [
                text for _, text in parameter_lines(data["parameters"], data["scope"], origin.name or data["name"])
            ],
            "attributes": [[name, _attribute(value)] for name, value in sorted(data["attributes"].items())],
            "outputs": [[item.name, item.dtype, _shape(item.shape)] for item in data["outputs"]],
            "inputs": self._inputs(key, data),
            "parameters": [[item.role, self._parameter(item)] for item in data["parameters"]],
            "scope": data["scope"],
            "origin": {name: text for name, text in asdict(origin).items() if text},
        }
        if data["backward"]:
            found["backward"] = True
        if data["untranslated"]:
            found["untranslated"] = data["untranslated"]
        return found

    def _inputs(self, key: str, data: Mapping[str, Any]) -> list[list[str]]:
        read = {item.input: item.name for item in data["parameters"]}
        for _, _, edge in self.view.in_edges(key, data=True):
            if edge["kind"] == "data":
                read[edge["input"]] = edge["value"]
        return [[role_of(data["op"], data["domain"], index), read[index]] for index in sorted(read)]

    def _edge(self, tail: str, head: str, data: Mapping[str, Any]) -> list[Any]:
        edge = [self.numbers[tail], data["output"], self.numbers[head], data["input"]]
        return [*edge, "body"] if data["kind"] == "body" else edge

    def _parameter(self, item: Parameter) -> int:
        if item.name in self.parameters:
            return self.parameters[item.name]
        number = self.parameters[item.name] = len(self.listed)
        known = item.shape is not None and all(isinstance(dim, int) for dim in item.shape)
        told: dict[str, Any] = {
            "name": item.name,
            "kind": item.kind,
            "dtype": item.dtype,
            "shape": _shape(item.shape),
            "bytes": item.bytes,
            "elements": math.prod(dim for dim in item.shape or () if isinstance(dim, int)) if known else None,
            "statistics": self._statistics(item),
        }
        if item.values is not None:
            told["values"] = ", ".join(map(str, item.values))
        self.listed.append(told)
        return number

    def _statistics(self, item: Parameter) -> dict[str, Any] | None:
        from graphkit.ir.statistics import statistics

        tensor = self.subject.tensors.get(item.name)
        if tensor is None or item.values is not None:
            return None
        try:
            return _plain_statistics(statistics(tensor, limit=_COUNTED))
        except (OSError, TypeError, ValueError):
            return None

    def _overlay(self, item: Overlay) -> dict[str, Any]:
        return {
            "title": item.title,
            "scale": item.scale,
            "unit": item.unit,
            "note": item.note,
            "marks": {
                str(self.numbers[key]): [_number(mark.value), mark.verdict, list(mark.told)]
                for key, mark in item.marks.items()
                if key in self.numbers
            },
        }


def _plain_statistics(found: Statistics) -> dict[str, Any]:
    histogram = found.histogram
    return {
        "mean": _number(found.mean),
        "std": _number(found.std),
        "min": _number(found.minimum),
        "max": _number(found.maximum),
        "zeros": found.zeros,
        "nans": found.nans,
        "infinities": found.infinities,
        "counted": found.counted,
        "histogram": None
        if histogram is None
        else {"low": _number(histogram.low), "high": _number(histogram.high), "counts": list(histogram.counts)},
    }


def _number(value: float | None) -> float | str | None:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _shape(shape: Sequence[int | str | None] | None) -> str | None:
    return None if shape is None else dims(tuple(shape)).replace("×", " × ")


def _attribute(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"tensor {value.dtype or ''} {_shape(value.shape) or ''}".strip()
    text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}… ({len(text):,} characters)"
