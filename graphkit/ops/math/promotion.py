"""What MXNet does with operands of different dtypes, which ONNX wants to be equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.numpy.parameters import cast
from graphkit.ops.spec import Refusal, is_float

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

__all__ = ["in_floats", "number_of", "together", "with_scalar"]


def number_of(node: MxNode) -> float:
    """The ``scalar`` parameter."""
    return float(FLOAT.parse(node.attrs.get("scalar", "1")))


def with_scalar(b: OnnxBuilder, node: MxNode, data: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The data and the ``scalar`` parameter in the dtype in which MXNet computes with them.

    Floats keep theirs. Integers and truth values become float64 unless ``is_int`` says that the scalar is an integer,
    and truth values become int64 where it does.
    """
    if not is_float(b.dtype(data)):
        if not BOOL.parse(node.attrs.get("is_int", "True")):
            data = cast(b, data, np.dtype(np.float64))
        elif b.dtype(data).kind == "b":
            data = cast(b, data, np.dtype(np.int64))
    return data, b.scalar(number_of(node), data)


def in_floats(b: OnnxBuilder, compute: Callable[..., ir.Value], *operands: ir.Value, narrow: bool = True) -> ir.Value:
    """What a function of floats gives for operands of one dtype.

    MXNet's functions of integers compute in float32 and cut off what is behind the point.

    Args:
        b: The builder.
        compute: The function.
        operands: What it is taken of.
        narrow: Whether ONNX has it for float16.
    """
    dtype = b.dtype(operands[0])
    if is_float(dtype) and (narrow or dtype.itemsize > 2):
        return compute(*operands)
    return cast(b, compute(*(cast(b, x, np.dtype(np.float32)) for x in operands)), dtype)


def together(b: OnnxBuilder, left: ir.Value, right: ir.Value) -> np.dtype[np.generic] | Refusal:
    """The dtype in which an operator of MXNet's NumPy interface computes with two operands.

    Floats win over integers, these over truth values, and the wider one of two of a kind.
    """
    one, other = b.dtype(left), b.dtype(right)
    if one == other:
        return one
    floats = [dtype for dtype in (one, other) if is_float(dtype)]
    if floats:
        return max(floats, key=lambda dtype: dtype.itemsize)
    if {one, other} == {np.dtype(np.int8), np.dtype(np.uint8)}:
        return Refusal(f"MXNet does not combine {one} with {other}; cast one of them in the model")
    return max((one, other), key=lambda dtype: (dtype.kind != "b", dtype.itemsize))
