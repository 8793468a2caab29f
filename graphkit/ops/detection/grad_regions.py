"""How gradients pass the pooling of regions of interest. There is none in the regions, as in torchvision and MXNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx_ir as ir

from graphkit.ops.detection.grad_sampling import channels_last, scattered
from graphkit.ops.spec import decimal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["align_gradient", "pool_gradient"]


class _Samples(NamedTuple):
    """Samples of regions along one axis: (regions, bins, samples).

    Attributes:
        places: Where they are, within the image.
        seen: Whether they are near enough to the image to count.
        used: Which there are of as many as the largest region has.
        counts: How many there are in each bin, 1 at least: (regions, 1).
        last: Number of the last pixel.
    """

    places: ir.Value
    seen: ir.Value
    used: ir.Value
    counts: ir.Value
    last: ir.Value


def align_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value]:
    """The gradient of RoiAlign in the images."""
    data, regions, images = (some(value) for value in node.inputs)
    attrs = node.attributes
    columns = b.ops("Split", 4, regions, [1] * 4, axis=1)
    sides = [
        _samples(b, node, data, columns[1 - axis], columns[3 - axis], attrs.get_int(name, 1) or 1, 2 + axis)
        for axis, name in enumerate(("output_height", "output_width"))
    ]
    if (attrs.get_string("mode", "avg") or "avg") == "max":
        return [_largest(b, data, images, sides, dy[0])]
    rows, across = (_weights(b, side, data, axis) for axis, side in enumerate(sides, 2))
    return [_averaged(b, data, images, rows, across, dy[0])]


def _size(b: GradientBuilder, value: ir.Value, axis: int) -> ir.Value:
    """The size of an axis as a tensor of one number."""
    return b.op("Slice", b.shape_of(value), [axis], [axis + 1], [0])


def _pixels(b: GradientBuilder, data: ir.Value, axis: int) -> ir.Value:
    """The numbers of an image's rows or columns."""
    return b.op("Range", np.asarray(0), b.op("Squeeze", _size(b, data, axis), [0]), np.asarray(1))


def _samples(
    b: GradientBuilder, node: ir.Node, data: ir.Value, first: ir.Value, last: ir.Value, bins: int, axis: int
) -> _Samples:
    attrs, dtype = node.attributes, b.dtype(data)
    one, zero = b.scalar(1.0, data), b.scalar(0.0, data)
    scale = b.scalar(decimal(attrs.get_float("spatial_scale", 1.0)), data)
    centred = (attrs.get_string("coordinate_transformation_mode", "half_pixel") or "half_pixel") == "half_pixel"
    start = b.op("Mul", first, scale)
    extent = b.op("Sub", b.op("Mul", last, scale), start)
    if centred:
        start = b.op("Sub", start, b.scalar(0.5, data))
    else:
        extent = b.op("Max", extent, one)
    step = b.op("Div", extent, b.scalar(bins, data))
    given = attrs.get_int("sampling_ratio", 0)
    if given:
        number = b.const(np.arange(given), dtype)
        wanted = b.op("Expand", b.scalar(given, data), b.op("Shape", step))
    else:
        wanted = b.op("Ceil", step)
        most = b.op("ReduceMax", b.op("Concat", wanted, b.const(np.ones((1, 1)), dtype), axis=0), keepdims=0)
        most = b.op("Cast", most, to=ir.DataType.INT64)
        number = b.op("CastLike", b.op("Range", np.asarray(0), most, np.asarray(1)), data)
    count = b.op("Max", wanted, one)
    within = b.op("Div", b.op("Add", number, b.scalar(0.5, data)), count)
    place = b.op("Add", b.const(np.arange(bins)[None, :, None], dtype), b.op("Unsqueeze", within, [1]))
    points = b.op("Add", b.op("Unsqueeze", start, [1]), b.op("Mul", place, b.op("Unsqueeze", step, [1])))
    length = b.op("CastLike", b.op("Squeeze", _size(b, data, axis), [0]), data)
    seen = b.op("And", b.op("GreaterOrEqual", points, b.op("Neg", one)), b.op("LessOrEqual", points, length))
    used = b.op("Unsqueeze", b.op("Less", number, wanted), [1])
    highest = b.op("Sub", length, one)
    return _Samples(b.op("Min", b.op("Max", points, zero), highest), seen, used, count, highest)


def _weights(b: GradientBuilder, side: _Samples, data: ir.Value, axis: int) -> ir.Value:
    """What each pixel along an axis adds to the mean of a bin: (regions, bins, pixels)."""
    pixels = b.op("CastLike", _pixels(b, data, axis), data)
    apart = b.op("Abs", b.op("Sub", b.op("Unsqueeze", side.places, [3]), pixels))
    near = b.op("Max", b.op("Sub", b.scalar(1.0, data), apart), b.scalar(0.0, data))
    counted = b.op("Unsqueeze", b.op("And", side.seen, side.used), [3])
    total = b.op("ReduceSum", b.op("Where", counted, near, b.scalar(0.0, data)), [2], keepdims=0)
    return b.op("Div", total, b.op("Unsqueeze", side.counts, [2]))


def _averaged(
    b: GradientBuilder, data: ir.Value, images: ir.Value, rows: ir.Value, columns: ir.Value, cotangent: ir.Value
) -> ir.Value:
    """Σ rowsᵀ · cotangent · columns over the regions of each image."""
    bins = b.size(cotangent, 2)
    channels, width = _size(b, data, 1), _size(b, data, 3)
    together = b.op("Concat", [-1], b.op("Mul", channels, [bins]), [b.size(cotangent, 3)], axis=0)
    lines = b.op("MatMul", b.op("Reshape", cotangent, together), columns)
    apart = b.op("Reshape", lines, b.op("Concat", [-1], channels, [bins], width, axis=0))
    wide = b.op("Mul", channels, width)
    flat = b.op("Reshape", b.op("Transpose", apart, perm=[0, 2, 1, 3]), b.op("Concat", [-1], wide, axis=0))
    height = _size(b, data, 2)
    places = b.op("Transpose", b.op("Reshape", rows, b.op("Concat", [-1], height, axis=0)), perm=[1, 0])
    number = b.op("Unsqueeze", _pixels(b, data, 0), [1, 2])
    own = b.op("CastLike", b.op("Equal", b.op("Unsqueeze", images, [1]), number), data)
    each = b.op("Expand", own, [1, 1, bins])
    each = b.op("Reshape", each, b.op("Concat", _size(b, data, 0), [1, -1], axis=0))
    found = b.op("MatMul", b.op("Mul", each, places), flat)
    split = b.op("Concat", [0, 0], channels, width, axis=0)
    return b.like(b.op("Transpose", b.op("Reshape", found, split), perm=[0, 2, 1, 3]), data)


def _largest(
    b: GradientBuilder, data: ir.Value, images: ir.Value, sides: Sequence[_Samples], cotangent: ir.Value
) -> ir.Value:
    """The cotangent goes to what is largest of the weighted pixels around samples, in equal parts where several are."""
    one = b.scalar(1.0, data)
    numbers, weights, used = [], [], []
    for axis, side in enumerate(sides):
        low = b.op("Floor", side.places)
        far = b.op("Sub", side.places, low)
        high = b.op("Min", b.op("Add", low, one), side.last)
        seen = b.op("CastLike", side.seen, data)
        count = b.op("Mul", b.op("Shape", low, start=2, end=3), [2])
        shape = b.op("Concat", [-1], b.op("Shape", low, start=1, end=2), count, axis=0)
        outer = [[2, 4], [1, 3]][axis]

        def paired(left: ir.Value, right: ir.Value, shape: ir.Value = shape, outer: list[int] = outer) -> ir.Value:
            """Two for each sample, among the samples of both axes: (regions, bins, bins, samples, samples)."""
            both = b.op("Concat", b.op("Unsqueeze", left, [3]), b.op("Unsqueeze", right, [3]), axis=3)
            return b.op("Unsqueeze", b.op("Reshape", both, shape), outer)

        numbers.append(b.op("Cast", paired(low, high), to=ir.DataType.INT64))
        weights.append(paired(b.op("Mul", b.op("Sub", one, far), seen), b.op("Mul", far, seen)))
        there = b.op("Expand", side.used, b.op("Shape", low))
        used.append(paired(there, there))
    width = b.op("Squeeze", _size(b, data, 3), [0])
    area = b.op("Mul", b.op("Squeeze", _size(b, data, 2), [0]), width)
    place = b.op("Add", b.op("Mul", numbers[0], width), numbers[1])
    place = b.op("Add", place, b.op("Unsqueeze", b.op("Mul", images, area), [1, 2, 3, 4]))
    weight = b.op("Unsqueeze", b.op("Mul", *weights), [5])
    counted = b.op("Unsqueeze", b.op("And", *used), [5])
    values = b.op("Mul", b.op("Gather", channels_last(b, data), place), weight)
    lowest = b.scalar(-np.inf, data)
    values = b.op("Where", counted, values, lowest)
    best = b.op("ReduceMax", values, [3, 4], keepdims=1)
    equal = b.op("CastLike", b.op("And", b.op("Equal", values, best), counted), data)
    ties = b.op("Max", b.op("ReduceSum", equal, [3, 4], keepdims=1), one)
    share = b.op("Unsqueeze", b.op("Transpose", cotangent, perm=[0, 2, 3, 1]), [3, 4])
    shares = b.op("Mul", b.op("Mul", b.op("Div", share, ties), equal), weight)
    return scattered(b, data, place, shares)


def pool_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value]:
    """The gradient of MaxRoiPool in the images, region by region; equal pixels of a bin share, first along columns."""
    data, regions = (some(value) for value in node.inputs)
    scale = b.scalar(decimal(node.attributes.get_float("spatial_scale", 1.0)), data)
    number, corners = b.ops("Split", 2, regions, [1, 4], axis=1)
    scaled = b.op("Mul", corners, scale)
    whole = b.op("Mul", b.op("Sign", scaled), b.op("Floor", b.op("Add", b.op("Abs", scaled), b.scalar(0.5, data))))
    columns = b.ops("Split", 4, b.op("Cast", whole, to=ir.DataType.INT64), [1] * 4, axis=1)
    within = []
    for axis, bins in enumerate(node.attributes.get_ints("pooled_shape", [])):
        start, last = columns[1 - axis], columns[3 - axis]
        extent = b.op("Max", b.op("Add", b.op("Sub", last, start), np.asarray(1)), np.asarray(1))
        lower = b.op("Div", b.op("Mul", extent, np.arange(bins)), np.asarray(bins))
        upper = b.op(
            "Div", b.op("Add", b.op("Mul", extent, np.arange(1, bins + 1)), np.asarray(bins - 1)), np.asarray(bins)
        )
        begin, end = (b.op("Unsqueeze", b.op("Add", start, edge), [2]) for edge in (lower, upper))
        pixels = _pixels(b, data, 2 + axis)
        within.append(b.op("And", b.op("GreaterOrEqual", pixels, begin), b.op("Less", pixels, end)))
    images = b.op("Cast", b.op("Squeeze", number, [1]), to=ir.DataType.INT64)
    order = b.op("Unsqueeze", _pixels(b, data, 0), [1, 2, 3])

    def largest(values: ir.Value, kept: ir.Value, axis: int) -> tuple[ir.Value, ir.Value]:
        """The largest of those that are kept, and the share of each in it."""
        masked = b.op("Where", kept, values, b.scalar(-np.inf, data))
        best = b.op("ReduceMax", masked, [axis], keepdims=1)
        equal = b.op("CastLike", b.op("Equal", masked, best), data)
        return best, b.op("Div", equal, b.op("ReduceSum", equal, [axis], keepdims=1))

    def step(
        states: tuple[ir.Value, ...], parts: tuple[ir.Value, ...]
    ) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        image, rows, across, cotangent = parts
        pixels = b.op("Unsqueeze", b.op("Gather", data, image, axis=0), [1])
        lines, of_pixels = largest(pixels, b.op("Unsqueeze", rows, [2]), 2)
        _, of_lines = largest(lines, across, 3)
        high, wide = (
            b.op("Unsqueeze", b.op("ReduceMax", b.op("CastLike", each, data), [1], keepdims=0), [axis])
            for each, axis in ((rows, 1), (across, 0))
        )
        kept = b.op("Unsqueeze", b.op("Mul", b.op("Mul", high, wide), cotangent), [3])
        given = b.op("ReduceSum", b.op("Mul", of_lines, kept), [2], keepdims=1)
        own = b.op("ReduceSum", b.op("Mul", of_pixels, given), [1], keepdims=0)
        return [b.op("Where", b.op("Equal", order, image), b.op("Add", states[0], own), states[0])], []

    (found,) = b.scan(step, [b.full_like(data)], [images, *within, dy[0]])
    return [b.like(found, data)]
