"""How gradients pass Pad: what was put around is cut off, and goes to what it repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.tensor.grad_gather import picked
from graphkit.ops.tensor.grad_sizes import as_ints, folded, joined, known_ints, operand, sizes_at
from graphkit.ops.tensor.sizes import END, START, some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim
    from graphkit.ops.gradients import GradientBuilder

    Pads = Mapping[int, tuple[int, int]]

__all__ = ["pad_gradient"]


def pad_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient in what is padded and in the number that it is padded with."""
    source, number = some(node.inputs[0]), operand(node, 2)
    mode = node.attributes.get_string("mode", "constant")
    pads = _known(b, node)
    if mode == "constant":
        kept = _cut(b, node, dy[0], pads) if b.wants(source) else None
        return [kept, None, _outside(b, node, dy[0], number) if number is not None and b.wants(number) else None]
    if pads is None or (mode == "wrap" and not _wraps_once(b.shape(source), pads)):
        return [_by_places(b, node, dy[0], mode, range(b.rank(source)) if pads is None else sorted(pads))]
    gradient: ir.Value = dy[0]
    for axis, pair in pads.items():
        gradient = _folded_back(b, gradient, axis, pair, mode)
    return [gradient]


def _known(b: GradientBuilder, node: ir.Node) -> dict[int, tuple[int, int]] | None:
    """Elements put before and after, by axis, where they are known; no axis without any."""
    rank = b.rank(some(node.inputs[0]))
    pads, axes = known_ints(node, 1), known_ints(node, 3)
    if operand(node, 3) is None:
        axes = list(range(rank))
    if pads is None or axes is None:
        return None
    pairs = zip(pads[: len(axes)], pads[len(axes) :], strict=True)
    return {axis % rank: pair for axis, pair in zip(axes, pairs, strict=True) if any(pair)}


def _cut(b: GradientBuilder, node: ir.Node, gradient: ir.Value, pads: Pads | None) -> ir.Value:
    """The gradient without what was put around, and zeros where something was cut off."""
    if pads is None:
        return b.op("Pad", gradient, b.op("Neg", as_ints(b, some(node.inputs[1]))), None, operand(node, 3))
    return _restored(b, _inside(b, gradient, pads), pads)


def _inside(b: GradientBuilder, gradient: ir.Value, pads: Pads) -> ir.Value:
    put = {axis: (max(before, 0), max(after, 0)) for axis, (before, after) in pads.items() if before > 0 or after > 0}
    if not put:
        return gradient
    ends = [-after if after else END for _, after in put.values()]
    return b.op("Slice", gradient, [before for before, _ in put.values()], ends, list(put))


def _restored(b: GradientBuilder, gradient: ir.Value, pads: Pads) -> ir.Value:
    """Zeros where something was cut off."""
    cut = {axis: pair for axis, pair in pads.items() if min(pair) < 0}
    if not cut:
        return gradient
    widths = [max(-pair[end], 0) for end in (0, 1) for pair in cut.values()]
    return b.op("Pad", gradient, widths, None, list(cut))


def _outside(b: GradientBuilder, node: ir.Node, gradient: ir.Value, number: ir.Value) -> ir.Value:
    """The sum of the gradient over what was put around."""
    zeros = b.full_like(some(node.inputs[0]))
    around = b.op("Pad", zeros, node.inputs[1], b.scalar(1.0, number), operand(node, 3))
    return b.like(b.op("ReduceSum", b.op("Mul", gradient, around), keepdims=0), number)


def _wraps_once(dims: Sequence[Dim], pads: Pads) -> bool:
    """Whether no element is put more than once at one end, for certain."""
    sizes = [(dims[axis], pair) for axis, pair in pads.items()]
    return all(isinstance(dim, int) and max(pair) <= dim + min(*pair, 0) for dim, pair in sizes)


def _folded_back(b: GradientBuilder, gradient: ir.Value, axis: int, pair: tuple[int, int], mode: str) -> ir.Value:
    """The gradient in what was padded along one axis by its own elements."""
    before, after = max(pair[0], 0), max(pair[1], 0)
    inside = _inside(b, gradient, {axis: pair})
    parts = [inside]
    size = sizes_at(b, inside, [axis])
    if before:
        ends = (before - 1, START, -1) if mode == "reflect" else (0, before, 1)
        front = b.op("Slice", gradient, *([end] for end in ends[:2]), [axis], [ends[2]])
        parts.append(_handed_on(b, front, axis, before, size, mode, front=True))
    if after:
        ends = (-1, -after - 1, -1) if mode == "reflect" else (-after, END, 1)
        back = b.op("Slice", gradient, *([end] for end in ends[:2]), [axis], [ends[2]])
        parts.append(_handed_on(b, back, axis, after, size, mode, front=False))
    return _restored(b, some(b.total(parts)), {axis: pair})


def _handed_on(
    b: GradientBuilder, part: ir.Value, axis: int, width: int, size: ir.Value, mode: str, *, front: bool
) -> ir.Value:
    """The gradient of what was put at one end, in the order in which it was there, where it came from along an axis."""
    near = 1 if mode == "reflect" else 0
    if mode == "edge":
        part, width = b.op("ReduceSum", part, [axis]), 1
    rest = folded(b, b.op("Sub", size, [width + near]))
    at_front = front != (mode == "wrap")
    pads = joined(b, [near], rest) if at_front else joined(b, rest, [near])
    return b.op("Pad", part, pads, None, [axis])


def _by_places(b: GradientBuilder, node: ir.Node, gradient: ir.Value, mode: str, padded: Sequence[int]) -> ir.Value:
    """The gradient for widths of any size: by the places that padding makes of places, axis by axis."""
    source = some(node.inputs[0])
    rank = b.rank(source)
    pads, axes = as_ints(b, some(node.inputs[1])), operand(node, 3)
    if axes is not None:
        zeros = b.const(np.zeros(rank, np.int64))
        places = as_ints(b, axes)
        halves = b.ops("Split", 2, pads, axis=0, num_outputs=2)
        pads = joined(b, *(b.op("ScatterElements", zeros, places, half, axis=0) for half in halves))
    for axis in padded:
        size = b.op("Squeeze", sizes_at(b, source, [axis]), [0])
        line = b.op("Range", np.asarray(0), size, np.asarray(1))
        line = b.op("Pad", line, b.op("Gather", pads, [axis, axis + rank]), mode=mode)
        sizes = [sizes_at(b, source if place <= axis else gradient, [place]) for place in range(rank)]
        gradient = picked(b, gradient, b.op("Expand", b.scalar(0.0, gradient), joined(b, *sizes)), line, axis)
    return gradient
