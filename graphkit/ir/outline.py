"""A graph as alignments see it: what each node reads, computes and is used for, comparable across models."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import onnx_ir as ir

from graphkit.files import release
from graphkit.ir.dims import dims_of
from graphkit.ir.edit import graphs_of
from graphkit.ir.opset import schema_of
from graphkit.ir.params import kind_of
from graphkit.ir.scope import place_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    import numpy.typing as npt

    Print: TypeAlias = Hashable

__all__ = ["COMMUTATIVE", "LINEAR", "Outline", "fingerprint", "is_weight", "may_be_equal"]

_SAMPLED: Final = 64
"""Elements of an array that its fingerprint reads; an array may be gigabytes in a mapped file."""
_ANYWHERE: Final = -1
"""Position of an input of an operator that does not tell its inputs apart."""
COMMUTATIVE: Final = frozenset(
    ("Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Max", "Mean", "Min", "Mul", "Or", "Sum", "Xor")
)
"""Operators that do not tell their inputs apart."""
LINEAR: Final = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
"""Operators whose weights can take up a scaling of their results."""
_SUFFIXES: Final = ("_output_0", "_output0", "_output")
"""What exporters append to a node's name to name its output."""


def fingerprint(value: ir.Value, order: tuple[int, ...] | None = None) -> Print:
    """Shape, element type and some elements of a stored array: different ones are of different arrays.

    Equal ones are of arrays that agree in the first and last element and up to 62 between them. Data that is not at
    hand (a missing external file) has a fingerprint that equals no other.

    Args:
        value: What is stored.
        order: An order to put the axes into before, as :func:`numpy.transpose` takes it; None for the one they have.
    """
    tensor = value.const_value
    if tensor is None:
        return (value.name, id(value))
    dims = [dim if isinstance(dim, int) else str(dim) for dim in tensor.shape]
    shape = tuple(dims if order is None else (dims[axis] for axis in order))
    try:
        array = np.asarray(tensor.numpy())
        array = array if order is None else array.transpose(order)
        places = np.unique(np.linspace(0, array.size - 1, min(array.size, _SAMPLED)).astype(np.int64))
        taken = array.flat[places]
        release(array)
    except (OSError, ValueError):
        return (shape, id(value))
    return (shape, str(tensor.dtype), repr(taken.tolist()) if taken.dtype.kind in "OSU" else taken.tobytes())


def is_weight(value: ir.Value) -> bool:
    """Whether a value is stored in the model."""
    return value.producer() is None and (value.is_initializer() or value.const_value is not None)


def may_be_equal(left: ir.Value, right: ir.Value) -> bool | None:
    """Whether two shapes may be the same, free dimensions matching anything; None where a rank is not known."""
    one, two = dims_of(left), dims_of(right)
    if one is None or two is None:
        return None
    if len(one) != len(two):
        return False
    return all(a == b or not isinstance(a, int) or not isinstance(b, int) for a, b in zip(one, two, strict=True))


class Outline:
    """The main graph of a model, or the body of a control-flow operator.

    Attributes:
        nodes: Nodes in the order in which the outputs need them, whatever the order of the file.
        place: Index of each node there.
        reads: What each node reads by position, and after that what the graphs nested in it read from outside.
        data: The computed values among it with their positions, -1 where the operator does not tell them apart.
        weights: The stored ones, likewise.
        users: Nodes that read a value, with positions.
        settings: Attributes of each node that are not at their defaults.
        scope: Path of the module that holds it.
        names: What it is called.
        sources: For a node that computes from stored arrays alone, their fingerprints.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        known = set(self.graph)
        self.reads: dict[ir.Node, tuple[ir.Value | None, ...]] = {
            node: (*_given(node), *_captured(node, known)) for node in self.graph
        }
        self.nodes = list(self._needed())
        self.place = {node: index for index, node in enumerate(self.nodes)}
        self.data: dict[ir.Node, list[tuple[int, ir.Value]]] = {}
        self.weights: dict[ir.Node, list[tuple[int, ir.Value]]] = {}
        self.users: dict[ir.Value, list[tuple[ir.Node, int]]] = {}
        self._prints: dict[ir.Value, Print] = {}
        for node in self.nodes:
            told = node.domain or node.op_type not in COMMUTATIVE
            places = enumerate(self.reads[node])
            slots = [(index if told else _ANYWHERE, value) for index, value in places if value is not None]
            self.data[node] = [slot for slot in slots if not is_weight(slot[1])]
            self.weights[node] = [slot for slot in slots if is_weight(slot[1])]
            for position, value in slots:
                self.users.setdefault(value, []).append((node, position))
        self.settings = {node: _settings(node) for node in self.nodes}
        self.scope = {node: place_of(node)[0] for node in self.nodes}
        self.names = {node: _names(node) for node in self.nodes}
        self.sources: dict[ir.Node, frozenset[Print]] = {}
        for node in self.nodes:
            above = [value.producer() for _, value in self.data[node]]
            if all(each in self.sources for each in above):
                own = [self.print(value) for _, value in self.weights[node] if kind_of(value) != "constant"]
                self.sources[node] = frozenset(own).union(*(self.sources[each] for each in above if each))

    def print(self, value: ir.Value) -> Print:
        """The :func:`fingerprint` of a stored array, read once."""
        if value not in self._prints:
            self._prints[value] = fingerprint(value)
        return self._prints[value]

    def direction(self, node: ir.Node) -> npt.NDArray[np.float64] | None:
        """What scaling the results of a linear operator leaves of its weights: those of some channels at length 1.

        None where there is nothing to tell them by: no stored weights, none but zeros, or a single one per channel.
        """
        axis = _channels(node)
        weight = dict(self.weights[node]).get(1)
        if axis is None or weight is None or weight.const_value is None:
            return None
        try:
            array = np.moveaxis(np.asarray(weight.const_value.numpy()), axis, 0)
        except (OSError, ValueError):
            return None
        if array.dtype.kind != "f" or array.ndim < 2 or array.size < 2 * len(array):
            return None
        chosen = (0, len(array) // 2, len(array) - 1)
        rows: npt.NDArray[np.float64] = np.stack([array[index].flat[:_SAMPLED] for index in chosen]).astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / lengths) if np.all((lengths > 0) & (lengths < np.inf)) else None

    def identities(self, known: Mapping[ir.Value, Hashable], numbers: dict[Hashable, int]) -> dict[ir.Node, int]:
        """A number for each node that is equal for equal computations.

        Equal are the operator, its attributes, the fingerprints of the arrays it reads and, all the way up, the
        computations of what it reads.

        Args:
            known: What graph inputs are, equal for those that mean the same in two models.
            numbers: Numbers given out so far, shared by the graphs whose numbers are compared.
        """
        found: dict[ir.Node, int] = {}
        for node in self.nodes:
            keys: list[Hashable] = []
            for value in self.reads[node]:
                producer = None if value is None else value.producer()
                if value is None:
                    key: Hashable = None
                elif producer in found:
                    key = found[producer], value.index()
                else:
                    key = self.print(value) if is_weight(value) else known.get(value, ("alone", id(value)))
                keys.append(numbers.setdefault(key, len(numbers)))
            if not node.domain and node.op_type in COMMUTATIVE:
                keys.sort(key=str)
            full = ("node", node.domain, node.op_type, self.settings[node], tuple(keys))
            found[node] = numbers.setdefault(full, len(numbers))
        return found

    def purposes(self, known: Mapping[ir.Value, Hashable], numbers: dict[Hashable, int]) -> dict[ir.Node, int]:
        """A number for each node that is equal for equal use: of its operator, attributes, arrays and all that follows.

        Args:
            known: What graph outputs are, equal for those that mean the same in two models.
            numbers: Numbers given out so far, shared by the graphs whose numbers are compared.
        """
        found: dict[ir.Node, int] = {}
        for node in reversed(self.nodes):
            uses: Counter[Hashable] = Counter()
            for index, value in enumerate(node.outputs):
                if value in known:
                    uses[index, "output", known[value]] += 1
                for user, position in self.users.get(value, ()):
                    uses[index, position, found.get(user, -1)] += 1
            arrays = tuple((position, self.print(value)) for position, value in self.weights[node])
            full = ("use", node.domain, node.op_type, self.settings[node], arrays, frozenset(uses.items()))
            found[node] = numbers.setdefault(full, len(numbers))
        return found

    def _needed(self) -> Iterator[ir.Node]:
        """Nodes after what they read, beginning with what the first output needs; those no output needs come last."""
        done: set[ir.Node] = set()
        roots = [node for value in self.graph.outputs if (node := value.producer()) in self.reads]
        for root in (*roots, *self.graph):
            stack = [(root, False)]
            while stack:
                node, ready = stack.pop()
                if node in done:
                    continue
                if ready:
                    done.add(node)
                    yield node
                    continue
                stack.append((node, True))
                above = [value.producer() for value in reversed(self.reads[node]) if value is not None]
                stack += [(each, False) for each in above if each in self.reads and each not in done]


def _given(node: ir.Node) -> tuple[ir.Value | None, ...]:
    """A node's inputs without optional ones left out at the end."""
    inputs = list(node.inputs)
    while inputs and inputs[-1] is None:
        inputs.pop()
    return tuple(inputs)


def _captured(node: ir.Node, known: set[ir.Node]) -> list[ir.Value]:
    """Values of the main graph that graphs nested in a node read, in order of discovery."""
    found: dict[ir.Value, None] = {}
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            bodies = list(graphs_of(attribute.as_graph()))
        elif attribute.type == ir.AttributeType.GRAPHS:
            bodies = [graph for body in attribute.as_graphs() for graph in graphs_of(body)]
        else:
            continue
        for body in bodies:
            for value in (*(value for inner in body for value in inner.inputs), *body.outputs):
                if value is not None and (value.producer() in known or value.graph is node.graph):
                    found[value] = None
    return list(found)


def _names(node: ir.Node) -> frozenset[str]:
    """What a node is called: its name, and that of its output without what exporters append."""
    output = (node.outputs[0].name or "") if node.outputs else ""
    for suffix in _SUFFIXES:
        output = output.removesuffix(suffix)
    return frozenset(filter(None, (node.name, output)))


def _channels(node: ir.Node) -> int | None:
    """The axis of a linear operator's weights that counts the channels of its results."""
    if node.domain or node.op_type not in LINEAR:
        return None
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    return {"Conv": 0, "ConvTranspose": 1, "MatMul": -1}[node.op_type]


def _settings(node: ir.Node) -> Hashable:
    """Attributes that are not at their defaults, as something that can be compared."""
    schema = schema_of(node.op_type, node.domain)
    found = []
    for name, attribute in sorted(node.attributes.items()):
        value = _setting(attribute)
        if schema is not None and name in schema.attributes:
            default = schema.attributes[name].default_value
            if default.name and _setting(ir.serde.deserialize_attribute(default)) == value:
                continue
        found.append((name, value))
    return tuple(found)


def _setting(attribute: ir.Attr) -> Hashable:
    if attribute.is_ref():
        return ("@", attribute.ref_attr_name)
    value: Any = attribute.value
    match attribute.type:
        case ir.AttributeType.TENSOR:
            return fingerprint(ir.Value(name="", const_value=value))
        case ir.AttributeType.FLOAT:
            return float(np.float32(value))
        case ir.AttributeType.FLOATS:
            return tuple(float(np.float32(each)) for each in value)
        case ir.AttributeType.INTS | ir.AttributeType.STRINGS:
            return tuple(value)
        case ir.AttributeType.INT | ir.AttributeType.STRING:
            return value if isinstance(value, int | str | bytes) else str(value)
        case ir.AttributeType.GRAPH:
            return tuple((node.op_type, _settings(node)) for node in value)
        case ir.AttributeType.GRAPHS:
            return tuple(tuple((node.op_type, _settings(node)) for node in body) for body in value)
    return str(value)
