"""Interleaved attention of integers that oneDNN fuses: ``_sg_mkldnn_selfatt_qk`` and ``_sg_mkldnn_selfatt_valatt``.

Queries, keys and values lie in one int8 array of 127.5 steps of its range, attention is uint8 of 255.5 steps (oneDNN,
MXNet 1.9.1, found by running it). Sums of products are exact; they are multiplied by one float32 number, and rounded to
127.5 steps of the calibrated range where the result is not asked for in floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL
from graphkit.ops.nn.interleaved import features_of, one_part
from graphkit.ops.quantized.fused import UNCALIBRATED, magnitude_of
from graphkit.ops.quantized.ranges import calibrated, halved, rounded
from graphkit.ops.spec import MxForm, Op, Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_ONE = np.float32(1)


def _steps(
    b: OnnxBuilder, integers: ir.Value | None, low: ir.Value | None, high: ir.Value | None
) -> np.float32 | Refusal:
    """Steps in one of an operand."""
    dtype, magnitude = b.dtype(some(integers)).name, magnitude_of(b, low, high)
    if dtype not in ("int8", "uint8"):
        return Refusal(f"it multiplies {dtype}; MXNet itself multiplies int8, and uint8 attention")
    return Refusal(UNCALIBRATED) if magnitude is None else np.float32(halved(dtype) / magnitude)


def _result(b: OnnxBuilder, node: MxNode, sums: ir.Value, one: np.float32) -> ir.Value | Sequence[ir.Value] | Refusal:
    """Sums times what one of them stands for, as floats or as integers with their range."""
    floats = b.op("Cast", sums, to=ir.DataType.FLOAT)
    if BOOL.parse(node.attrs.get("enable_float_output", "False").capitalize()):
        return b.op("Mul", floats, b.const(one))
    ends = calibrated(node)
    if ends is None:
        return Refusal(UNCALIBRATED)
    steps = np.float32(halved("int8") / np.float32(max(abs(float(end)) for end in ends)))
    made = rounded(b, b.op("Mul", floats, b.const(np.float32(steps * one))), "int8", steps)
    return made, b.const([ends[0]], np.float32), b.const([ends[1]], np.float32)


def _read_scores(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Any:
    data, steps = some(x[0]), _steps(b, *x[:3])
    if isinstance(steps, Refusal):
        return steps
    features = features_of(b, node, data, 3)
    key = b.op("Transpose", one_part(b, data, features, 3, 1), perm=[0, 2, 1])
    sums = b.op("MatMulInteger", one_part(b, data, features, 3, 0), key)
    return _result(b, node, sums, np.float32(_ONE / np.sqrt(np.float32(features)) / (steps * steps)))


def _read_mixed(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Any:
    data, steps, weighing = some(x[0]), _steps(b, x[0], x[2], x[3]), _steps(b, x[1], x[4], x[5])
    if isinstance(steps, Refusal):
        return steps
    if isinstance(weighing, Refusal):
        return weighing
    features = features_of(b, node, data, 3)
    sums = b.op("MatMulInteger", some(x[1]), one_part(b, data, features, 3, 2))
    mixed = b.op("Reshape", b.op("Transpose", sums, perm=[1, 0, 2]), [0, -1, int(node.attrs["heads"]) * features])
    return _result(b, node, mixed, np.float32(_ONE / (weighing * steps)))


def _form(op: str, read: Any) -> MxForm:
    pin = {"quantized": "True"}
    reads = ("heads", "enable_float_output", "min_calib_range", "max_calib_range")
    return MxForm(op, pin=pin, read=read, reads=reads, direction="read")


OP = Op(
    "",
    mx=(_form("_sg_mkldnn_selfatt_qk", _read_scores), _form("_sg_mkldnn_selfatt_valatt", _read_mixed)),
)
