"""How gradients pass Slice: what was cut out is put back among zeros.

Along an axis that was cut with a step, zeros go between its elements first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.symbols import numbers_of
from graphkit.ops.tensor.grad_sizes import as_ints, folded, joined, known_ints, operand, sizes_at, turned
from graphkit.ops.tensor.sizes import END, START, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["slice_gradient", "spread"]

_FAR = 2**62
"""More than any axis has elements."""


def slice_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient in what is sliced, for starts, axes and steps of any kind."""
    source, gradient, rank = some(node.inputs[0]), dy[0], b.rank(some(node.inputs[0]))
    starts = _starts(b, node)
    axes, steps = known_ints(node, 3), known_ints(node, 4)
    if operand(node, 3) is None and isinstance(length := b.shape(starts)[0], int):
        axes = list(range(length))
    computed = steps is None and operand(node, 4) is not None
    if axes is None or computed:
        starts, pace = _of_all_axes(b, node, starts, rank)
        axes, steps = list(range(rank)), None
    else:
        axes = [axis % rank for axis in axes]
        steps = steps or [1] * len(axes)
        pace = b.const(np.array(steps, np.int64))
    sizes, count = sizes_at(b, source, axes), sizes_at(b, gradient, axes)
    first = b.op("Where", b.op("Less", starts, [0]), b.op("Add", starts, sizes), starts)
    first = b.op("Max", first, [0])
    if steps is None or min(steps) < 0:
        first = b.op("Min", first, b.op("Sub", sizes, [1]))
        last = b.op("Add", first, b.op("Mul", b.op("Sub", count, [1]), pace))
        first = b.op("Max", b.op("Min", first, last), [0])
    first = folded(b, b.op("Min", first, sizes))
    if steps is None:
        back = b.op("Less", pace, [0])
        starts, ends = b.op("Where", back, [-1], [0]), b.op("Where", back, [START], [END])
        gradient = b.op("Slice", gradient, starts, ends, axes, b.op("Where", back, [-1], [1]))
        pace = b.op("Abs", pace)
        gradient, count = spread(b, gradient, axes, pace), b.op("Mul", count, pace)
    else:
        gradient = turned(b, gradient, [axis for axis, step in zip(axes, steps, strict=True) if step < 0])
        wide = [(axis, abs(step)) for axis, step in zip(axes, steps, strict=True) if abs(step) > 1]
        if wide:
            paces = b.const(np.array([by for _, by in wide], np.int64))
            gradient = spread(b, gradient, [axis for axis, _ in wide], paces)
            count = b.op("Mul", count, b.const(np.abs(steps)))
    after = b.op("Sub", b.op("Sub", sizes, first), count)
    pads = joined(b, first, after)
    known = numbers_of(pads)
    return [gradient if known is not None and not any(known) else b.op("Pad", gradient, pads, None, axes)]


def _starts(b: GradientBuilder, node: ir.Node) -> ir.Value:
    """Where it starts, numbers that stand for an axis's end made small enough to calculate with."""
    known = known_ints(node, 1)
    if known is None:
        return as_ints(b, some(node.inputs[1]))
    return b.const(np.array([min(max(start, -_FAR), _FAR) for start in known], np.int64))


def _of_all_axes(b: GradientBuilder, node: ir.Node, starts: ir.Value, rank: int) -> tuple[ir.Value, ir.Value]:
    """The starts and steps of a Slice for every axis."""
    axes, steps = operand(node, 3), operand(node, 4)
    places = b.op("Range", np.asarray(0), b.op("Size", starts), np.asarray(1)) if axes is None else as_ints(b, axes)
    starts = b.op("ScatterElements", np.zeros(rank, np.int64), places, starts, axis=0)
    pace: ir.Value = b.const(np.ones(rank, np.int64))
    if steps is not None:
        pace = b.op("ScatterElements", pace, places, as_ints(b, steps), axis=0)
    return starts, pace


def spread(b: GradientBuilder, value: ir.Value, axes: Sequence[int], steps: ir.Value) -> ir.Value:
    """Put step - 1 zeros after each element along some axes, which are ascending or the only one."""
    if not axes:
        return value
    rank = b.rank(value)
    order = np.argsort(axes)
    places = [int(axes[place]) + number + 1 for number, place in enumerate(order)]
    steps = steps if list(order) == sorted(order) else folded(b, b.op("Gather", steps, order.astype(np.int64)))
    apart = b.op("Unsqueeze", value, places)
    gaps = joined(b, [0] * len(axes), b.op("Sub", steps, [1]))
    apart = b.op("Pad", apart, gaps, None, places)
    sizes = sizes_at(b, value, range(rank))
    wide = b.op("Mul", sizes, b.op("ScatterElements", np.ones(rank, np.int64), sorted(axes), steps, axis=0))
    return b.op("Reshape", apart, folded(b, wide), allowzero=1)
