"""How truth values live in MXNet, whose operators mostly reject its own bool dtype.

An IR value of type bool is carried as the numbers 0 and 1: a comparison gives them in the dtype of its inputs where
that is float32 or float64, and is cast to float32 where it is not; graph inputs and stored masks are float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["as_carrier", "carrier", "comparison_dtype"]

_COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf"})
_FLOAT32 = np.dtype(np.float32)


def comparison_dtype(b: MxBuilder, operand: ir.Value) -> np.dtype[Any]:
    """The dtype that the result of comparing a value is carried in."""
    dtype = b.dtype(operand)
    if dtype.kind == "b":
        return carrier(b, operand)
    return dtype if dtype.kind == "f" and dtype.itemsize >= _FLOAT32.itemsize else _FLOAT32


def carrier(b: MxBuilder, value: ir.Value) -> np.dtype[Any]:
    """The dtype in which MXNet holds a value: its own, or that of the numbers that stand for truth values."""
    dtype = b.dtype(value)
    while dtype.kind == "b":
        producer = value.producer()
        if producer is None:
            return _FLOAT32
        if producer.op_type in _COMPARISONS:
            assert producer.inputs[0] is not None
            return comparison_dtype(b, producer.inputs[0])
        truths = [x for x in producer.inputs if x is not None and b.dtype(x).kind == "b"]
        if producer.op_type == "Where":
            truths = truths[1:]
        if not truths:
            return _FLOAT32
        value, dtype = truths[0], b.dtype(truths[0])
    return dtype


def as_carrier(b: MxBuilder, value: ir.Value, dtype: np.dtype[Any]) -> MxRef:
    """The reference to a value, cast where it is held in another dtype."""
    ref = b.ref(value)
    return ref if carrier(b, value) == dtype else b.op("Cast", ref, dtype=dtype.name)
