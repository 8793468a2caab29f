"""Element types that MXNet 1.9.1 lacks, held in wider ones.

It has no arrays of 16-bit integers nor of unsigned ones of more than 8 bits, of integers of 2 and 4 bits nor of floats
of 4 and 8, and on the CPU its products, convolutions and a few other operators take neither float16 nor bfloat16. What
it has no arrays of is held in a wider type throughout, integers brought back into their own range where arithmetic may
leave it. A node of narrow floats whose operators lack them is computed in
float32 and rounded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np

from graphkit.errors import FeedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = [
    "closed",
    "fed",
    "held",
    "is_held",
    "is_narrow",
    "is_state",
    "kind_of",
    "lacks",
    "may_leave",
    "overflows",
    "why_unheld",
    "wrapped",
    "wraps",
]

_WIDER: Final = {
    "int16": "int32",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "int64",
    "int2": "int8",
    "int4": "int8",
    "uint2": "uint8",
    "uint4": "uint8",
    "float4_e2m1fn": "float32",
    "float8_e4m3fn": "float32",
    "float8_e4m3fnuz": "float32",
    "float8_e5m2": "float32",
    "float8_e5m2fnuz": "float32",
    "float8_e8m0fnu": "float32",
}
_MXNET: Final = frozenset({"float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bfloat16", "bool"})
_MODULAR: Final = frozenset(
    {"Add", "BitCast", "BitwiseNot", "Cast", "CastLike", "CumSum", "Mul", "Neg", "ReduceSum", "Sub", "Sum"}
)
"""Operators that are right up to multiples of a power of two, whatever they overflow on the way."""
_CLOSED: Final = """
    ArgMax ArgMin BitwiseAnd BitwiseOr BitwiseXor Clip Compress Concat DepthToSpace DequantizeLinear Expand Flatten
    Gather GatherElements GatherND Identity Max Min Mod NonZero OneHot Pad QLinearConv QLinearMatMul QuantizeLinear
    Range ReduceMax ReduceMin Relu Reshape Resize
    ReverseSequence Shape Sign Size Slice SpaceToDepth Split Squeeze Tile TopK Transpose Trilu Unique Unsqueeze Where
"""
"""Operators whose integers are among those of their operands, or nearer to zero, or saturate."""
_GEMM: Final = frozenset({"Convolution", "Deconvolution", "FullyConnected", "RNN", "_linalg_gemm2", "batch_dot", "dot"})
_NARROW_LESS: Final = _GEMM | {"BatchNorm", "InstanceNorm", "LRN", "sort"}
"""MXNet operators without float16 on the CPU."""
_STATISTICS: Final = (3, 4)
"""Operands of BatchNormalization that are its mean and variance."""
_MOVES: Final = """
    Cast Concat Flatten Reshape SliceChannel SwapAxis _copy expand_dims gather_nd repeat reverse slice slice_axis
    slice_like squeeze stack take tile transpose zeros_like ones_like BlockGrad shape_array
"""
"""MXNet operators that take bfloat16."""


def held(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The element type in which MXNet holds one."""
    return np.dtype(_WIDER[dtype.name]) if dtype.name in _WIDER else dtype


def is_held(dtype: np.dtype[Any]) -> bool:
    """Whether MXNet holds arrays of an element type, in it or in a wider one."""
    return held(dtype).name in _MXNET


def is_narrow(dtype: np.dtype[Any]) -> bool:
    """Whether an element type is a float of 16 bits."""
    return dtype.name in ("float16", "bfloat16")


def is_state(node: ir.Node, index: int) -> bool:
    """Whether an operand is a state of MXNet's, which has to be stored: what computes one cannot be written to."""
    return node.op_type == "BatchNormalization" and not node.domain and index in _STATISTICS


def lacks(ops: Iterable[str], dtypes: Iterable[np.dtype[Any]]) -> bool:
    """Whether one of some MXNet operators does not take arrays of one of the types on the CPU."""
    kinds = {dtype.name for dtype in dtypes}
    if "bfloat16" in kinds:
        return not set(_MOVES.split()).issuperset(ops)
    return "float16" in kinds and not _NARROW_LESS.isdisjoint(ops)


def fed(name: str, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """An array as MXNet holds it.

    Raises:
        FeedError: It has unsigned numbers of 2**63 and more, for which there is no wider type.
    """
    dtype = held(array.dtype)
    if dtype == array.dtype:
        return array
    if overflows(array):
        raise FeedError(
            f"Input {name!r} has numbers of 2**63 and more; MXNet has no uint64 and holds it as int64. Feed smaller "
            "ones, "
            f"or leave MXNet out."
        )
    return array.astype(dtype)


def overflows(array: npt.NDArray[np.generic]) -> bool:
    """Whether an array has numbers that the type it is held in does not."""
    return array.dtype == np.uint64 and bool((array >= np.asarray(2**63, np.uint64)).any())


def closed(node: ir.Node) -> bool:
    """Whether results of a node are in the range of their type when its operands are."""
    if node.op_type == "Div":
        return all(
            value is None or value.dtype is None or not value.dtype.name.startswith("INT") for value in node.inputs
        )
    if node.op_type == "BitShift":
        return node.attributes.get_string("direction", "") == "RIGHT"
    if node.op_type in ("ScatterElements", "ScatterND"):
        return node.attributes.get_string("reduction", "none") in ("none", "max", "min")
    return node.op_type in _CLOSED.split()


def may_leave(node: ir.Node) -> bool:
    """Whether results of a node may be out of range and are right once they are brought back."""
    return node.op_type in _MODULAR or (node.op_type in ("BitShift", "Div") and not closed(node))


def wraps(dtype: np.dtype[Any]) -> bool:
    """Whether numbers that stand for an element type can be brought back into its range."""
    return dtype.name in _WIDER and "int" in dtype.name


def wrapped(b: MxBuilder, ref: MxRef, dtype: np.dtype[Any]) -> MxRef:
    """Integers brought into the range of the type that they stand for, as arithmetic in it would have."""
    if dtype == np.uint64:
        return ref
    limits = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]  # ml_dtypes says no types of it
    half, last = float(limits.max + 1), float(limits.max - limits.min)
    if not limits.min:
        return b.op("_npi_bitwise_and_scalar", ref, scalar=last, name="wrapped")
    shifted = b.op("_npi_bitwise_and_scalar", b.op("_plus_scalar", ref, scalar=half), scalar=last)
    return b.op("_minus_scalar", shifted, scalar=half, name="wrapped")


def kind_of(value: ir.Value) -> np.dtype[Any] | None:
    """The element type of a value, if it is known."""
    dtype = value.const_value.dtype if value.const_value is not None else value.dtype
    return None if dtype is None else np.dtype(dtype.numpy())


def why_unheld(node: ir.Node, kinds: Mapping[ir.Value, np.dtype[Any] | None]) -> str | None:
    """Why MXNet cannot hold what a node reads or gives, None where it can.

    Args:
        node: The node.
        kinds: The element type of each of its inputs and outputs, as far as it is known.
    """
    for value, kind in kinds.items():
        if kind is None:
            continue
        if not is_held(kind):
            if kind.kind == "O":
                return f"MXNet has no strings, as {value.name!r} is; encode them before the model"
            return f"MXNet has no arrays of {kind}, as {value.name!r} is"
        if kind == np.uint64 and value.const_value is not None and overflows(value.const_value.numpy()):
            return f"{value.name!r} has numbers of 2**63 and more, and MXNet holds uint64 as int64"
    for value in node.outputs:
        kind = kinds[value]
        if kind is None or kind == held(kind) or closed(node):
            continue
        within = kind == np.uint64 and any(not may_leave(use.node) for use in value.uses())
        if within or not may_leave(node) or not wraps(kind):
            return f"MXNet has no {kind} and holds it as {held(kind)}, which the result need not fit"
    return None
