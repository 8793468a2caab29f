"""Stretching an array to a shape that may hold symbolic dimensions, with MXNet's operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.symbols import equal, named
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.free_sizes import axis_like

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["MOST_RUNS", "stretch"]

MOST_RUNS = 5
"""How often stretched axes and others may take turns in one of MXNet's broadcasts."""


def stretch(
    b: MxBuilder, node: ir.Node, data: MxRef, have: Sequence[Dim], want: Sequence[Dim], *like: ir.Value
) -> MxRef | Refusal:
    """Broadcast an array.

    Args:
        b: The builder.
        node: The ONNX node being written.
        data: The array, of shape ``have``; a 0-d array is held with the shape (1,).
        have: Its shape as ONNX has it.
        want: The shape wanted, of at least as many axes.
        like: Values whose symbolic sizes may be used, before those of the graph's inputs.
    """
    dims: list[Dim] = list(have) or ([1] if want else [])
    while len(dims) < len(want):
        data = b.op("expand_dims", data, axis=0)
        dims.insert(0, 1)
    known: dict[int, int] = {}
    for axis, (old, new) in enumerate(zip(dims, want, strict=True)):
        if old is not None and (old == new or equal(named(old), named(new))):
            continue
        if old != 1:
            why = f"axis {axis} of size {old or '?'} is stretched to {new or '?'}, which may be another size"
            return Refusal(why, sizes=[*node.inputs[:1], *node.outputs])
        if isinstance(new, int):
            known[axis] = new
            continue
        source = None if new is None else axis_like(b, node, new, *like)
        if source is None:
            why = f"MXNet cannot make the size {new or '?'} of its axis {axis}"
            return Refusal(why, needs=node.inputs[1:] or node.inputs, sizes=node.outputs)
        data = b.op("broadcast_like", data, source[0], lhs_axes=(axis,), rhs_axes=(source[1],))
    if _runs([(dim, axis in known) for axis, dim in enumerate(dims)]) > MOST_RUNS:
        for axis, size in known.items():
            data = b.op("broadcast_axis", data, axis=axis, size=size)
    elif known:
        data = b.op("broadcast_axis", data, axis=tuple(known), size=tuple(known.values()))
    return data


def _runs(axes: Sequence[tuple[Dim, bool]]) -> int:
    """How often stretched axes and axes of their own size take turns."""
    turns = [stretched for size, stretched in axes if stretched or size != 1]
    return sum(1 for place, turn in enumerate(turns) if place == 0 or turn != turns[place - 1])
