"""Resizing axes whose sizes are only known when an MXNet symbol is bound.

Where each element lies among those before is computed in the graph, in float64, as
:class:`~graphkit.ops.nn.interpolation.Method` computes it; ``linear`` and ``cubic`` multiply the axis by a matrix of
weights at these positions, and ``nearest`` takes elements by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.tensor.free_sizes import axis_like, within
from graphkit.ops.tensor.sizes import dim_ref

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    if method.coordinates not in _COORDINATES or (method.antialias and not method.exclude_outside):
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
    there = b.op("Cast", within(b, 1, 0, (b.ref(source), axis)), dtype="float64", name="line")
    there = b.op("expand_dims", b.op("_contrib_arange_like", there, axis=0), axis=0)
    if method.exclude_outside:
        weights = _inside(
            b, position, there, _shrinking(b, line, before, change.scale) if method.antialias else None, method
        )
    elif method.mode == "cubic":
        weights = _clipped(b, position, there, last, method)
    else:
        position = b.op("broadcast_minimum", b.op("_maximum_scalar", position, scalar=0.0), last, name="position")
        weights = _kernel(b, _apart(b, position, there), method)
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


def _apart(b: MxBuilder, position: MxRef, there: MxRef) -> MxRef:
    """Distances as (elements after, elements before)."""
    return b.op("broadcast_sub", b.op("expand_dims", position, axis=1), there, name="apart")


def _kernel(b: MxBuilder, distance: MxRef, method: Method) -> MxRef:
    """The triangle, or the cubic of Keys with parameter a, of distances."""
    far = b.op("abs", distance, name="far")
    if method.mode == "linear":
        return b.op("_maximum_scalar", b.op("_rminus_scalar", far, scalar=1.0), scalar=0.0)
    a = method.cubic
    near = _polynomial(b, far, (a + 2, -(a + 3), 0.0, 1.0))
    tail = _polynomial(b, far, (a, -5 * a, 8 * a, -4 * a))
    within_one = b.op("_lesser_equal_scalar", far, scalar=1.0)
    within_two = b.op("_lesser_scalar", far, scalar=2.0)
    tail = b.op("elemwise_mul", tail, b.op("elemwise_sub", within_two, within_one))
    return b.op("elemwise_add", b.op("elemwise_mul", near, within_one), tail)


def _polynomial(b: MxBuilder, x: MxRef, factors: Sequence[float]) -> MxRef:
    """A polynomial by Horner's rule, highest power first."""
    found = b.op("_plus_scalar", b.op("_mul_scalar", x, scalar=factors[0]), scalar=factors[1])
    for factor in factors[2:]:
        found = b.op("_plus_scalar", b.op("elemwise_mul", found, x), scalar=factor)
    return found


def _clipped(b: MxBuilder, position: MxRef, there: MxRef, last: MxRef, method: Method) -> MxRef:
    """Weights where elements outside the axis are those of its edges."""
    first, found = b.op("floor", position), None
    for tap in (-1.0, 0.0, 1.0, 2.0):
        place = b.op("_plus_scalar", first, scalar=tap)
        weight = _kernel(b, b.op("elemwise_sub", place, position), method)
        place = b.op("broadcast_minimum", b.op("_maximum_scalar", place, scalar=0.0), last)
        chosen = b.op("broadcast_equal", b.op("expand_dims", place, axis=1), there)
        share = b.op("broadcast_mul", chosen, b.op("expand_dims", weight, axis=1))
        found = share if found is None else b.op("elemwise_add", found, share)
    assert found is not None
    return found


def _inside(b: MxBuilder, position: MxRef, there: MxRef, shrink: MxRef | None, method: Method) -> MxRef:
    """Weights where elements outside the axis have none."""
    apart = _apart(b, position, there)
    weights = _kernel(b, apart if shrink is None else b.op("broadcast_mul", apart, shrink), method)
    return b.op("broadcast_div", weights, b.op("sum", weights, axis=(1,), keepdims=True))


def _shrinking(b: MxBuilder, line: MxRef, before: MxRef, scale: float | None) -> MxRef:
    """By what the filter is widened where the axis shrinks, as (1, 1)."""
    if scale is None:
        ratio = b.op("broadcast_div", _count(b, line), before)
    else:
        ratio = b.op("_plus_scalar", b.op("zeros_like", before), scalar=scale)
    return b.op("Reshape", b.op("_minimum_scalar", ratio, scalar=1.0), shape=(1, 1))


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
