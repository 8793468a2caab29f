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

__all__ = ["slice_gradient"]

_FAR = 2**62
"""More than any axis has elements."""


def slice_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient in what is sliced, for starts, axes and steps of any kind."""
    source, gradient, rank = some(node.inputs[0]), dy[0], b.rank(some(node.inputs[0]))
    starts, axes, steps = _starts(b, node), known_ints(node, 3), known_ints(node, 4)
    if operand(node, 3) is None and isinstance(length := b.shape(starts)[0], int):
        axes = list(range(length))
    if axes is None or (steps is None and operand(node, 4) is not None):
        starts, pace = _of_all_axes(b, node, starts, rank)
        axes, steps = list(range(rank)), numbers_of(pace)
    else:
        axes, steps = [axis % rank for axis in axes], steps or [1] * len(axes)
        pace = b.const(np.array(steps, np.int64))
    sizes, count = sizes_at(b, source, axes), sizes_at(b, gradient, axes)
    before = _before(b, starts, sizes, count, None if steps is not None and min(steps, default=1) > 0 else pace)
    if steps is None:
        gradient = _forward(b, gradient, axes, b.op("Less", pace, [0]))
        wide = dict.fromkeys(axes)
    else:
        gradient = turned(b, gradient, [axis for axis, step in zip(axes, steps, strict=True) if step < 0])
        wide = {axis: None for axis, step in zip(axes, steps, strict=True) if abs(step) > 1}
    if wide:
        pace = b.op("Abs", pace) if steps is None else b.const(np.abs(steps))
        gradient, count = _spread(b, gradient, axes, pace), b.op("Mul", count, pace)
    pads = joined(b, before, b.op("Sub", b.op("Sub", sizes, before), count))
    known = numbers_of(pads)
    return [gradient if known is not None and not any(known) else b.op("Pad", gradient, pads, None, axes)]


def _before(b: GradientBuilder, starts: ir.Value, sizes: ir.Value, count: ir.Value, pace: ir.Value | None) -> ir.Value:
    """How many elements lie before those that were cut out, of which there are so many; no pace where it is forward."""
    first = b.op("Where", b.op("Less", starts, [0]), b.op("Add", starts, sizes), starts)
    first = b.op("Max", first, [0])
    if pace is not None:
        first = b.op("Min", first, b.op("Sub", sizes, [1]))
        last = b.op("Add", first, b.op("Mul", b.op("Sub", count, [1]), pace))
        first = b.op("Max", b.op("Min", first, last), [0])
    return folded(b, b.op("Min", first, sizes))


def _forward(b: GradientBuilder, gradient: ir.Value, axes: Sequence[int], back: ir.Value) -> ir.Value:
    """The gradient turned around along those axes that were cut backward, as only running tells."""
    starts, ends = b.op("Where", back, [-1], [0]), b.op("Where", back, [START], [END])
    return b.op("Slice", gradient, starts, ends, axes, b.op("Where", back, [-1], [1]))


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


def _spread(b: GradientBuilder, value: ir.Value, axes: Sequence[int], steps: ir.Value) -> ir.Value:
    """Put step - 1 zeros after each element along some axes."""
    rank, known = b.rank(value), numbers_of(steps)
    if known is not None:
        factors = [1] * rank
        for axis, step in zip(axes, known, strict=True):
            factors[axis] = step
        paces = b.const(np.array(factors, np.int64))
    else:
        paces = b.op("ScatterElements", np.ones(rank, np.int64), axes, steps, axis=0)
    wide = [axis for axis in range(rank) if known is None or factors[axis] > 1]
    places = [axis + number + 1 for number, axis in enumerate(wide)]
    chosen = paces if len(wide) == rank else folded(b, b.op("Gather", paces, wide))
    gaps = joined(b, [0] * len(wide), b.op("Sub", chosen, [1]))
    apart = b.op("Pad", b.op("Unsqueeze", value, places), gaps, None, places)
    return b.op("Reshape", apart, folded(b, b.op("Mul", b.shape_of(value), paces)), allowzero=1)
