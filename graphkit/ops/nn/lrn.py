"""Local response normalisation: division by a power of the mean square over neighbouring channels.

MXNet's LRN computes in float32 only, on images only, and over an odd number of channels no larger than there are;
elsewhere the sum over channels is a pooling of the squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import FLOAT, INT
from graphkit.ops.nn.windows import pad_spatial
from graphkit.ops.spec import Attr, Case, Limit, MxForm, Op, arr, torch_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _has_kernel(b: MxBuilder, node: ir.Node) -> bool:
    data = node.inputs[0]
    assert data is not None
    if b.dtype(data) != np.float32 or b.rank(data) != 4:
        return False
    size, channels = node.attributes.get_int("size", 1), b.shape(data)[1]
    return size % 2 == 1 and isinstance(channels, int) and size <= channels


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    data = x[0]
    assert data is not None
    size = node.attributes.get_int("size", 1)
    alpha, beta, bias = (
        float(FLOAT.show(node.attributes.get_float(name, default)))
        for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    squares = b.op("expand_dims", b.op("Reshape", b.op("square", data), shape=(0, 0, -1)), axis=1)
    before, after = (size - 1) // 2, size // 2
    if before != after:
        squares = pad_spatial(b, squares, (before, 0), (after, 0))
    pad = (before, 0) if before == after else (0, 0)
    total = b.op("Pooling", squares, pool_type="sum", kernel=(size, 1), pad=pad)
    total = b.op("reshape_like", total, data)
    scale = b.op("_plus_scalar", b.op("_mul_scalar", total, scalar=alpha / size), scalar=bias)
    return b.op("elemwise_mul", data, b.op("_power_scalar", scale, scalar=-beta))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """Torch takes the larger half of an even size from the channels before, ONNX from those after."""
    source, data = node.inputs[0], x[0]
    assert source is not None
    size, row = node.attributes.get_int("size", 1), b.rank(source) == 2
    options: dict[str, Any] = {}
    for name, onnx, default in (("alpha", "alpha", 1e-4), ("beta", "beta", 0.75), ("k", "bias", 1.0)):
        number = torch_float(node, onnx, default)
        if number != default:
            options[name] = number
    if row:
        data = b.method("unsqueeze", data, 2)
    if size % 2 == 0:
        data = b.method("flip", data, 1)
    result = b.call("F.local_response_norm", data, size, **options)
    if size % 2 == 0:
        result = b.method("flip", result, 1)
    return b.method("squeeze", result, 2) if row else result


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Of y = x·s^−β, s = k + α/n·Σx²: g·s^−β − 2αβ/n·x·Σg·y/s, the second sum over the channels that see this one."""
    data, size = some(node.inputs[0]), node.attributes.get_int("size", 1)
    alpha, beta = torch_float(node, "alpha", 1e-4), torch_float(node, "beta", 0.75)
    before, after = (size - 1) // 2, size // 2

    def mean_of_channels(value: ir.Value, first: int, last: int) -> ir.Value:
        rows = b.op("Unsqueeze", b.op("Reshape", value, [0, 0, -1]), [1])
        pads = (first, 0, last, 0)
        return b.like(b.op("AveragePool", rows, kernel_shape=(size, 1), pads=pads, count_include_pad=1), value)

    squares = mean_of_channels(b.op("Mul", data, data), before, after)
    scale = b.op("Mul", squares, b.scalar(alpha, data))
    scale = b.op("Add", scale, b.scalar(torch_float(node, "bias", 1.0), data))
    share = mean_of_channels(b.op("Div", b.op("Mul", dy[0], node.outputs[0]), scale), after, before)
    direct = b.op("Mul", dy[0], b.op("Pow", scale, b.scalar(-beta, data)))
    return [b.op("Sub", direct, b.op("Mul", b.op("Mul", data, b.scalar(2 * alpha * beta, data)), share))]


_IMAGE = arr(2, 6, 3, 2)
_ATTRS = {"size": 3, "alpha": 0.5, "beta": 0.25, "bias": 1.5}

OP = Op(
    "LRN",
    mx=(
        MxForm(
            "LRN",
            attrs=(
                Attr("nsize", "size", INT),
                Attr("alpha", "alpha", FLOAT, onnx_default=1e-4, mx_default=1e-4),
                Attr("beta", "beta", FLOAT, onnx_default=0.75, mx_default=0.75),
                Attr("knorm", "bias", FLOAT, onnx_default=1.0, mx_default=2.0),
            ),
            when=_has_kernel,
            cases=(
                Case("defaults", (_IMAGE,), {"nsize": 5}),
                Case("given", (_IMAGE,), {"nsize": 3, "alpha": 0.5, "beta": 0.25, "knorm": 1.0}),
            ),
        ),
        MxForm("Pooling", write=_write, direction="write"),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("defaults", (_IMAGE,), {"size": 3}, dynamic=(0,)),
        Case("given", (_IMAGE,), _ATTRS),
        Case("even size", (_IMAGE,), {**_ATTRS, "size": 4}),
        Case("more than the channels", (arr(2, 3, 2, 2),), {**_ATTRS, "size": 7}),
        Case("rows", (arr(3, 6),), _ATTRS, dynamic=(0,)),
        Case("3-D", (arr(2, 5, 2, 3, 2),), _ATTRS),
    ),
    limits=(
        *(
            Limit(claim, reason, case)
            for claim in ("onnxruntime", "gradient-onnxruntime")
            for reason, case in (
                ("it refuses an even size", "even size"),
                ("it normalises images only", "rows"),
                ("it normalises images only", "3-D"),
            )
        ),
        *(
            Limit(claim, "MXNet's LRN refuses float64", case)
            for claim in ("read-float64", "read-backward")
            for case in ("defaults", "given")
        ),
    ),
)
