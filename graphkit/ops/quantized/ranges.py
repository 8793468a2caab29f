"""MXNet's quantized numbers: integers of 8 bits with the range that they span.

What an integer stands for depends on the operator (MXNet 1.9.1 with oneDNN, found by running it): one step is the
range's larger bound by magnitude, divided by 127 or 255 where ``_contrib_quantize`` and ``_contrib_requantize`` write,
and by 127.5 or 255.5 everywhere else. Sums of products are int32 that span a range of 2^31 − 1 steps. Halves go to
even.

MXNet multiplies by the reciprocal of a step, ONNX divides by the step. Floats are therefore multiplied before they are
rounded to steps of one; of sums that are quantized anew, a number within rounding of the middle between two steps may
fall to the other one, which is warned of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

__all__ = ["INT32_STEPS", "STEPS", "bound", "calibrated", "halved", "ratio", "rounded", "steps_in", "symmetric"]

STEPS = "graphkit.steps"
"""Key of a node's metadata: steps in one, of numbers of steps that QuantizeLinear rounds."""
INT32_STEPS = np.float32(2**31 - 1)
"""Steps of int32 sums in a range's larger bound."""
_HALVES = {"int8": np.float32(127.5), "uint8": np.float32(255.5)}
_WHOLES = {"int8": np.float32(127.0), "uint8": np.float32(255.0), "int32": INT32_STEPS}
_NEAR = (
    "numbers within rounding of the middle between two quantization steps may fall to the other step than in MXNet, "
    "which multiplies by the step's reciprocal"
)


def halved(dtype: str) -> np.float32:
    """Steps in a range's larger bound, for most operators."""
    return _HALVES[dtype]


def calibrated(node: MxNode) -> tuple[np.float32, np.float32] | None:
    """The range that calibration has found for the node's result."""
    low, high = (node.attrs.get(f"{side}_calib_range", "None") for side in ("min", "max"))
    return None if "None" in (low, high) else (np.float32(low), np.float32(high))


def bound(b: OnnxBuilder, low: ir.Value, high: ir.Value) -> ir.Value:
    """The larger magnitude of a range's ends, as a list of one."""
    first, second = b.value(low), b.value(high)
    if first is not None and second is not None:
        return b.const([max(abs(float(first.reshape(-1)[0])), abs(float(second.reshape(-1)[0])))], np.float32)
    return b.op("Max", b.op("Abs", low), b.op("Abs", high))


def steps_in(b: OnnxBuilder, magnitude: ir.Value, steps: np.float32) -> ir.Value:
    """One step, 0-d, of a range of so many steps."""
    known = b.value(magnitude)
    if known is not None:
        return b.const(np.float32(known.reshape(-1)[0]) / steps)
    return b.op("Reshape", b.op("Div", magnitude, b.const([steps], np.float32)), np.zeros(0, np.int64))


def symmetric(b: OnnxBuilder, magnitude: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The range on both sides of zero."""
    known = b.value(magnitude)
    return (b.op("Neg", magnitude) if known is None else b.const(-known)), magnitude


def rounded(b: OnnxBuilder, steps: ir.Value, dtype: str, one: np.float32 | None = None) -> ir.Value:
    """Numbers of steps as integers of a type; the node notes how many steps are one, where that is told."""
    kind = ir.DataType.INT8 if dtype == "int8" else None
    made = b.op("QuantizeLinear", steps, b.const(np.float32(1.0)), output_dtype=kind)
    if one is not None and (node := made.producer()) is not None:
        node.metadata_props[STEPS] = repr(float(one))
    return made


def ratio(b: OnnxBuilder, part: ir.Value, whole: ir.Value, steps: float = 1.0) -> ir.Value:
    """One list of one by another, 0-d, times a number of steps."""
    first, second = b.value(part), b.value(whole)
    if first is not None and second is not None:
        found = np.float32(first.reshape(-1)[0]) / np.float32(second.reshape(-1)[0])
        return b.const(np.float32(found * np.float32(steps)))
    made = b.op("Reshape", b.op("Div", part, whole), np.zeros(0, np.int64))
    return made if steps == 1 else b.op("Mul", made, b.const(np.float32(steps)))


def _ends(b: OnnxBuilder, low: np.float32, high: np.float32) -> tuple[ir.Value, ir.Value]:
    return b.const([low], np.float32), b.const([high], np.float32)


def _result(
    b: OnnxBuilder, made: ir.Value, low: ir.Value, high: ir.Value, dtype: str
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Integers and their range, which is symmetric for signed ones."""
    return (made, *(symmetric(b, bound(b, low, high)) if dtype == "int8" else (low, high)))


def _quantized(
    b: OnnxBuilder, floats: ir.Value, low: ir.Value, high: ir.Value, dtype: str, steps: np.float32
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Floats as integers of a type, of so many steps in a range's larger bound, and their range."""
    magnitude = bound(b, low, high)
    known = b.value(magnitude)
    one = None if known is None else np.float32(steps / np.float32(known.reshape(-1)[0]))
    factor = b.op("Div", b.const(steps), magnitude) if one is None else b.const(one)
    return _result(b, rounded(b, b.op("Mul", floats, factor), dtype, one), low, high, dtype)


def _read_quantize(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    dtype = node.attrs.get("out_type", "uint8")
    return _quantized(b, some(x[0]), some(x[1]), some(x[2]), dtype, _WHOLES[dtype])


def _read_quantize_v2(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    data, dtype, ends = some(x[0]), node.attrs.get("out_type", "int8"), calibrated(node)
    if b.dtype(data) != np.float32:
        return Refusal(f"it quantizes {b.dtype(data).name}; MXNet itself quantizes float32")
    if dtype == "auto":
        dtype = "uint8" if ends is not None and ends[0] >= 0 else "int8"
    if ends is not None:
        low, high = _ends(b, *ends)
    else:
        low, high = (b.op("Reshape", b.op(op, data, keepdims=0), [1]) for op in ("ReduceMin", "ReduceMax"))
    return _quantized(b, data, low, high, dtype, _HALVES[dtype])


def _read_dequantize(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    dtype = b.dtype(data).name
    if dtype not in _HALVES:
        return Refusal(f"MXNet itself dequantizes int8 and uint8, not {dtype}")
    step = steps_in(b, bound(b, some(x[1]), some(x[2])), _HALVES[dtype])
    return b.op("DequantizeLinear", data, step)


def _read_requantize(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    data, dtype, ends = some(x[0]), node.attrs.get("out_type", "int8"), calibrated(node)
    if dtype == "auto":
        dtype = "uint8" if ends is not None and ends[0] >= 0 else "int8"
    floats = b.op("DequantizeLinear", data, steps_in(b, bound(b, some(x[1]), some(x[2])), INT32_STEPS))
    if ends is not None:
        low, high = _ends(b, *ends)
    else:
        low, high = (b.op("Reshape", b.op(op, floats, keepdims=0), [1]) for op in ("ReduceMin", "ReduceMax"))
    b.warn(_NEAR)
    step = steps_in(b, bound(b, low, high), _WHOLES[dtype])
    made = b.op("QuantizeLinear", floats, step, output_dtype=ir.DataType.INT8 if dtype == "int8" else None)
    return _result(b, made, low, high, dtype)


_X = arr(2, 3, 4, 5, low=-3.0, high=3.0)
_LOW, _HIGH = given([-2.5], "float32"), given([1.7], "float32")
_ZERO = given([0.0], "float32")
_SUMS = arr(2, 3, 4, 4, low=-(2**20), high=2**20, dtype="int32")
_RANGE = given([-4000.0], "float32"), given([3900.0], "float32")
_RANGES = {"min_calib_range": -2.5, "max_calib_range": 1.7}
_UPPER = {"min_calib_range": 0.0, "max_calib_range": 1.7}

OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_quantize",
            read=_read_quantize,
            reads=("out_type",),
            direction="read",
            cases=(
                Case("signed", (_X, _LOW, _HIGH), {"out_type": "int8"}, outputs=3, grad=False),
                Case("unsigned", (_X, _ZERO, _HIGH), outputs=3, grad=False),
            ),
        ),
        MxForm(
            "_contrib_quantize_v2",
            read=_read_quantize_v2,
            reads=("out_type", "min_calib_range", "max_calib_range"),
            direction="read",
            cases=(
                Case("calibrated", (_X,), _RANGES, outputs=3, grad=False),
                Case("calibrated, auto", (_X,), {**_UPPER, "out_type": "auto"}, outputs=3, grad=False),
                Case("calibrated, unsigned", (_X,), {**_RANGES, "out_type": "uint8"}, outputs=3, grad=False),
                Case("range of the data", (_X,), outputs=3, grad=False),
                Case("range of the data, auto", (_X,), {"out_type": "auto"}, outputs=3, grad=False),
            ),
        ),
        MxForm(
            "_contrib_dequantize",
            read=_read_dequantize,
            reads=("out_type",),
            direction="read",
            cases=(
                Case("signed", (arr(2, 3, 4, 5, low=-128, high=128, dtype="int8"), _LOW, _HIGH), grad=False),
                Case("unsigned", (arr(2, 3, 4, 5, low=0, high=256, dtype="uint8"), _ZERO, _HIGH), grad=False),
            ),
        ),
        MxForm(
            "_contrib_requantize",
            read=_read_requantize,
            reads=("out_type", "min_calib_range", "max_calib_range"),
            direction="read",
            cases=(
                Case("calibrated", (_SUMS, *_RANGE), _RANGES, outputs=3, grad=False),
                Case("calibrated, auto", (_SUMS, *_RANGE), {**_UPPER, "out_type": "auto"}, outputs=3, grad=False),
                Case("range of the data", (_SUMS, *_RANGE), outputs=3, grad=False),
            ),
        ),
    ),
    limits=(Limit("read-float64", "MXNet quantizes float32 only"),),
)
