"""MXNet's layers of integers of 8 bits, each with the range that they span; see :mod:`graphkit.ops.quantized.ranges`.

Products are summed exactly, as int32, whose own range is that of 2^31 − 1 products of steps of 1/127 (1/255 for
unsigned data of a dense layer). What MXNet does with a bias differs: a convolution adds its integers to the sums as
they are, a dense layer scales them to the sums' steps and cuts the fraction off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, ints
from graphkit.ops.nn.pooling import read_pooling
from graphkit.ops.nn.windows import CHANNELS_FIRST, mx_window
from graphkit.ops.quantized.ranges import (
    INT32_STEPS,
    bound,
    calibrated,
    halved,
    ratio,
    rounded,
    steps_in,
    symmetric,
)
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

__all__ = ["WINDOW", "convolution", "turned"]

WINDOW = ("kernel", "stride", "dilate", "pad", "num_filter", "num_group", "no_bias", "layout")
"""Parameters of a convolution."""


def convolution(b: OnnxBuilder, node: MxNode, data: ir.Value, weight: ir.Value) -> ir.Value | Refusal:
    """The int32 sums of a convolution of integers, without its bias."""
    if node.attrs.get("layout", "None") not in CHANNELS_FIRST:
        return Refusal(
            f"layout {node.attrs['layout']} is channels-last; MXNet itself convolves integers channels first"
        )
    kernel = ints(node.attrs["kernel"])
    pad = mx_window(node, "pad", len(kernel), 0)
    return b.op(
        "ConvInteger",
        data,
        weight,
        kernel_shape=kernel,
        strides=mx_window(node, "stride", len(kernel), 1),
        dilations=mx_window(node, "dilate", len(kernel), 1),
        pads=pad + pad,
        group=int(node.attrs.get("num_group", "1")),
    )


def turned(b: OnnxBuilder, weight: ir.Value) -> ir.Value:
    """A stored (out, in) matrix as (in, out)."""
    array = b.value(weight)
    return b.op("Transpose", weight, perm=[1, 0]) if array is None else b.const(np.ascontiguousarray(array.T))


def _sum_range(
    b: OnnxBuilder, data: tuple[ir.Value, ir.Value], weight: tuple[ir.Value, ir.Value], steps: float
) -> tuple[ir.Value, ir.Value]:
    """The range that int32 sums span."""
    left = steps_in(b, bound(b, *data), np.float32(steps))
    right = steps_in(b, bound(b, *weight), np.float32(127))
    first, second = b.value(left), b.value(right)
    if first is not None and second is not None:
        magnitude = b.const([INT32_STEPS * np.float32(float(first) * float(second))], np.float32)
    else:
        magnitude = b.op("Reshape", b.op("Mul", b.const(INT32_STEPS), b.op("Mul", left, right)), [1])
    return symmetric(b, magnitude)


def _read_conv(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    bare = bool(BOOL.parse(node.attrs.get("no_bias", "False")))
    sums = convolution(b, node, some(x[0]), some(x[1]))
    if isinstance(sums, Refusal):
        return sums
    ends = [some(value) for value in x[2 if bare else 3 :]]
    if not bare:
        shape = [1, int(node.attrs["num_filter"]), *[1] * len(ints(node.attrs["kernel"]))]
        sums = b.op("Add", sums, b.op("Reshape", b.op("Cast", x[2], to=ir.DataType.INT32), shape))
    return (sums, *_sum_range(b, (ends[0], ends[1]), (ends[2], ends[3]), 127.0))


def _read_dense(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    bare = bool(BOOL.parse(node.attrs.get("no_bias", "False")))
    data, weight = some(x[0]), some(x[1])
    if BOOL.parse(node.attrs.get("flatten", "True")):
        data = b.op("Flatten", data, axis=1)
    sums = b.op("MatMulInteger", data, turned(b, weight))
    ends = [some(value) for value in x[2 if bare else 3 :]]
    dtype = b.dtype(data).name
    if not bare:
        own = [
            steps_in(b, bound(b, *ends[2 * part : 2 * part + 2]), steps)
            for part, steps in enumerate((halved(dtype), halved("int8"), halved("int8")))
        ]
        ratio = b.op("Div", own[2], b.op("Mul", own[0], own[1]))
        floats = b.op("Mul", b.op("Cast", x[2], to=ir.DataType.FLOAT), ratio)
        sums = b.op("Add", sums, b.op("Cast", floats, to=ir.DataType.INT32))
    steps = 255.0 if dtype == "uint8" else 127.0
    return (sums, *_sum_range(b, (ends[0], ends[1]), (ends[2], ends[3]), steps))


def _read_pooling(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    """Pooled as floats: maxima are integers, means are rounded."""
    data = some(x[0])
    kind = node.attrs.get("pool_type", "max")
    if kind not in ("max", "avg"):
        return Refusal(f"MXNet itself pools integers with pool_type=max and avg, not {kind}")
    made = read_pooling(b, node, [b.op("Cast", data, to=ir.DataType.FLOAT)])
    if isinstance(made, Refusal):
        return made
    whole = made if kind == "max" else b.op("Round", made)
    return b.op("Cast", whole, to=ir.DataType.from_numpy(b.dtype(data))), some(x[1]), some(x[2])


def _read_activation(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    data = some(x[0])
    if node.attrs.get("act_type") != "relu":
        return Refusal("MXNet itself activates integers with act_type=relu only")
    if b.dtype(data).kind == "u":
        return Refusal("MXNet takes unsigned integers for signed ones here; quantize with quantized_dtype=int8")
    return b.op("Max", data, np.zeros(1, np.int8)), some(x[1]), some(x[2])


def _read_flatten(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    return b.op("Flatten", x[0], axis=1), some(x[1]), some(x[2])


def _read_concat(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    """Parts in the steps of the one that spans the widest range; signed where any part is."""
    count = int(node.attrs["num_args"])
    parts = [some(value) for value in x[:count]]
    ends = [(some(x[count + 2 * part]), some(x[count + 2 * part + 1])) for part in range(count)]
    dtype = "int8" if any(b.dtype(part) == np.int8 for part in parts) else "uint8"
    low, high = _outermost(b, [low for low, _ in ends], "Min"), _outermost(b, [high for _, high in ends], "Max")
    widest, scaled = bound(b, low, high), []
    for part, pair in zip(parts, ends, strict=True):
        factor = ratio(b, bound(b, *pair), widest, float(halved(dtype) / halved(b.dtype(part).name)))
        scaled.append(b.op("Mul", b.op("Cast", part, to=ir.DataType.FLOAT), factor))
    made = b.op("Concat", *scaled, axis=int(node.attrs.get("dim", "1")))
    return rounded(b, made, dtype), low, high


def _outermost(b: OnnxBuilder, ends: Sequence[ir.Value], op: str) -> ir.Value:
    """The smallest (``"Min"``) or largest of lists of one."""
    arrays = [b.value(end) for end in ends]
    if any(array is None for array in arrays):
        return b.op(op, *ends)
    found = [float(some(array).reshape(-1)[0]) for array in arrays]
    return b.const([min(found) if op == "Min" else max(found)], np.float32)


def _read_add(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    left, right, ends = some(x[0]), some(x[1]), calibrated(node)
    dtype = b.dtype(left).name
    if b.dtype(right).name != dtype:
        return Refusal("one summand is signed and the other is not, whose sum MXNet computes in steps of its own")
    bounds = bound(b, some(x[2]), some(x[3])), bound(b, some(x[4]), some(x[5]))
    floats = [b.op("Cast", value, to=ir.DataType.FLOAT) for value in (left, right)]
    if ends is not None:
        low, high = (b.const([end], np.float32) for end in ends)
        widest = bound(b, low, high)
        scaled = [
            b.op("Mul", value, ratio(b, magnitude, widest)) for value, magnitude in zip(floats, bounds, strict=True)
        ]
        return rounded(b, b.op("Add", *scaled), dtype), low, high
    magnitude = b.op("Add", *bounds)
    factor = float(INT32_STEPS / halved(dtype))
    scaled = [b.op("Mul", value, ratio(b, own, magnitude, factor)) for value, own in zip(floats, bounds, strict=True)]
    steps = b.op("Round", b.op("Add", *scaled))
    b.warn("its sums of 32 bits are computed with the 24 bits of float32; MXNet rounds them in another order")
    return (b.op("Cast", steps, to=ir.DataType.INT32), *symmetric(b, magnitude))


def _read_batch_norm(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    data, ends = some(x[0]), calibrated(node)
    if ends is None:
        return Refusal("it was quantized without calibration; quantize the model with calib_mode naive or entropy")
    if int(node.attrs.get("axis", "1")) != 1:
        return Refusal("MXNet itself normalizes integers over axis 1 only")
    arrays = [b.value(value) for value in x[1:5]]
    if any(array is None for array in arrays):
        return Refusal("its statistics are computed or fed; graphkit reads them from a file only")
    gamma, beta, mean, variance = (some(array).astype(np.float32) for array in arrays)
    epsilon = np.float32(node.attrs.get("eps", "0.001"))
    low, high = (b.const([end], np.float32) for end in ends)
    widest = bound(b, low, high)
    # MXNet normalizes by the variance, then once more by a variance of 1, to which epsilon is added again.
    slope = gamma / np.sqrt(variance + epsilon)
    shape = (1, -1, *[1] * (b.rank(data) - 2))
    slopes, shifts = (slope / np.sqrt(1 + epsilon)).reshape(shape), (beta - mean * slope).reshape(shape)
    factor = b.op("Mul", b.const(slopes, np.float32), ratio(b, bound(b, some(x[5]), some(x[6])), widest))
    shift = b.op(
        "Mul", b.const(shifts, np.float32), ratio(b, b.const([1.0], np.float32), widest, float(halved("int8")))
    )
    floats = b.op("Cast", data, to=ir.DataType.FLOAT)
    if b.dtype(data) == np.uint8:  # it is rounded to signed integers of the same range first
        signed = rounded(b, b.op("Mul", floats, b.const(halved("int8") / halved("uint8"))), "int8")
        floats = b.op("Cast", signed, to=ir.DataType.FLOAT)
    made = b.op("Add", b.op("Mul", floats, factor), shift)
    return rounded(b, made, "int8"), low, high


def _read_embedding(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    rows = b.op("Cast", x[0], to=ir.DataType.INT64)
    return b.op("Gather", x[1], rows, axis=0), some(x[2]), some(x[3])


def _form(op: str, read: Any, reads: Sequence[str], *cases: Case, ignore: Sequence[str] = ()) -> MxForm:
    return MxForm(op, read=read, reads=tuple(reads), ignore=tuple(ignore), direction="read", cases=cases)


def _case(name: str, inputs: Sequence[Any], const: Sequence[int] = (), **attrs: Any) -> Case:
    return Case(name, tuple(inputs), attrs, const=tuple(const), outputs=3, grad=False)


_U8, _I8 = arr(2, 3, 6, 6, low=0, high=256, dtype="uint8"), arr(2, 3, 6, 6, low=-127, high=128, dtype="int8")
_EVEN = arr(2, 3, 4, 4, low=-127, high=128, dtype="int8")
_FILTERS, _BIAS = arr(4, 3, 3, 3, low=-127, high=128, dtype="int8"), arr(4, low=-99, high=99, dtype="int8")
_MATRIX = arr(4, 108, low=-127, high=128, dtype="int8")
_ZERO, _ONE = given([0.0], "float32"), given([1.3], "float32")
_LOW, _HIGH = given([-1.1], "float32"), given([0.7], "float32")
_SMALL = given([-0.5], "float32"), given([0.4], "float32")
_CALIBRATED: dict[str, Any] = {"min_calib_range": -2.0, "max_calib_range": 1.5}
_CONV: dict[str, Any] = {"kernel": (3, 3), "num_filter": 4}
_STATISTICS = [arr(3, low=0.3, high=1.5) for _ in range(4)]

OP = Op(
    "",
    mx=(
        _form(
            "_contrib_quantized_conv",
            _read_conv,
            WINDOW,
            _case("no bias", (_U8, _FILTERS, _ZERO, _ONE, _LOW, _HIGH), (1, 2, 3, 4, 5), no_bias=True, **_CONV),
            _case(
                "bias",
                (_U8, _FILTERS, _BIAS, _ZERO, _ONE, _LOW, _HIGH, *_SMALL),
                range(1, 9),
                pad=(1, 1),
                stride=(2, 2),
                **_CONV,
            ),
            ignore=("workspace", "cudnn_tune", "cudnn_off"),
        ),
        _form(
            "_contrib_quantized_fully_connected",
            _read_dense,
            ("num_hidden", "no_bias", "flatten"),
            _case("no bias", (_U8, _MATRIX, _ZERO, _ONE, _LOW, _HIGH), (1, 2, 3, 4, 5), num_hidden=4, no_bias=True),
            _case("bias", (_I8, _MATRIX, _BIAS, _LOW, _ONE, _LOW, _HIGH, *_SMALL), range(1, 9), num_hidden=4),
            _case("unsigned", (_U8, _MATRIX, _BIAS, _ZERO, _ONE, _LOW, _HIGH, *_SMALL), range(1, 9), num_hidden=4),
            _case("computed ranges", (_I8, _MATRIX, _LOW, _ONE, _LOW, _HIGH), (1,), num_hidden=4, no_bias=True),
        ),
        _form(
            "_contrib_quantized_pooling",
            _read_pooling,
            (
                "kernel",
                "pool_type",
                "global_pool",
                "pooling_convention",
                "stride",
                "pad",
                "p_value",
                "count_include_pad",
                "layout",
            ),
            _case("largest", (_I8, _LOW, _ONE), kernel=(2, 2), pool_type="max", stride=(2, 2)),
            _case("mean", (_U8, _ZERO, _ONE), kernel=(3, 3), pool_type="avg", pad=(1, 1)),
            _case(
                "mean of all",
                (arr(2, 3, 4, 4, low=-127, high=128, dtype="int8"), _LOW, _ONE),
                kernel=(2, 2),
                pool_type="avg",
                global_pool=True,
            ),
            ignore=("cudnn_off",),
        ),
        _form(
            "_contrib_quantized_act",
            _read_activation,
            ("act_type",),
            _case("signed", (_I8, _LOW, _ONE), act_type="relu"),
        ),
        _form("_contrib_quantized_flatten", _read_flatten, (), _case("planes", (_I8, _LOW, _ONE))),
        _form(
            "_contrib_quantized_concat",
            _read_concat,
            ("num_args", "dim"),
            _case("signed", (_I8, _I8, _LOW, _ONE, *_SMALL), num_args=2, dim=1),
            _case("mixed", (_U8, _I8, _ZERO, _ONE, _LOW, _HIGH), num_args=2, dim=1),
            _case("unsigned", (_U8, _U8, _ZERO, _ONE, _ZERO, _HIGH), num_args=2, dim=2),
        ),
        _form(
            "_contrib_quantized_elemwise_add",
            _read_add,
            ("min_calib_range", "max_calib_range"),
            _case("calibrated", (_I8, _I8, _LOW, _ONE, *_SMALL), **_CALIBRATED),
            _case("calibrated, unsigned", (_U8, _U8, _ZERO, _ONE, _ZERO, _HIGH), **_CALIBRATED),
        ),
        _form(
            "_contrib_quantized_batch_norm",
            _read_batch_norm,
            ("eps", "axis", "min_calib_range", "max_calib_range"),
            _case(
                "calibrated",
                (_I8, *_STATISTICS, _LOW, _ONE),
                (1, 2, 3, 4, 5, 6),
                fix_gamma=False,
                **_CALIBRATED,
            ),
            _case(
                "unsigned",
                (_U8, *_STATISTICS, _ZERO, _ONE),
                (1, 2, 3, 4, 5, 6),
                fix_gamma=False,
                **_CALIBRATED,
            ),
            _case(
                "fixed scale",
                (_I8, *_STATISTICS, _LOW, _ONE),
                (1, 2, 3, 4, 5, 6),
                eps=1e-5,
                **_CALIBRATED,
            ),
            ignore=("fix_gamma", "momentum", "use_global_stats", "output_mean_var", "cudnn_off"),
        ),
        _form(
            "_contrib_quantized_embedding",
            _read_embedding,
            ("input_dim", "output_dim", "dtype"),
            _case(
                "rows",
                (given([0, 2, 1], "float32"), arr(4, 3, low=-127, high=128, dtype="int8"), _LOW, _HIGH),
                (1, 2, 3),
                input_dim=4,
                output_dim=3,
            ),
            ignore=("sparse_grad",),
        ),
    ),
    limits=(Limit("read-float64", "MXNet computes with quantized numbers in float32 only"),),
)
