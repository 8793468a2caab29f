"""MXNet's layers that oneDNN fuses: ``_sg_mkldnn_conv`` and ``_sg_mkldnn_fully_connected``.

Fused floats are what the operators of their subgraph compute. Fused integers of 8 bits (oneDNN, MXNet 1.9.1, found by
running it) are exact sums: weights are quantized by filter, to 127.5 steps of the filter's largest magnitude, after
BatchNorm's scale is multiplied into them; sums times the steps of data and weights, a further summand and an activation
are rounded to 127.5 or 255.5 steps of the calibrated range. Results are unsigned where the activation leaves no
negative numbers, whatever the range says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL
from graphkit.ops.quantized.integer_layers import convolution, turned
from graphkit.ops.quantized.ranges import calibrated, halved, rounded
from graphkit.ops.spec import MxForm, Op, Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

    Array = npt.NDArray[np.float32]

__all__ = ["UNCALIBRATED", "magnitude_of"]

UNCALIBRATED = "it was quantized without calibration; quantize the model with calib_mode naive or entropy"
"""Why a layer is refused whose ranges are found while it runs."""
_BIAS_LIMIT = np.float32(2**31 - 1) / 2
"""Largest magnitude of a bias in steps of the sums; oneDNN makes a filter's steps coarser to keep to it."""


_ONE = np.float32(1)
_PLAIN: Final = {"abs": "Abs", "gelu": "Gelu", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
"""Activations without parameters, and what ONNX calls them."""
_BENT: Final = frozenset({"clip", "elu", "gelu", "sigmoid", "tanh"})
"""Activations of which a multiple is not that of the multiple."""


def _flag(node: MxNode, name: str) -> bool:
    return bool(BOOL.parse(node.attrs.get(name, "False").capitalize()))


def _part(node: MxNode, op: str) -> MxNode | None:
    """The node of an operator in the subgraph."""
    return next((inner for inner in node.subgraphs[0].nodes if inner.op == op), None)


def magnitude_of(b: OnnxBuilder, low: ir.Value | None, high: ir.Value | None) -> np.float32 | None:
    """The larger magnitude of a range that calibration has found."""
    ends = [b.value(end) for end in (low, high)]
    if any(end is None for end in ends):
        return None
    return np.float32(max(abs(float(some(end).reshape(-1)[0])) for end in ends))


def _floats(b: OnnxBuilder, value: ir.Value | None) -> Array | None:
    array = b.value(value)
    return None if array is None else array.astype(np.float32)


_SUMMED: Final = frozenset({"Convolution", "FullyConnected", "BatchNorm", "elemwise_add", "null"})
"""What a subgraph holds besides its activation."""


def _activation(node: MxNode) -> MxNode | None:
    """The activation at the end of the subgraph."""
    return next((inner for inner in reversed(node.subgraphs[0].nodes) if inner.op not in _SUMMED), None)


def _kind(activation: MxNode) -> str:
    if activation.op == "Activation":
        return activation.attrs.get("act_type", "")
    return activation.attrs.get("act_type", "leaky") if activation.op == "LeakyReLU" else activation.op


def _activated(b: OnnxBuilder, node: MxNode, value: ir.Value) -> ir.Value | Refusal:
    """What the subgraph's activation makes of real numbers."""
    activation = _activation(node)
    if activation is None:
        return value
    kind, slope = _kind(activation), float(activation.attrs.get("slope", "0.25"))
    if _is_of_steps(node):
        b.warn(
            "MXNet takes the GELU of numbers of steps, which hardly differs from a rectifier; graphkit does the same"
        )
    if kind in _PLAIN:
        return b.op(_PLAIN[kind], value)
    if kind == "clip":
        return b.op("Clip", value, *(b.scalar(float(activation.attrs[name]), value) for name in ("a_min", "a_max")))
    if kind == "leaky":
        if slope != 0 and _dtype(node) == "uint8" and not _flag(node, "enable_float_output"):
            b.warn(
                "MXNet holds the result of its leaky rectifier as unsigned, without negatives; graphkit does the same"
            )
        return b.op("LeakyRelu", value, alpha=slope)
    if kind == "elu":
        return b.op("Elu", value, alpha=slope)
    return Refusal(f"its fused activation {kind} is not one that graphkit computes on integers")


def _dtype(node: MxNode) -> str:
    """The type of a result's integers: unsigned where MXNet takes the activation to leave no negative numbers."""
    activation = _activation(node)
    if activation is None:
        return "int8"
    kind, dense = _kind(activation), _part(node, "FullyConnected") is not None
    if kind == "leaky":
        flat = dense or float(activation.attrs.get("slope", "0.25")) == 0
    else:
        flat = kind in ("relu", "abs") or (kind == "clip" and float(activation.attrs["a_min"]) == 0)
    return "uint8" if flat else "int8"


def _steps(node: MxNode, ends: tuple[np.float32, np.float32]) -> np.float32:
    """Steps of a result in one."""
    return np.float32(halved(_dtype(node)) / np.float32(max(abs(float(end)) for end in ends)))


def _result(
    b: OnnxBuilder,
    node: MxNode,
    real: ir.Value,
    ends: tuple[np.float32, np.float32],
    scaled: np.float32 = _ONE,
    summand: str | None = None,
) -> Sequence[ir.Value]:
    """Real numbers, or steps of the result where they were ``scaled`` by these, as integers of the calibrated range.

    What a summand is added to is written over it, in its type: where that is not the result's, MXNet takes the bytes
    for the result's.
    """
    dtype, steps = _dtype(node), _steps(node, ends)
    made = real if scaled == steps else b.op("Mul", real, b.const(np.float32(steps / scaled)))
    if summand in (None, dtype):
        made = rounded(b, made, dtype, steps)
    else:
        b.warn(
            f"MXNet writes its sum as {summand} and reads that as {dtype}, which cuts larger numbers off at 127 or "
            f"changes their sign; graphkit does the same"
        )
        made = _misread(b, made, dtype, steps)
    return made, b.const([ends[0]], np.float32), b.const([ends[1]], np.float32)


def _misread(b: OnnxBuilder, steps: ir.Value, dtype: str, one: np.float32) -> ir.Value:
    """Numbers of steps as integers of the one type of 8 bits, whose bytes are read as the other."""
    if dtype == "uint8":  # what is unsigned went through a rectifier, so that int8 only cuts it off
        return rounded(b, b.op("Min", steps, b.const(np.float32(127))), dtype, one)
    wide = b.op("Cast", rounded(b, steps, "uint8"), to=ir.DataType.INT32)
    limit, turn = b.const(np.int32(127)), b.const(np.int32(256))
    wrapped = b.op("Where", b.op("Greater", wide, limit), b.op("Sub", wide, turn), wide)
    return b.op("Cast", wrapped, to=ir.DataType.INT8)


def _normalized(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None], weight: Array, bias: Array) -> Any:
    """Weights and bias with BatchNorm's scale and shift in them; None where its statistics are computed."""
    norm = some(_part(node, "BatchNorm"))
    arrays = [_floats(b, value) for value in x]
    if any(array is None for array in arrays):
        return None
    gamma, beta, mean, variance = (some(array) for array in arrays)
    if BOOL.parse(norm.attrs.get("fix_gamma", "True")):
        gamma = np.ones_like(gamma)
    epsilon = float(norm.attrs.get("eps", "0.001"))
    slope = (gamma / np.sqrt(variance.astype(np.float64) + epsilon)).astype(np.float32)
    return weight * slope.reshape(-1, *[1] * (weight.ndim - 1)), beta + (bias - mean) * slope


def _by_filter(weight: Array, bias: Array, data_steps: np.float32, groups: int = 1) -> tuple[Any, Any, Array]:
    """Integers of weights and bias, and the steps in one of each filter's weights.

    The weights of all filters of the k-th group are quantized by the steps of the k-th filter: MXNet's mistake, which
    shows where there are groups of several filters.

    Args:
        weight: (filters, …).
        bias: (filters,).
        data_steps: Steps in one of the data.
        groups: Number of groups of filters.
    """
    rows = np.abs(weight).reshape(len(weight), -1).max(1)
    steps = np.float32(127.5) / np.where(rows == 0, np.float32(1), rows)
    with np.errstate(divide="ignore"):
        most = _BIAS_LIMIT / np.abs(bias) / data_steps
    steps = np.minimum(steps, most).astype(np.float32)
    own = steps if groups == 1 else steps[np.arange(len(weight)) // (len(weight) // groups)]
    whole = np.clip(np.rint(weight * own.reshape(-1, *[1] * (weight.ndim - 1))), -128, 127).astype(np.int8)
    return whole, np.rint(bias * (steps * data_steps)).astype(np.int32), steps


def _is_bent(node: MxNode) -> bool:
    """Whether the activation tells numbers from multiples of them, and is of the numbers themselves."""
    activation = _activation(node)
    return activation is not None and _kind(activation) in _BENT and not _is_of_steps(node)


def _is_of_steps(node: MxNode) -> bool:
    """Whether the activation is of numbers of the result's steps: a convolution's GELU."""
    activation = _activation(node)
    return activation is not None and _kind(activation) == "gelu" and _part(node, "Convolution") is not None


def _real(b: OnnxBuilder, sums: ir.Value, bias: Any, one: Any, after: int) -> ir.Value:
    """Int32 sums and a bias by filter, ``after`` whose axis are so many, times what one of them stands for."""
    shape = (-1, *[1] * after)
    if np.any(bias):
        sums = b.op("Add", sums, b.const(np.asarray(bias, np.int32).reshape(shape)))
    one = np.asarray(one, np.float32)
    return b.op("Mul", b.op("Cast", sums, to=ir.DataType.FLOAT), b.const(one.reshape(shape) if one.ndim else one))


def _read_conv(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Any:
    if not _flag(node, "quantized"):
        return b.inline(node.subgraphs[0], [some(value) for value in x])
    conv, ends = _part(node, "Convolution"), calibrated(node)
    if conv is None or ends is None:
        return Refusal(UNCALIBRATED)
    operands = list(x)
    data, weight = some(operands.pop(0)), _floats(b, operands.pop(0))
    bare = bool(BOOL.parse(conv.attrs.get("no_bias", "False")))
    bias = None if bare else _floats(b, operands.pop(0))
    if weight is None or (bias is None and not bare):
        return Refusal("its weights are computed or fed; graphkit quantizes stored ones only")
    bias = np.zeros(len(weight), np.float32) if bias is None else bias
    if _flag(node, "with_bn"):
        found = _normalized(b, node, [operands.pop(0) for _ in range(4)], weight, bias)
        if found is None:
            return Refusal("its statistics are computed or fed; graphkit reads them from a file only")
        weight, bias = found
    summand = operands.pop(0) if _flag(node, "with_sum") else None
    magnitude = magnitude_of(b, *operands[:2])
    if magnitude is None:
        return Refusal(UNCALIBRATED)
    data_steps = np.float32(halved(b.dtype(data).name) / magnitude)
    groups = int(conv.attrs.get("num_group", "1"))
    if 1 < groups < len(weight):
        b.warn("MXNet quantizes the weights of a group's filters by another filter's range; graphkit does the same")
    whole, whole_bias, steps = _by_filter(weight, bias, data_steps, groups)
    sums = convolution(b, conv, data, b.const(whole))
    if isinstance(sums, Refusal):
        return sums
    # oneDNN multiplies sums by the steps of the result in one of the data and weights, a single float32 number.
    factor = _ONE if _is_bent(node) else _steps(node, ends)
    real = _real(b, sums, whole_bias, factor / data_steps / steps, weight.ndim - 2)
    if summand is not None:
        if _flag(node, "with_act"):
            return Refusal("an activation stands before its summand, which MXNet's fusion does not keep apart")
        extra = magnitude_of(b, *operands[2:4])
        if extra is None:
            return Refusal(UNCALIBRATED)
        step = np.float32(factor / (halved(b.dtype(summand).name) / extra))
        real = b.op("Add", real, b.op("DequantizeLinear", summand, b.const(step)))
    made = _activated(b, node, real)
    if isinstance(made, Refusal):
        return made
    return _result(b, node, made, ends, factor, None if summand is None else b.dtype(summand).name)


def _read_dense(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Any:
    if not _flag(node, "quantized"):
        return b.inline(node.subgraphs[0], [some(value) for value in x])
    dense, ends = _part(node, "FullyConnected"), calibrated(node)
    if dense is None or (ends is None and not _flag(node, "enable_float_output")):
        return Refusal(UNCALIBRATED)
    operands = list(x)
    data, weight_value = some(operands.pop(0)), some(operands.pop(0))
    bias_value = None if BOOL.parse(dense.attrs.get("no_bias", "False")) else some(operands.pop(0))
    magnitude = magnitude_of(b, *operands[:2])
    weight, bias = b.value(weight_value), None if bias_value is None else b.value(bias_value)
    if magnitude is None or weight is None or (bias is None and bias_value is not None):
        return Refusal(UNCALIBRATED if magnitude is None else "its weights are computed or fed")
    data_steps = np.float32(halved(b.dtype(data).name) / magnitude)
    shift = np.zeros(len(weight), np.float32) if bias is None else bias.astype(np.float32)
    steps: Any
    if weight.dtype == np.float32:
        whole, whole_bias, steps = _by_filter(weight.astype(np.float32), shift, data_steps)
    else:
        own = magnitude_of(b, *operands[2:4])
        if own is None:
            return Refusal(UNCALIBRATED)
        whole, steps = weight.astype(np.int8), np.float32(127.5) / own
        if bias is not None and bias.dtype != np.float32:
            span = magnitude_of(b, *operands[4:6])
            shift = shift * (np.float32(0) if span is None else span / np.float32(127.5))
        whole_bias = np.rint(shift * (steps * data_steps)).astype(np.int32)
    if BOOL.parse(dense.attrs.get("flatten", "True")):
        data = b.op("Flatten", data, axis=1)
    sums = b.op("MatMulInteger", data, turned(b, b.const(whole)))
    floats = ends is None or _flag(node, "enable_float_output")
    factor = _ONE if ends is None or floats or _is_bent(node) else _steps(node, ends)
    made = _activated(b, node, _real(b, sums, whole_bias, factor / data_steps / steps, 0))
    if isinstance(made, Refusal) or ends is None or floats:
        return made
    return _result(b, node, made, ends, factor)


_FLAGS = ("num_args", "quantized", "min_calib_range", "max_calib_range")

OP = Op(
    "",
    mx=(
        MxForm(
            "_sg_mkldnn_conv",
            read=_read_conv,
            reads=(*_FLAGS, "with_bn", "with_act", "with_sum", "with_postsum_act"),
            direction="read",
        ),
        MxForm(
            "_sg_mkldnn_fully_connected",
            read=_read_dense,
            reads=(*_FLAGS, "with_eltwise", "enable_float_output", "channel_wise_quantize", "no_bias", "num_hidden"),
            ignore=("flatten",),
            direction="read",
        ),
    ),
)
