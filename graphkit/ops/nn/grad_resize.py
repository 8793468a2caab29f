"""How gradients pass Resize: each axis is a linear map, whose transpose they take.

What repeats elements is a sum over windows, and what doubles or triples an axis linearly a convolution with the
triangle; all else is a product with the matrix of the axis. Of an axis of unknown size that is what Resize makes of the
unit matrix.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.gradients import shaped
from graphkit.ops.nn.interpolation import Change, Method, changed_axes, method_of, repeats
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["resize_gradient"]

_CENTRED = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")


def resize_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value] | Refusal:
    """The gradient in what is resized; region, scales and sizes have none."""
    source, method = some(node.inputs[0]), method_of(node)
    changes = changed_axes(b, node, method)
    if isinstance(changes, Refusal):
        return _at_run_time(b, node, dy[0], _open(b, node))
    if not changes:
        return [dy[0]]
    by_windows = _by_windows(b, source, dy[0], method, changes)
    if by_windows is not None:
        return [shaped(by_windows, source)]
    if any(change.axis is None for change in changes):
        return _at_run_time(b, node, dy[0], [change.number for change in changes])
    held: dict[tuple[bytes, tuple[int, ...]], ir.Value] = {}
    found = dy[0]
    for change in changes:
        weights = _matrix(method, change).astype(b.dtype(source))
        last = change.number == b.rank(source) - 1
        turned = np.ascontiguousarray(weights if last else weights.T)
        key = turned.tobytes(), turned.shape
        if key not in held:
            held[key] = b.const(turned)
        found = _along(b, found, held[key], change.number)
    return [shaped(found, source)]


def _matrix(method: Method, change: Change) -> npt.NDArray[Any]:
    """Weights of an axis as (elements after, elements before)."""
    axis = some(change.axis)
    if method.mode == "nearest":
        weights = np.zeros((axis.after, axis.before))
        weights[np.arange(axis.after), method.indices(axis)] = 1
    else:
        weights = method.matrix(axis)
    return np.where(method.outside(axis)[:, None], 0.0, weights)


def _along(b: GradientBuilder, value: ir.Value, matrix: ir.Value, axis: int) -> ir.Value:
    """A product along an axis: with (before, after), or along the last one with (after, before)."""
    rank = b.rank(value)
    if axis == rank - 1:
        return b.op("MatMul", value, matrix)
    if axis == rank - 2:
        return b.op("MatMul", matrix, value)
    trailing = [size for size in b.shape(value)[axis + 1 :] if isinstance(size, int)]
    if len(trailing) == rank - axis - 1 and 0 not in trailing:
        merged = b.op("Reshape", value, [0] * (axis + 1) + [math.prod(trailing)])
        return b.op("Reshape", b.op("MatMul", matrix, merged), [*[0] * (axis + 1), *trailing])
    order = [*range(rank)]
    order[axis], order[-2] = rank - 2, axis
    swapped = b.op("MatMul", matrix, b.op("Transpose", value, perm=order))
    return b.op("Transpose", swapped, perm=order)


def _by_windows(
    b: GradientBuilder, source: ir.Value, cotangent: ir.Value, method: Method, changes: Sequence[Change]
) -> ir.Value | None:
    """A pooling or convolution, at any size, where the spatial axes of images grow by whole factors."""
    rank = b.rank(source)
    if rank not in (3, 4, 5) or min(change.number for change in changes) < 2:
        return None
    factors = [1] * (rank - 2)
    for change in changes:
        times = repeats(method, change) if method.mode == "nearest" else _tripled_at_most(method, change)
        if times is None:
            return None
        factors[change.number - 2] = times
    if method.mode == "nearest":
        mean = b.op("AveragePool", cotangent, kernel_shape=factors, strides=factors)
        return b.op("Mul", mean, b.scalar(math.prod(factors), mean))
    channels = b.shape(source)[1]
    if not isinstance(channels, int):
        return None
    kernel = np.ones((1,) * rank)
    pads = [0] * rank
    for axis, factor in enumerate(factors, 2):
        if factor > 1:
            triangle = 1 - np.abs((np.arange(-1, factor + 1) + 0.5) / factor - 0.5)
            kernel = kernel * triangle.reshape([-1 if place == axis else 1 for place in range(rank)])
            pads[axis] = 1
    padded = b.op("Pad", cotangent, [*pads, *pads], mode="edge")
    weights = np.repeat(kernel, channels, axis=0).astype(b.dtype(source))
    return b.op("Conv", padded, weights, group=channels, strides=factors)


def _tripled_at_most(method: Method, change: Change) -> int | None:
    """By how much an axis grows linearly, where that is 2 or 3 and pixels are aligned at their centres.

    Of these the weights that fall beyond an edge are those of the outermost element alone.
    """
    if method.mode != "linear" or method.coordinates not in _CENTRED or method.exclude_outside:
        return None
    axis = change.axis
    if axis is None:
        return int(change.scale) if change.scale in (2, 3) else None
    factor = axis.after / axis.before
    return int(factor) if factor in (2, 3) and axis.exact else None


def _open(b: GradientBuilder, node: ir.Node) -> list[int]:
    """The axes that may change."""
    before, after = b.shape(some(node.inputs[0])), b.shape(node.outputs[0])
    rank = len(before)
    return [
        axis % rank
        for axis in node.attributes.get_ints("axes", list(range(rank)))
        if before[axis] is None or before[axis] != after[axis]
    ]


def _at_run_time(
    b: GradientBuilder, node: ir.Node, cotangent: ir.Value, changed: Sequence[int]
) -> list[ir.Value] | Refusal:
    """Products with what Resize makes of unit matrices, along axes of unknown size."""
    source, attrs = some(node.inputs[0]), node.attributes
    rank = b.rank(source)
    if attrs.get_string("keep_aspect_ratio_policy", "stretch") != "stretch":
        return Refusal("its sizes keep an aspect ratio that is not known; give the model's inputs fixed sizes")
    region, scales, sizes = (
        value if value is not None and b.shape(value) != (0,) else None
        for value in (*node.inputs[1:4], *[None] * (4 - len(node.inputs)))
    )
    options = {
        name: attribute.value
        for name, attribute in attrs.items()
        if name not in ("axes", "extrapolation_value", "keep_aspect_ratio_policy")
    }
    numbers = [axis % rank for axis in attrs.get_ints("axes", list(range(rank)))]
    crops = attrs.get_string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    found = cotangent
    for axis in changed:
        place = numbers.index(axis)
        before = b.op("Shape", source, start=axis, end=axis + 1)
        after = b.op("Shape", cotangent, start=axis, end=axis + 1)
        square = b.op("Concat", before, before, axis=0)
        ones = b.op("ConstantOfShape", square, value=ir.tensor(np.ones(1, b.dtype(source))))
        unit = b.op("Unsqueeze", b.op("EyeLike", ones), [0, 1])
        part = factors = extents = None
        if crops and region is not None:
            part = _ends(b, region, place, len(numbers))
        if sizes is None and scales is not None:
            whole = b.const(np.ones(2), b.dtype(scales))
            factors = b.op(
                "Concat", whole, b.op("Gather", scales, [place]), b.const(np.ones(1), b.dtype(scales)), axis=0
            )
        else:
            extents = b.op("Concat", [1, 1], after, before, axis=0)
        matrix = b.op("Squeeze", b.op("Resize", unit, part, factors, extents, **options), [0, 1])
        if axis != rank - 1:
            matrix = b.op("Transpose", matrix, perm=[1, 0])
        found = _along(b, found, matrix, axis)
    return [shaped(found, source)]


def _ends(b: GradientBuilder, region: ir.Value, place: int, count: int) -> ir.Value:
    """The part of the third of four axes that is a region's of one of its own, and all of the others."""
    zero, one = (b.const(np.full(1, number), b.dtype(region)) for number in (0, 1))
    start, end = (b.op("Gather", region, [at]) for at in (place, place + count))
    return b.op("Concat", zero, zero, start, zero, one, one, end, one, axis=0)
