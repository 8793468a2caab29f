"""BMXNet's layers of few bits, a fork of MXNet's: QActivation, QConvolution and QFullyConnected.

One bit is the sign, that of 0 included, as -1 or 1. Where activations and weights have one bit each, the layers count
the products that are 1: (K + Σ) / 2 for K products of sum Σ. Padding is 0, whose sign is 1. Files from BMXNet's model
converter hold one bit per weight in words of 32 or 64 (stored as float32 or float64): the first weight of a word is its
lowest bit; a convolution's weights are in their usual order, a dense layer's words run along its outputs first.
More bits than one round a number in [0, 1] to so many steps.

Weights are stored as the numbers that are computed with; how BMXNet trains through the rounding is not kept.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, ints
from graphkit.ops.nn.windows import CHANNELS_FIRST, mx_window
from graphkit.ops.spec import MxForm, Op, Refusal
from graphkit.ops.tensor.sizes import rank_is_known, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

    Array = npt.NDArray[Any]

_FULL = 32
"""Number of bits that stands for floats as they are."""


def _flag(node: MxNode, name: str, default: str = "False") -> bool:
    return bool(BOOL.parse(node.attrs.get(name, default)))


def _bits(node: MxNode, name: str) -> int:
    return int(node.attrs.get(name, "1"))


def _signs(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    upper = b.op("Cast", b.op("GreaterOrEqual", x, b.scalar(0.0, x)), to=ir.DataType.from_numpy(b.dtype(x)))
    return b.op("Sub", b.op("Mul", upper, b.scalar(2.0, x)), b.scalar(1.0, x))


def _quantized(b: OnnxBuilder, x: ir.Value, bits: int) -> ir.Value:
    """What a layer computes with in place of a number."""
    if bits == 1:
        return _signs(b, x)
    if bits >= _FULL:
        return x
    steps = b.scalar(2.0**bits - 1, x)
    scaled = b.op("Mul", b.op("Clip", x, b.scalar(0.0, x), b.scalar(1.0, x)), steps)
    below = b.op("Floor", scaled)
    up = b.op("GreaterOrEqual", b.op("Sub", scaled, below), b.scalar(0.5, x))
    return b.op("Div", b.op("Where", up, b.op("Add", below, b.scalar(1.0, x)), below), steps)


def _quantized_weights(weights: Array, bits: int) -> Array:
    if bits == 1:
        return np.where(weights >= 0, 1.0, -1.0)
    if bits >= _FULL:
        return weights
    squashed = np.tanh(weights.astype(np.float32))
    steps = np.float32(2.0**bits - 1)
    scaled = steps * (squashed / (2 * np.abs(squashed).max()) + np.float32(0.5))
    below = np.floor(scaled)
    return 2 * np.where(scaled - below >= 0.5, below + 1, below) / steps - 1


def _unpacked(words: Array) -> Array:
    """The weights of packed words: an axis of 32 or 64 follows."""
    raw = np.ascontiguousarray(words).astype(words.dtype.newbyteorder("<"), copy=False).view(np.uint8)
    bits = np.unpackbits(raw.reshape(*words.shape, words.dtype.itemsize), axis=-1, bitorder="little")
    return np.where(bits == 1, 1.0, -1.0)


def _weights(
    b: OnnxBuilder, node: MxNode, stored: ir.Value, shape: tuple[int, ...], *, along_outputs: bool
) -> Array | Refusal:
    """The weights that a layer computes with, in their usual shape; ``-1`` is found from their number."""
    array: Array | None = b.value(stored)
    if array is None:
        return Refusal("its weights are computed or fed; graphkit reads them from a file only")
    if not _flag(node, "binarized_weights_only"):
        return _quantized_weights(array, _bits(node, "weight_bit"))
    if (_bits(node, "act_bit"), _bits(node, "weight_bit")) != (1, 1):
        return Refusal("it has packed weights, which BMXNet multiplies with activations of one bit only")
    if array.dtype not in (np.float32, np.float64):
        return Refusal(f"its packed weights are {array.dtype} rather than words of 32 or 64 bits stored as floats")
    count, wanted = array.size * array.dtype.itemsize * 8, prod(shape)
    if count != wanted and (wanted > 0 or count % wanted):
        return Refusal(f"its {array.size} packed words do not make the weights of {shape[0]} outputs that it needs")
    if along_outputs:
        columns = _unpacked(array.reshape(-1, shape[0]))
        return columns.transpose(1, 0, 2).reshape(shape)
    return _unpacked(array.reshape(-1)).reshape(shape)


def _layer(
    b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None], shape: tuple[int, ...], *, along_outputs: bool = False
) -> tuple[ir.Value, ir.Value | None] | Refusal:
    """Weights and bias of the usual layer that gives the same out of quantised activations."""
    weights = _weights(b, node, some(x[1]), shape, along_outputs=along_outputs)
    if isinstance(weights, Refusal):
        return weights
    dtype = b.dtype(some(x[0]))
    bias = None if _flag(node, "no_bias", "True") else some(x[2])
    if (_bits(node, "act_bit"), _bits(node, "weight_bit")) != (1, 1):
        return b.const(weights, dtype), bias
    scale = 1.0
    if node.attrs.get("scaling_mode", "none") == "forward":
        if _flag(node, "binarized_weights_only"):
            return Refusal("scaling_mode=forward multiplies by the mean of weights that packing has taken away")
        scale = float(np.abs(some(b.value(x[1])).astype(np.float64)).mean())
    shift = b.const(np.full(len(weights), prod(weights.shape[1:]) / 2 * scale), dtype)
    if bias is not None:
        scaled = bias if scale == 1.0 else b.op("Mul", bias, b.scalar(scale, bias))
        shift = b.op("Add", scaled, shift)
    return b.const(weights * (scale / 2), dtype), shift


def _read_convolution(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    kernel, groups = ints(node.attrs["kernel"]), int(node.attrs.get("num_group", "1"))
    if node.attrs.get("layout", "None") not in CHANNELS_FIRST or len(kernel) != 2:
        return Refusal("BMXNet convolves images in layout NCHW only")
    if _flag(node, "scaling_factor"):
        return Refusal("scaling_factor=True multiplies by planes that BMXNet left out later")
    if groups > 1 and _flag(node, "binarized_weights_only"):
        return Refusal("it has groups and packed weights, which BMXNet does not run")
    data = some(x[0])
    channels = b.shape(data)[1] if rank_is_known(data) else None
    own = channels // groups if isinstance(channels, int) else -1
    layer = _layer(b, node, x, (int(node.attrs["num_filter"]), own, *kernel))
    if isinstance(layer, Refusal):
        return layer
    active, pads = _quantized(b, data, _bits(node, "act_bit")), mx_window(node, "pad", 2, 0)
    if _bits(node, "act_bit") == 1 and any(pads):
        active = b.op("Pad", active, [0, 0, *pads, 0, 0, *pads], b.scalar(1.0, data))
        pads = (0, 0)
    return b.op(
        "Conv",
        active,
        *layer,
        kernel_shape=kernel,
        strides=mx_window(node, "stride", 2, 1),
        dilations=mx_window(node, "dilate", 2, 1),
        pads=pads + pads,
        group=groups,
    )


def _read_dense(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    layer = _layer(b, node, x, (int(node.attrs["num_hidden"]), -1), along_outputs=True)
    if isinstance(layer, Refusal):
        return layer
    active = _quantized(b, data, _bits(node, "act_bit"))
    if b.rank(data) != 2:
        active = b.op("Flatten", active, axis=1)
    return b.op("Gemm", active, *layer, transB=1)


def _read_activation(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    return b.op("Identity", data) if _flag(node, "backward_only") else _quantized(b, data, _bits(node, "act_bit"))


_BITS = ("act_bit", "weight_bit", "binarized_weights_only", "scaling_mode", "no_bias")

OP = Op(
    "",
    mx=(
        MxForm("QActivation", read=_read_activation, reads=("act_bit", "backward_only"), direction="read"),
        MxForm(
            "QConvolution",
            read=_read_convolution,
            reads=(
                *_BITS,
                "kernel",
                "stride",
                "dilate",
                "pad",
                "num_filter",
                "num_group",
                "layout",
                "scaling_factor",
            ),
            ignore=("workspace", "cudnn_tune", "cudnn_off", "gradient_update_mode"),
            direction="read",
        ),
        MxForm(
            "QFullyConnected",
            read=_read_dense,
            reads=(*_BITS, "num_hidden"),
            ignore=("gradient_update_mode",),
            direction="read",
        ),
    ),
)
