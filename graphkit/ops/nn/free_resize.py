"""Resizing axes whose sizes are only known when an MXNet symbol is bound.

Where each element lies among those before is computed in the graph, in float64, as
:class:`~graphkit.ops.nn.interpolation.Method` computes it; ``linear`` multiplies the axis by a matrix that is made of
these positions, and ``nearest`` takes elements by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.tensor.free_sizes import axis_like, within
from graphkit.ops.tensor.sizes import dim_ref

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.nn.interpolation import Change, Method

__all__ = ["resized_freely"]

_COORDINATES = frozenset({"align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel"})


def resized_freely(b: MxBuilder, node: ir.Node, data: MxRef, method: Method, change: Change) -> MxRef | None:
    """Resize one axis; None where that needs numbers, or MXNet cannot make the size."""
    source = node.inputs[0]
    assert source is not None
    if method.mode == "cubic" or method.antialias or method.exclude_outside or method.coordinates not in _COORDINATES:
        return None
    axis, rank = change.number, b.rank(source)
    like = axis_like(b, node, str(b.shape(node.outputs[0])[axis]))
    if like is None:
        return None
    before = b.op("Cast", dim_ref(b, source, axis), dtype="float64", name="before")
    line = b.op("Cast", within(b, 1, 0, like), dtype="float64", name="line")
    position = _positions(b, line, before, method, change.scale)
    last = b.op("_minus_scalar", before, scalar=1.0, name="last")
    if method.mode == "nearest":
        return b.op("take", data, _rounded(b, position, last, method.rounding), axis=axis, mode="clip")
    position = b.op("broadcast_minimum", b.op("_maximum_scalar", position, scalar=0.0), last, name="position")
    there = b.op("Cast", within(b, 1, 0, (b.ref(source), axis)), dtype="float64", name="line")
    there = b.op("_contrib_arange_like", there, axis=0)
    apart = b.op(
        "broadcast_sub", b.op("expand_dims", position, axis=1), b.op("expand_dims", there, axis=0), name="apart"
    )
    weights = b.op("_maximum_scalar", b.op("_rminus_scalar", b.op("abs", apart), scalar=1.0), scalar=0.0)
    weights = b.op("BlockGrad", b.op("Cast", weights, dtype=b.dtype(source).name), name="weights")
    if axis != rank - 1:
        data = b.op("SwapAxis", data, dim1=axis, dim2=rank - 1)
    data = b.op("dot", data, weights, transpose_b=True)
    return data if axis == rank - 1 else b.op("SwapAxis", data, dim1=axis, dim2=rank - 1)


def _positions(b: MxBuilder, line: MxRef, before: MxRef, method: Method, scale: float | None) -> MxRef:
    """Where each element after lies among those before."""
    if method.coordinates == "align_corners":
        after = b.op("_maximum_scalar", b.op("_minus_scalar", _count(b, line), scalar=1.0), scalar=1.0)
        numbers = b.op("_contrib_arange_like", line, axis=0)
        scaled = b.op("broadcast_mul", numbers, b.op("_minus_scalar", before, scalar=1.0))
        return b.op("broadcast_div", scaled, after)
    centre = 0.0 if method.coordinates == "asymmetric" else 0.5
    numbers = b.op("_contrib_arange_like", line, start=centre, axis=0)
    if scale is not None:
        position = b.op("_div_scalar", numbers, scalar=scale)
    else:
        position = b.op("broadcast_div", b.op("broadcast_mul", numbers, before), _count(b, line))
    position = b.op("_minus_scalar", position, scalar=centre) if centre else position
    if method.coordinates == "pytorch_half_pixel":
        position = b.op("broadcast_mul", position, b.op("_greater_scalar", _count(b, line), scalar=1.0))
    return position


def _count(b: MxBuilder, line: MxRef) -> MxRef:
    return b.op("Cast", b.op("shape_array", line), dtype="float64", name="after")


def _rounded(b: MxBuilder, position: MxRef, last: MxRef, rounding: str) -> MxRef:
    """Which element before is taken."""
    if rounding == "round_prefer_floor":
        found = b.op("ceil", b.op("_minus_scalar", position, scalar=0.5))
    elif rounding == "round_prefer_ceil":
        found = b.op("floor", b.op("_plus_scalar", position, scalar=0.5))
    else:
        found = b.op("ceil" if rounding == "ceil" else "floor", position)
    inside = b.op("broadcast_minimum", b.op("_maximum_scalar", found, scalar=0.0), last)
    return b.op("Cast", inside, dtype="int32", name="indices")
