"""How gradients pass convolutions, transposed ones included.

With y[n, m, o] = Σ w[m, c, t] · x[n, c, o·s + t·d − p], the gradient in x is the transposed convolution of the
cotangent by the same filters, and the gradient in w at each tap t a product of matrices: of the cotangent and of what
that tap sees of x. (Dumoulin and Visin, A guide to convolution arithmetic for deep learning, ch. 4.)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.nn.windows import Window, onnx_window
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import END, START, some

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["conv_gradient", "data_gradient", "padded", "seen", "weight_gradient", "windows_of"]


_FEW = 8
"""Channels per tap up to which all taps are better seen by one product of matrices."""


def conv_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """The gradient of Conv in data, filters and bias."""
    data, filters = some(node.inputs[0]), some(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    sizes = [size for size in b.shape(filters) if isinstance(size, int)]
    if len(sizes) != b.rank(filters):
        return Refusal("the shape of its weight is not known; give the shapes of the model's inputs")
    window = onnx_window(b, node, tuple(sizes[2:]))
    if isinstance(window, Refusal):
        return window
    group = node.attributes.get_int("group", 1)
    return [
        data_gradient(b, data, filters, dy[0], window, group) if b.wants(data) else None,
        weight_gradient(b, data, dy[0], sizes, window, group) if b.wants(filters) else None,
        b.op("ReduceSum", dy[0], [0, *range(2, len(sizes))], keepdims=0) if b.wants(bias) else None,
    ]


def data_gradient(
    b: GradientBuilder, data: ir.Value, filters: ir.Value, dy: ir.Value, window: Window, group: int
) -> ir.Value:
    """Gradient of a convolution in what it convolves: zero also at the end, where no window reached.

    Args:
        b: The builder.
        data: What is convolved, (N, C, …).
        filters: The filters, (M, C / group, …).
        dy: The cotangent of the result, (N, M, …).
        window: How the filters move.
        group: Number of groups of channels.
    """
    if set(window.strides) == {1} and b.value(filters) is not None:
        return _turned_convolution(b, filters, dy, window, group)
    rests = _rests(b, data, dy, window)
    added = [stride - 1 if rest is None else rest for rest, stride in zip(rests, window.strides, strict=True)]
    found = b.op(
        "ConvTranspose",
        dy,
        filters,
        kernel_shape=window.kernel,
        strides=window.strides,
        dilations=window.dilations,
        pads=(*window.begins, *window.ends),
        output_padding=added if any(added) else None,
        group=group,
    )
    free = [axis for axis, rest in enumerate(rests, start=2) if rest is None]
    if free:
        found = b.op("Slice", found, [0] * len(free), b.op("Gather", b.shape_of(data), free), free)
    return found


def _turned_convolution(b: GradientBuilder, filters: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value:
    """The transposed convolution of stride 1 as a convolution, by filters that are turned by 180°.

    Runtimes have better kernels for it on CPUs. They turn stored filters once, when the model is loaded.
    """
    outputs, inputs, *kernel = (b.size(filters, axis) for axis in range(b.rank(filters)))
    axes = range(2, 2 + len(kernel))
    if group == 1:
        turned = b.op("Transpose", filters, perm=(1, 0, *axes))
    else:
        parts = b.op("Reshape", filters, [group, outputs // group, inputs, *kernel])
        parts = b.op("Transpose", parts, perm=(0, 2, 1, *(axis + 1 for axis in axes)))
        turned = b.op("Reshape", parts, [group * inputs, outputs // group, *kernel])
    long = [axis for axis in axes if kernel[axis - 2] > 1]
    if long:
        turned = b.op("Slice", turned, [-1] * len(long), [START] * len(long), long, [-1] * len(long))
    pads = [
        [extent - 1 - pad for extent, pad in zip(window.extents, given, strict=True)]
        for given in (window.begins, window.ends)
    ]
    cut = [[min(pad, 0) for pad in given] for given in pads]
    added = [max(pad, 0) for given in pads for pad in given]
    inside = padded(b, dy, cut[0], cut[1])
    return b.op("Conv", inside, turned, dilations=window.dilations, pads=added, group=group)


def _rests(b: GradientBuilder, data: ir.Value, dy: ir.Value, window: Window) -> list[int | None]:
    """How many elements at the end of each padded axis the last window leaves out; None where it is not known."""
    rests: list[int | None] = []
    for axis, stride in enumerate(window.strides):
        size, count = b.shape(data)[2 + axis], b.shape(dy)[2 + axis]
        if stride == 1:
            rests.append(0)
        elif isinstance(size, int) and isinstance(count, int):
            reached = window.extents[axis] + (count - 1) * stride
            rests.append(size + window.begins[axis] + window.ends[axis] - reached)
        else:
            rests.append(None)
    return rests


def padded(
    b: GradientBuilder, data: ir.Value, begins: Sequence[int], ends: Sequence[int], outside: float = 0.0
) -> ir.Value:
    """Pad the spatial axes of (N, C, …) with a number; negative pads crop."""
    axes = range(2, 2 + len(begins))
    cut = [axis for axis in axes if begins[axis - 2] < 0 or ends[axis - 2] < 0]
    if cut:
        first = [max(-begins[axis - 2], 0) for axis in cut]
        last = [ends[axis - 2] if ends[axis - 2] < 0 else END for axis in cut]
        data = b.op("Slice", data, first, last, cut)
    added = [axis for axis in axes if begins[axis - 2] > 0 or ends[axis - 2] > 0]
    if not added:
        return data
    pads = [max(pads[axis - 2], 0) for pads in (begins, ends) for axis in added]
    return b.op("Pad", data, pads, b.scalar(outside, data), added)


def weight_gradient(
    b: GradientBuilder, data: ir.Value, dy: ir.Value, sizes: Sequence[int], window: Window, group: int
) -> ir.Value:
    """Gradient of a convolution in its filters, by a product of matrices for each tap, or one where channels are few.

    Args:
        b: The builder.
        data: What is convolved, (N, C, …).
        dy: The cotangent of the result, (N, M, …).
        sizes: Shape of the filters, (M, C / group, …).
        window: How they move.
        group: Number of groups of channels.
    """
    outputs, inputs, taps = sizes[0], sizes[1], prod(window.kernel)
    counts = windows_of(b, dy)
    data = padded(b, data, window.begins, window.ends)
    batch = b.shape(dy)[0]
    # Images larger than a product are multiplied one by one, and products added; else the images are joined before.
    small = isinstance(counts, Sequence) and (outputs + inputs * group) * prod(counts) < outputs * inputs
    by_image = batch != 1 and not small
    lead = (0,) if by_image else ()
    lead = lead if group == 1 else (*lead, group)
    if batch != 1 and not by_image:
        data, dy = (b.op("Transpose", value, perm=(1, 0, *range(2, len(sizes)))) for value in (data, dy))
    left = b.op("Reshape", dy, (*lead, outputs // group, -1))

    def product(right: ir.Value, columns: int) -> ir.Value:
        axes = range(len(lead))
        right = b.op("Transpose", right, perm=(*axes, len(lead) + 1, len(lead)))
        found = b.op("MatMul", left, right)
        if by_image:
            found = b.op("ReduceSum", found, [0], keepdims=0)
        return found if group == 1 else b.op("Reshape", found, (outputs, columns))

    views = (seen(b, data, window, tap, counts) for tap in np.ndindex(*window.kernel))
    rights = [b.op("Reshape", view, (*lead, inputs, -1)) for view in views]
    if taps == 1:
        return b.op("Reshape", product(rights[0], inputs), sizes)
    if group == 1 and inputs <= _FEW:
        found = product(b.op("Concat", *rights, axis=len(lead)), taps * inputs)
    else:
        found = b.op("Concat", *(product(right, inputs) for right in rights), axis=1)
    by_tap = b.op("Reshape", found, (outputs, taps, inputs))
    return b.op("Reshape", b.op("Transpose", by_tap, perm=(0, 2, 1)), sizes)


def windows_of(b: GradientBuilder, value: ir.Value) -> Sequence[int] | ir.Value:
    """How many windows there are along each spatial axis of what has an element for each: numbers, or a 1-d tensor."""
    sizes = b.shape(value)[2:]
    known = [size for size in sizes if isinstance(size, int)]
    return known if len(known) == len(sizes) else b.op("Slice", b.shape_of(value), [2], [2 + len(sizes)], [0])


def seen(
    b: GradientBuilder, data: ir.Value, window: Window, tap: Sequence[int], counts: Sequence[int] | ir.Value
) -> ir.Value:
    """What a tap sees of padded data, window by window.

    Args:
        b: The builder.
        data: The data with its padding, (N, C, …).
        window: How the window moves; its padding is not heeded.
        tap: The tap's place in the window.
        counts: How many windows there are along each spatial axis.
    """
    axes = list(range(2, 2 + len(tap)))
    starts = [index * dilation for index, dilation in zip(tap, window.dilations, strict=True)]
    if not isinstance(counts, Sequence):
        reach = b.op("Mul", b.op("Sub", counts, [1] * len(axes)), list(window.strides))
        ends = b.op("Add", reach, [start + 1 for start in starts])
        return b.op("Slice", data, starts, ends, axes, window.strides)
    places = zip(starts, counts, window.strides, strict=True)
    ends_ = [start + (count - 1) * stride + 1 for start, count, stride in places]
    if (tuple(ends_), set(starts), set(window.strides)) == (b.shape(data)[2:], {0}, {1}):
        return data
    return b.op("Slice", data, starts, ends_, axes, window.strides)
