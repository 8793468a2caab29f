"""How gradients pass normalisations by statistics of the data itself.

With x̂ = (x − μ)·r and r = 1/√(σ² + ε), the gradient in x of a cotangent g of x̂ is r·(g − mean(g) − x̂·mean(g·x̂)) (Ba et
al., Layer Normalization; Ioffe and Szegedy, Batch Normalization, sec. 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.nn.epsilon import epsilon
from graphkit.ops.tensor.sizes import axis_of, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = [
    "group_norm_gradient",
    "instance_norm_gradient",
    "layer_norm_gradient",
    "mean_over",
    "rms_norm_gradient",
]


def mean_over(b: GradientBuilder, value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """The mean over some axes, which stay as 1."""
    return b.op("ReduceMean", value, list(axes), keepdims=1)


def _standardised(
    b: GradientBuilder, data: ir.Value, axes: Sequence[int], eps: float, *, centred: bool = True
) -> tuple[ir.Value, ir.Value]:
    """What a normalisation makes of the data, x̂, and by what it multiplies, r."""
    apart = b.op("Sub", data, mean_over(b, data, axes)) if centred else data
    variance = mean_over(b, b.op("Mul", apart, apart), axes)
    inverse = b.op("Reciprocal", b.op("Sqrt", b.op("Add", variance, b.scalar(eps, variance))))
    return b.op("Mul", apart, inverse), inverse


def _through(
    b: GradientBuilder,
    gradient: ir.Value,
    normal: ir.Value,
    inverse: ir.Value,
    axes: Sequence[int],
    *,
    centred: bool = True,
) -> ir.Value:
    """The gradient in x, given that in x̂."""
    along = b.op("Mul", normal, mean_over(b, b.op("Mul", gradient, normal), axes))
    if centred:
        gradient = b.op("Sub", gradient, mean_over(b, gradient, axes))
    return b.op("Mul", b.op("Sub", gradient, along), inverse)


def layer_norm_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of LayerNormalization in data, scale and bias, through its mean and inverse deviation, too."""
    data, scale = some(node.inputs[0]), some(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    rank = b.rank(data)
    axes = range(axis_of(node, rank, -1), rank)
    normal, inverse = _layer_normal(b, node, data, axes)
    first, mean, spread = [*dy, None, None][:3]
    found: list[ir.Value | None] = []
    if b.wants(data) and first is not None:
        found.append(_through(b, b.op("Mul", first, scale), normal, inverse, axes))
    if b.wants(data) and (mean is not None or spread is not None):
        share = b.op("Div", b.scalar(1.0, data), _count(b, data, axes))
        if mean is not None:
            found.append(b.op("Expand", b.op("Mul", b.op("CastLike", mean, data), share), b.shape_of(data)))
        if spread is not None:
            pull = b.op("Mul", b.op("CastLike", spread, data), b.op("Mul", inverse, inverse))
            found.append(b.op("Neg", b.op("Mul", normal, b.op("Mul", pull, share))))
    return [
        b.total(found),
        b.sum_to(b.op("Mul", first, normal), scale) if first is not None and b.wants(scale) else None,
        b.sum_to(first, some(bias)) if first is not None and b.wants(bias) else None,
    ]


def _layer_normal(b: GradientBuilder, node: ir.Node, data: ir.Value, axes: Sequence[int]) -> tuple[ir.Value, ir.Value]:
    """x̂ and r; from the node's own statistics where it computes these in the data's type."""
    if b.dtype(data) != np.float32 or node.attributes.get_int("stash_type", 1) != 1:
        return _standardised(b, data, axes, epsilon(node))
    mean, inverse = b.output(node, 1), b.output(node, 2)
    return b.op("Mul", b.op("Sub", data, mean), inverse), inverse


def _count(b: GradientBuilder, data: ir.Value, axes: Sequence[int]) -> ir.Value:
    """Over how many elements is normalised, as a number of the data's type."""
    sizes = [b.shape(data)[axis] for axis in axes]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) == len(sizes):
        return b.scalar(float(np.prod(known)), data)
    return b.op("CastLike", b.op("ReduceProd", b.op("Gather", b.shape_of(data), list(axes)), keepdims=0), data)


def rms_norm_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of RMSNormalization in data and scale."""
    data, scale = some(node.inputs[0]), some(node.inputs[1])
    rank = b.rank(data)
    axes = range(axis_of(node, rank, -1), rank)
    normal, inverse = _standardised(b, data, axes, epsilon(node), centred=False)
    gradient = b.op("Mul", dy[0], scale)
    return [
        _through(b, gradient, normal, inverse, axes, centred=False) if b.wants(data) else None,
        b.sum_to(b.op("Mul", dy[0], normal), scale) if b.wants(scale) else None,
    ]


def instance_norm_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of InstanceNormalization in data, scale and bias."""
    data, scale, bias = (some(value) for value in node.inputs)
    axes = range(2, b.rank(data))
    normal, inverse = _standardised(b, data, axes, epsilon(node))
    gradient = b.op("Mul", dy[0], _by_channel(b, scale, len(axes)))
    return [
        _through(b, gradient, normal, inverse, axes) if b.wants(data) else None,
        *_in_channels(b, dy[0], normal, scale, bias),
    ]


def group_norm_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of GroupNormalization in data, scale and bias."""
    data, scale, bias = (some(value) for value in node.inputs)
    rows = b.const([0, node.attributes.get_int("num_groups", 1), -1])
    normal, inverse = _standardised(b, b.op("Reshape", data, rows), (2,), epsilon(node))
    gradient = b.op("Mul", dy[0], _by_channel(b, scale, b.rank(data) - 2))
    found = None
    if b.wants(data):
        found = b.like(_through(b, b.op("Reshape", gradient, rows), normal, inverse, (2,)), data)
    return [found, *_in_channels(b, dy[0], normal, scale, bias)]


def _by_channel(b: GradientBuilder, vector: ir.Value, spatial: int) -> ir.Value:
    return b.op("Reshape", vector, [-1, *(1,) * spatial])


def _in_channels(
    b: GradientBuilder, dy: ir.Value, normal: ir.Value, scale: ir.Value, bias: ir.Value
) -> list[ir.Value | None]:
    """The gradients in what x̂ is scaled by and what is added, one number of each for a channel."""
    axes = [0, *range(2, b.rank(dy))]
    scaled = b.op("Mul", dy, b.like(normal, dy)) if b.wants(scale) else None
    return [
        None if scaled is None else b.op("ReduceSum", scaled, axes, keepdims=0),
        b.op("ReduceSum", dy, axes, keepdims=0) if b.wants(bias) else None,
    ]
