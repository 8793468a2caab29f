"""TensorBoard's graphs: an event file with a TensorFlow GraphDef.

TensorBoard makes groups of the parts of names between slashes, so modules become prefixes: ``layer1/0/conv1/Conv``. The
messages and the file's records are those of the tensorboard package (``tensorboard/compat/proto``,
``tensorboard/summary/writer``), the underscored attributes what its graph page reads (``_output_shapes``).
"""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import MissingError
from graphkit.ir.describe import Tensor
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import networkx as nx

    from graphkit.ir.describe import Dims, Parameter

__all__ = ["FILE", "events", "graph_def"]

FILE: Final = "events.out.tfevents.0000000001.graphkit"
"""Name of the event file; TensorBoard looks for ``tfevents`` in it."""

_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_.\\>-]+")
"""What names of nodes cannot have (``tensorflow/core/framework/graph.proto``, the rules of ``node_def.name``)."""

_PART: Final = 80
"""Characters of a part of a name."""

_TYPES: Final = {"bool": "DT_BOOL", "bfloat16": "DT_BFLOAT16", "float16": "DT_HALF", "float32": "DT_FLOAT"} | {
    "float64": "DT_DOUBLE",
    "complex64": "DT_COMPLEX64",
    "complex128": "DT_COMPLEX128",
    "string": "DT_STRING",
    **{f"{sign}int{bits}": f"DT_{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def events(view: nx.MultiDiGraph) -> bytes:
    """An event file that shows a view; the same view gives the same bytes.

    Args:
        view: As :func:`graphkit.ir.view.nx_view` or :func:`graphkit.render.part.part` makes it.

    Raises:
        MissingError: tensorboard is not installed.
    """
    graph = graph_def(view)
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    writer = RecordWriter(file)
    told = graph.SerializeToString(deterministic=True)
    for event in (Event(wall_time=1.0, file_version="brain.Event:2"), Event(wall_time=1.0, graph_def=told)):
        writer.write(event.SerializeToString(deterministic=True))
    return file.getvalue()


def graph_def(view: nx.MultiDiGraph) -> Any:
    """A view as a ``GraphDef``.

    A module of one operator without parameters is that operator. Inputs are placeholders, parameters constants beside
    the operator that reads them first, and attributes those of the operator, with shapes and element types of its
    outputs as ``_output_shapes`` and ``_output_types``.

    Raises:
        MissingError: tensorboard is not installed.
    """
    try:
        from tensorboard.compat.proto.graph_pb2 import GraphDef
    except ImportError as error:
        raise MissingError(
            "Writing TensorBoard's event files needs the package tensorboard; install it (pip install "
            "'graphkit[tensorboard]')."
        ) from error
    graph = GraphDef()
    graph.versions.producer = 22
    _Writer(view, graph).write()
    return graph


class _Writer:
    def __init__(self, view: nx.MultiDiGraph, graph: Any) -> None:
        self.view = view
        self.graph = graph
        self.taken: set[str] = set()
        self.groups: set[str] = set()
        """Names with something below them, which are no node's."""
        self.names: dict[str, str] = {}
        self.held: dict[str, str] = {}
        """Names of the nodes of parameters."""
        self.passes = any(data.get("backward") for _, data in view.nodes(data=True))

    def write(self) -> None:
        """Fill the graph."""
        places = {key: self._place(key) for key in self.view}
        members = Counter(place[:level] for place in places.values() for level in range(1, len(place) + 1))
        alone = {
            key
            for key, data in self.view.nodes(data=True)
            if places[key] and members[places[key]] == 1 and not data["parameters"]
        }
        for key, place in places.items():
            depth = len(place) - (key in alone)
            self.groups |= {"/".join(place[:level]) for level in range(1, depth + 1)}
        for key, data in self.view.nodes(data=True):
            self.names[key] = self._free(places[key] if key in alone else (*places[key], _part(_leaf(data))))
        for key, data in self.view.nodes(data=True):
            self._node(key, data, places[key])

    def _place(self, key: str) -> tuple[str, ...]:
        """Groups around a node."""
        data = self.view.nodes[key]
        if data["kind"] != "operator":
            around: tuple[str, ...] = ()
        else:
            around = tuple(_part(part) for part in data["scope"].split(".") if part)
            if self.passes:
                around = ("backward" if data["backward"] else "forward", *around)
        if not data["body"]:
            return around
        info = self.view.graph["bodies"][data["body"]]
        owner = self.view.nodes[info.owner]
        outer = self._place(info.owner)
        inner = around[len(outer) :] if around[: len(outer)] == outer else around
        return (*outer, _part(f"{_leaf(owner)}_{info.attribute}"), *inner)

    def _free(self, parts: Sequence[str]) -> str:
        base = name = "/".join(parts)
        count = 0
        while name in self.taken or name in self.groups:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name

    def _node(self, key: str, data: Mapping[str, Any], place: tuple[str, ...]) -> None:
        held = [self._constant(item, place) for item in data["parameters"]]
        node = self.graph.node.add(name=self.names[key])
        reads = {item.input: name for item, name in zip(data["parameters"], held, strict=True)}
        bodies = []
        for tail, _, edge in self.view.in_edges(key, data=True):
            told = self.names[tail] + (f":{edge['output']}" if edge["output"] else "")
            if edge["kind"] == "data":
                reads[edge["input"]] = told
            else:
                bodies.append(told)
        node.input.extend([*(reads[position] for position in sorted(reads)), *bodies])
        if data["kind"] == "operator":
            domain = data["domain"]
            node.op = short(f"{domain}.{data['op']}" if domain not in ("", "ai.onnx") else data["op"], _PART)
            for name, value in data["attributes"].items():
                self._attribute(node, short(name, _PART), value)
            if data["untranslated"]:
                node.attr["untranslated"].s = short(data["untranslated"], 400).encode()
            for name in ("op", "name", "line"):
                if text := getattr(data["origin"], name):
                    node.attr[f"origin_{name}"].s = short(text, 400).encode()
            self._values(node, [(value.dtype, value.shape) for value in data["outputs"]])
            return
        node.op = {"input": "Placeholder", "output": "Output", "initializer": "Const"}[data["kind"]]
        if cut := data.get("cut"):
            node.attr["cut"].s = short(cut, 400).encode()
        self._values(node, [(data["dtype"], data["shape"])])

    def _constant(self, item: Parameter, place: tuple[str, ...]) -> str:
        """Name of the node of a parameter, which is made where it is first read."""
        known = self.held.get(item.name) if item.name else None
        if known is not None:
            return known
        leaf = item.name.removeprefix(".".join(place) + ".").rpartition("/")[2].rpartition(".")[2]
        name = self.held[item.name] = self._free((*place, _part(leaf or item.role or "constant")))
        node = self.graph.node.add(name=name, op="Const")
        node.attr["kind"].s = item.kind.encode()
        node.attr["name"].s = short(item.name, 400).encode()
        if item.values is not None:
            self._attribute(node, "value", item.values)
        self._values(node, [(item.dtype, item.shape)])
        return name

    @staticmethod
    def _values(node: Any, values: Sequence[tuple[str | None, Dims | None]]) -> None:
        """Shapes and element types of what a node gives."""
        from tensorboard.compat.proto.types_pb2 import DataType

        shapes = node.attr["_output_shapes"].list
        for _, shape in values:
            told = shapes.shape.add()
            if shape is None:
                told.unknown_rank = True
                continue
            for dim in shape:
                told.dim.add(size=dim if isinstance(dim, int) else -1, name="" if isinstance(dim, int) else dim or "")
        types = [DataType.Value(_TYPES[dtype]) if dtype in _TYPES else 0 for dtype, _ in values]
        node.attr["_output_types"].list.type.extend(types)
        if types and types[0]:
            node.attr["dtype"].type = types[0]

    @staticmethod
    def _attribute(node: Any, name: str, value: Any) -> None:
        made = node.attr[name]
        items = list(value) if isinstance(value, tuple | list) else None
        kinds = {type(item) for item in (items if items is not None else [value])}
        if isinstance(value, Tensor):
            made.s = short(f"{value.dtype} {value.shape}", 400).encode()
        elif items is not None:
            if kinds <= {int, bool} and all(-(2**63) <= item < 2**63 for item in items):
                made.list.i.extend(int(item) for item in items)
            elif kinds <= {int, float}:
                made.list.f.extend(map(_single, items))
            else:
                made.list.s.extend(short(str(item), 400).encode() for item in items)
        elif kinds == {bool}:
            made.b = value
        elif kinds == {int} and -(2**63) <= value < 2**63:
            made.i = value
        elif kinds == {float}:
            made.f = _single(value)
        else:
            made.s = short(str(value), 400).encode()


def _single(value: float) -> float:
    """A number that a float32 field takes."""
    limit = 3.4028234e38
    return value if value != value or abs(value) == float("inf") else max(-limit, min(limit, value))


def _leaf(data: Mapping[str, Any]) -> str:
    """What a node is called inside its module: its operator, where its own name says no more."""
    if data["kind"] != "operator":
        return str(data["name"])
    own = str(data["leaf"]).rpartition("/")[2]
    return own if own and not data["origin"].scope else data["op"]


def _part(text: str) -> str:
    """A part of a name, of the characters that names may have."""
    plain = _ILLEGAL.sub("_", short(text, _PART)).strip("_>-") if text else ""
    return plain or "unnamed"
