"""What the rooms of tensor operators share: axes, sizes known only at run time, and indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import onnx_ir as ir

from graphkit.ir.dims import dims_of
from graphkit.ir.symbols import sizes_of

if TYPE_CHECKING:
    from graphkit.ops.builders import BodyBuilder, Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef

    T = TypeVar("T")

__all__ = [
    "END",
    "START",
    "as_int64",
    "axis_of",
    "clipped",
    "constant_ints",
    "dim_ref",
    "is_never_negative",
    "measured",
    "mx_axis",
    "positions",
    "rank_is_known",
    "size_along",
    "sizes_in",
    "some",
    "wrapped",
]

END = 2**63 - 1
"""An ONNX Slice bound past any axis."""
START = -(2**63)
"""An ONNX Slice bound before any axis."""


def some(operand: T | None) -> T:
    """An operand that its operator cannot do without."""
    assert operand is not None
    return operand


def axis_of(node: ir.Node, rank: int, default: int = 0, name: str = "axis") -> int:
    """An axis attribute of an ONNX node, counted from the front."""
    axis = node.attributes.get_int(name, default)
    return axis + rank if axis < 0 else axis


def mx_axis(node: MxNode, name: str = "axis", default: str = "None") -> int | None:
    """An axis parameter of an MXNet node; None for MXNet's ``None``."""
    text = node.attrs.get(name, default)
    return None if text == "None" else int(text)


def rank_is_known(value: ir.Value) -> bool:
    """Whether asking for the value's shape gives one; its dimensions may be unknown."""
    return dims_of(value) is not None


def constant_ints(b: MxBuilder | TorchBuilder, node: ir.Node, position: int) -> tuple[int, ...] | None:
    """An operand that is a constant of integers, flattened; None where it is absent, computed or fed."""
    if position >= len(node.inputs):
        return None
    array = b.value(node.inputs[position])
    return None if array is None else tuple(int(item) for item in array.reshape(-1))


def sizes_in(node: ir.Node, position: int) -> list[Dim] | None:
    """What is known of the elements of an integer operand: numbers, sizes by name; None where it is absent."""
    found = sizes_of(node.inputs[position]) if position < len(node.inputs) else None
    if found is None:
        return None
    return [size if size is None or isinstance(size, int) else str(size) for size in found.reshape(-1)]


def measured(*operands: ir.Value | None) -> list[ir.Value]:
    """The values whose Shape integer operands are computed from."""
    found: list[ir.Value] = []
    seen: set[ir.Node] = set()
    stack = [operand.producer() for operand in operands if operand is not None]
    while stack:
        producer = stack.pop()
        if producer is None or producer in seen:
            continue
        seen.add(producer)
        read = [operand for operand in producer.inputs if operand is not None]
        if producer.op_type in ("Shape", "Size"):
            found += read
        else:
            stack += [operand.producer() for operand in read]
    return found


def dim_ref(b: MxBuilder, value: ir.Value, axis: int) -> MxRef:
    """The size of an axis as an int64 array of one element."""
    return b.op("slice_axis", b.op("shape_array", b.ref(value)), axis=0, begin=axis, end=axis + 1)


_COUNTS = frozenset({"ArgMax", "ArgMin", "Shape", "Size", "NonZero"})
_VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Transpose", "Flatten", "Identity", "Expand", "Slice", "Gather"})
_JOINS = frozenset({"Add", "Mul", "Concat", "Min", "Tile", "Where"})


def is_never_negative(b: MxBuilder | TorchBuilder, value: ir.Value) -> bool:
    """Whether an integer value can be seen to have no negative element."""
    if b.dtype(value).kind in "ub":
        return True
    array = b.value(value)
    if array is not None:
        return array.size == 0 or bool(array.min() >= 0)
    node = value.producer()
    if node is None:
        return False
    operands = [operand for operand in node.inputs if operand is not None]
    if node.op_type in _COUNTS or (node.op_type == "TopK" and value is node.outputs[1]):
        return True
    if node.op_type == "Clip":
        low = b.number(node.inputs[1]) if len(node.inputs) > 1 else None
        return low is not None and low >= 0
    if node.op_type == "Range":
        start, step = b.number(operands[0]), b.number(operands[2])
        return start is not None and start >= 0 and step is not None and step > 0
    if node.op_type == "Cast":
        return b.dtype(operands[0]).kind in "iub" and is_never_negative(b, operands[0])
    if node.op_type in _VIEWS:
        return is_never_negative(b, operands[0])
    return node.op_type in _JOINS and all(is_never_negative(b, operand) for operand in operands)


def as_int64(b: OnnxBuilder, value: ir.Value) -> ir.Value:
    """A value as int64; floats lose their fraction, as MXNet's indices do."""
    array = b.value(value)
    if array is not None:
        return value if array.dtype == np.int64 else b.const(array.astype(np.int64))
    return value if b.dtype(value) == np.int64 else b.op("Cast", value, to=ir.DataType.INT64)


def size_along(b: OnnxBuilder | BodyBuilder, value: ir.Value, axis: int) -> ir.Value:
    """The size of an axis as an int64 array of one element: a constant where it is known."""
    size = _size(b, value, axis)
    if isinstance(size, int):
        return b.const([size])
    return b.op("Shape", value, start=axis, end=None if axis == -1 else axis + 1)


def _size(b: OnnxBuilder | BodyBuilder, value: ir.Value, axis: int) -> Dim:
    return b.shape(value)[axis] if rank_is_known(value) else None


_STORED = 1_000_000
"""Numbers of elements up to which they are stored, rather than counted while the model runs."""


def positions(b: OnnxBuilder | BodyBuilder, value: ir.Value, axis: int) -> ir.Value:
    """The int64 numbers 0, 1, … along an axis of a value."""
    size = _size(b, value, axis)
    if isinstance(size, int) and size <= _STORED:
        return b.const(np.arange(size))
    end = np.asarray(size) if isinstance(size, int) else b.op("Squeeze", size_along(b, value, axis), [0])
    return b.op("Range", np.asarray(0), end, np.asarray(1))


def clipped(b: OnnxBuilder, indices: ir.Value, data: ir.Value, axis: int) -> ir.Value:
    """Int64 indices into an axis of ``data``, those out of range moved to its nearer end."""
    size = _size(b, data, axis)
    array = b.value(indices)
    if array is not None and isinstance(size, int):
        inside = np.clip(array, 0, size - 1)
        return indices if np.array_equal(inside, array) else b.const(inside)
    return b.op("Clip", indices, np.asarray(0), _last(b, data, axis))


def _last(b: OnnxBuilder, data: ir.Value, axis: int) -> ir.Value:
    size = _size(b, data, axis)
    if isinstance(size, int):
        return b.const(np.asarray(size - 1))
    return b.op("Sub", b.op("Squeeze", size_along(b, data, axis), [0]), np.asarray(1))


def wrapped(b: OnnxBuilder, indices: ir.Value, data: ir.Value, axis: int) -> ir.Value:
    """Int64 indices into an axis of ``data``, those out of range moved by its size until they are in range."""
    size = _size(b, data, axis)
    array = b.value(indices)
    if array is not None and isinstance(size, int):
        inside = array % np.asarray(size)
        return indices if np.array_equal(inside, array) else b.const(inside)
    if isinstance(size, int):
        return b.op("Mod", indices, np.asarray(size))
    return b.op("Mod", indices, b.op("Squeeze", size_along(b, data, axis), [0]))
