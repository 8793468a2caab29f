"""What quantized operators share: ranges of integers, scales and zero points laid against data, and rounding to steps.

A number x is held as the integer q = saturate(round(x / scale) + zero_point), halves rounded to even, and stands for
(q − zero_point) · scale. Products of such integers are summed in float64, which is exact up to 2^53.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.math.unary import mx_round
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import axis_of, some

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.layout import Layout
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

__all__ = [
    "CARRIED",
    "FLOAT8",
    "along",
    "bounds",
    "constant_zero",
    "factor_of",
    "held",
    "kind_of",
    "mx_aligned",
    "mx_integers",
    "mx_steps",
    "torch_aligned",
    "torch_integers",
    "torch_scaled",
    "torch_steps",
]

_RANGES = {
    ir.DataType.INT2: (-2, 1),
    ir.DataType.INT4: (-8, 7),
    ir.DataType.UINT2: (0, 3),
    ir.DataType.UINT4: (0, 15),
}
CARRIED: Mapping[ir.DataType, np.dtype[Any]] = {
    ir.DataType.FLOAT4E2M1: np.dtype(np.float32),
    ir.DataType.INT2: np.dtype(np.int8),
    ir.DataType.INT4: np.dtype(np.int8),
    ir.DataType.UINT2: np.dtype(np.uint8),
    ir.DataType.UINT4: np.dtype(np.uint8),
}
"""Element types of less than a byte, and what holds their numbers in torch."""
FLOAT8 = {ir.DataType.FLOAT8E4M3FN: 448.0, ir.DataType.FLOAT8E5M2: 57344.0}
"""Floats of a byte that torch has, and the largest number of each."""
_HALVES = frozenset({"float16", "bfloat16"})


def kind_of(value: ir.Value) -> ir.DataType:
    """Element type of a value as ONNX names it."""
    dtype = value.dtype if value.const_value is None else value.const_value.dtype
    return ir.DataType.UNDEFINED if dtype is None else dtype


def held(b: MxBuilder | TorchBuilder, value: ir.Value) -> np.dtype[Any]:
    """The element type that holds a value's numbers."""
    return CARRIED.get(kind_of(value)) or b.dtype(value)


def bounds(kind: ir.DataType) -> tuple[int, int] | Refusal:
    """The smallest and largest integer of an element type."""
    if kind in _RANGES:
        return _RANGES[kind]
    dtype = kind.numpy()
    if dtype.kind not in "iu":
        return Refusal(f"it quantizes to {kind.name.lower()}, which graphkit does not; use 4, 8 or 16-bit integers")
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def along(b: MxBuilder | TorchBuilder, node: ir.Node, position: int, default: int = 1) -> Layout | int | Refusal:
    """How a scale or zero point lies against the node's data.

    Returns:
        The layout that makes it broadcast, or the number of elements along ``axis`` that share one.
    """
    data, value = some(node.inputs[0]), some(node.inputs[position])
    rank = b.rank(value)
    if rank == 0 or b.shape(value) == (1,):
        return () if rank == 0 or b.rank(data) > 0 else (("reshape", ()),)
    axis = axis_of(node, b.rank(data), default)
    block = node.attributes.get_int("block_size", 0)
    if not 0 <= axis < b.rank(data):
        return Refusal(f"its axis is {axis}, but its input has {b.rank(data)} dimensions")
    if rank == 1:
        size = b.shape(value)[0]
        after = b.rank(data) - 1 - axis
        return (("reshape", (size if isinstance(size, int) else -1, *[1] * after)),) if after else ()
    if rank != b.rank(data) or block < 1:
        return Refusal(
            f"its scale has {rank} dimensions and block_size={block}; a scale of several dimensions has those of the "
            f"input and a block_size of at least 1"
        )
    return block


def constant_zero(b: MxBuilder | TorchBuilder, value: ir.Value | None) -> bool:
    """Whether a zero point is absent, or known to be all zeros."""
    array = b.value(value)
    return value is None or (array is not None and not np.asarray(array, np.float32).any())


def torch_aligned(b: TorchBuilder, node: ir.Node, position: int, default: int = 1) -> Arg | Refusal:
    """A scale or zero point so that it broadcasts against the node's data."""
    value = some(node.inputs[position])
    layout = along(b, node, position, default)
    if isinstance(layout, Refusal):
        return layout
    if kind_of(value) in CARRIED and (array := b.value(value)) is not None:
        whole = array.astype(held(b, value))
        return b.const(_blocked(b, node, whole, layout) if isinstance(layout, int) else _laid(whole, layout))
    if isinstance(layout, int):
        axis = axis_of(node, b.rank(some(node.inputs[0])), default)
        wide = b.method("repeat_interleave", b.arg(value), layout, axis)
        size = b.size(some(node.inputs[0]), axis)
        known = b.shape(value)[axis]
        if isinstance(size, int) and isinstance(known, int) and known * layout == size:
            return wide
        return b.item(wide, *(slice(None),) * axis, slice(None, size))
    return b.derived(value, layout) if layout else b.arg(value)


def _laid(array: npt.NDArray[np.generic], layout: Layout) -> npt.NDArray[np.generic]:
    return array.reshape(layout[0][1]) if layout else array


def _blocked(
    b: MxBuilder | TorchBuilder, node: ir.Node, array: npt.NDArray[np.generic], block: int
) -> npt.NDArray[np.generic]:
    data = some(node.inputs[0])
    axis = axis_of(node, b.rank(data), 1)
    size = b.shape(data)[axis]
    assert isinstance(size, int)
    return np.repeat(array, block, axis).take(np.arange(size), axis)


def torch_integers(b: TorchBuilder, x: Arg, zero: Arg | None, zero_value: ir.Value | None, dtype: str) -> Arg:
    """The integers of a quantized value less its zero point, as floats: dtype is ``"float"`` or ``"double"``."""
    floats = b.method(dtype, x)
    if zero is None or constant_zero(b, zero_value):
        return floats
    number = b.number(zero_value)
    return b.infix("-", floats, int(number) if number is not None else zero)


def torch_scaled(b: TorchBuilder, scale: ir.Value, arg: Arg) -> Arg:
    """A scale as a factor: a number where it is a constant of one element."""
    number = b.number(scale)
    if number is None:
        return arg
    return float(some(b.value(scale)).item()) if b.dtype(scale).name in _HALVES else float(number)


def torch_steps(
    b: TorchBuilder, scaled: Arg, zero: Arg | None, zero_value: ir.Value | None, kind: ir.DataType
) -> Arg | Refusal:
    """Round numbers given in steps to integers of an element type, shifted by a zero point."""
    limits = bounds(kind)
    if isinstance(limits, Refusal):
        return limits
    steps: Arg = b.call("torch.round", scaled)
    if zero is not None and not constant_zero(b, zero_value):
        number = b.number(zero_value)
        if number is None and kind in (ir.DataType.UINT16, ir.DataType.UINT32):
            zero = b.method("float", zero)
        steps = b.infix("+", steps, int(number) if number is not None else zero)
    dtype = CARRIED.get(kind, kind.numpy())
    return b.method("to", b.method("clamp", steps, *limits), b.torch_dtype(dtype))


def mx_aligned(b: MxBuilder, node: ir.Node, position: int, default: int = 1) -> MxRef | Refusal:
    """A scale or zero point so that it broadcasts against the node's data."""
    value = some(node.inputs[position])
    layout = along(b, node, position, default)
    if isinstance(layout, Refusal):
        return layout
    array = b.value(value)
    if isinstance(layout, int):
        axis = axis_of(node, b.rank(some(node.inputs[0])), default)
        sizes = b.shape(some(node.inputs[0]))[axis], b.shape(value)[axis]
        if not all(isinstance(size, int) for size in sizes):
            return Refusal("the sizes of its input and scale along its axis are not known; give shapes with --input")
        if array is not None:
            return b.const(_blocked(b, node, array.astype(b.dtype(value)), layout))
        wide = b.op("repeat", b.ref(value), repeats=layout, axis=axis)
        return b.op("slice_axis", wide, axis=axis, begin=0, end=sizes[0])
    return b.derived(value, layout) if layout and layout[0][1] else b.ref(value)


def mx_integers(b: MxBuilder, x: MxRef, zero: MxRef | None, zero_value: ir.Value | None, dtype: str) -> MxRef:
    """The integers of a quantized value less its zero point, as floats of a type."""
    floats = b.op("Cast", x, dtype=dtype)
    if zero is None or constant_zero(b, zero_value):
        return floats
    number = b.number(zero_value)
    if number is not None:
        return b.op("_minus_scalar", floats, scalar=float(number))
    return b.op("broadcast_sub", floats, b.op("Cast", zero, dtype=dtype, name="zero_point"))


def mx_steps(
    b: MxBuilder, node: ir.Node, scaled: MxRef, zero: MxRef | None, zero_value: ir.Value | None, dtype: str
) -> MxRef | Refusal:
    """Round numbers given in steps, floats of ``dtype``, to a node's integers, shifted by a zero point."""
    result = node.outputs[0]
    limits = bounds(kind_of(result))
    if isinstance(limits, Refusal):
        return limits
    steps = mx_round(b, scaled)
    if zero is not None and not constant_zero(b, zero_value):
        number = b.number(zero_value)
        if number is not None:
            steps = b.op("_plus_scalar", steps, scalar=float(number))
        else:
            steps = b.op("broadcast_add", steps, b.op("Cast", zero, dtype=dtype, name="zero_point"))
    return b.op("Cast", b.op("clip", steps, a_min=limits[0], a_max=limits[1]), dtype=b.dtype(result).name)


def factor_of(
    b: MxBuilder | TorchBuilder, node: ir.Node, scales: tuple[int, int, int]
) -> npt.NDArray[np.float32] | None:
    """Steps of the result in one product of integers, left scale · right scale / own scale, in float32.

    Args:
        b: Answers questions about the graph.
        node: The node.
        scales: Positions of the three scales.

    Returns:
        A 0-d array, or one number for each of several scales of the right operand; None where one is computed.
    """
    arrays = [b.value(node.inputs[position]) for position in scales]
    left, right, own = arrays
    if left is None or right is None or own is None or left.size != 1 or own.size != 1:
        return None
    ratio = left.astype(np.float32).reshape(()) * right.astype(np.float32) / own.astype(np.float32).reshape(())
    found: npt.NDArray[np.float32] = np.asarray(ratio, np.float32).reshape(() if right.size == 1 else right.shape)
    return found
