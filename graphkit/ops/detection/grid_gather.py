"""Sampling arrays at given places by gathering what is around each, for what MXNet's BilinearSampler does not do.

The definition is that of ONNX's GridSample: nearest, linear and cubic, zeros, edges or reflection around, any number of
spatial axes.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from graphkit.ops.math.unary import mx_round
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["sample"]

_CUBIC = -0.75
"""ONNX's coefficient of the cubic."""


class _Tap(NamedTuple):
    """One element along one axis that a place is computed from: its number, and its weight unless that is 1."""

    place: MxRef
    weight: MxRef | None


def sample(b: MxBuilder, node: ir.Node, data: MxRef, grid: MxRef) -> MxRef | Refusal:
    """Write a GridSample node."""
    source, places = some(node.inputs[0]), some(node.inputs[1])
    sizes = [size for size in b.shape(source)[2:] if isinstance(size, int)]
    after = [size for size in b.shape(places)[1:-1] if isinstance(size, int)]
    if len(sizes) != b.rank(source) - 2 or len(after) != b.rank(places) - 2:
        return Refusal(
            "the sizes of its image or grid are not known; give the shapes of the model's inputs with --input"
        )
    aligned = bool(node.attributes.get_int("align_corners", 0))
    padding = node.attributes.get_string("padding_mode", "zeros")
    if aligned and padding == "reflection" and 1 in sizes:
        return Refusal("it reflects at the centres of the outermost pixels, and its image is one pixel wide")
    flat = b.op("Reshape", grid, shape=(0, -1, len(sizes)))
    axes = []
    for number, size in enumerate(sizes):
        last = len(sizes) - 1 - number
        place = b.op("Reshape", b.op("slice_axis", flat, axis=2, begin=last, end=last + 1), shape=(0, -1))
        axes.append(_taps(b, node, place, size, aligned=aligned, padding=padding or "zeros"))
    table = b.op("transpose", b.op("Reshape", data, shape=(0, 0, -1)), axes=(0, 2, 1), name="table")
    total: MxRef | None = None
    for taps in product(*axes):
        part = _gathered(b, table, taps, sizes)
        total = part if total is None else b.op("elemwise_add", total, part)
    found = b.op("transpose", some(total), axes=(0, 2, 1))
    return b.op("Reshape", found, shape=(0, 0, *after))


def _gathered(b: MxBuilder, table: MxRef, taps: Sequence[_Tap], sizes: Sequence[int]) -> MxRef:
    """One element for each place, (N, places, channels), times its weight."""
    number: MxRef | None = None
    weight: MxRef | None = None
    for tap, size in zip(taps, sizes, strict=True):
        number = (
            tap.place
            if number is None
            else b.op("elemwise_add", b.op("_mul_scalar", number, scalar=float(size)), tap.place)
        )
        if tap.weight is not None:
            weight = tap.weight if weight is None else b.op("elemwise_mul", weight, tap.weight)
    number = some(number)
    line = b.op("expand_dims", b.op("_contrib_arange_like", number, axis=0), axis=1)
    line = b.op("broadcast_like", line, number, name="samples")
    picked = b.op("gather_nd", table, b.op("BlockGrad", b.op("stack", line, number, num_args=2, axis=0)))
    return picked if weight is None else b.op("broadcast_mul", picked, b.op("expand_dims", weight, axis=2))


def _taps(b: MxBuilder, node: ir.Node, place: MxRef, size: int, *, aligned: bool, padding: str) -> list[_Tap]:
    """The elements along one axis that each place is computed from."""
    mode = node.attributes.get_string("mode", "linear") or "linear"
    if aligned:
        place = b.op("_mul_scalar", b.op("_plus_scalar", place, scalar=1.0), scalar=(size - 1) / 2)
    else:
        place = b.op("_mul_scalar", b.op("_plus_scalar", place, scalar=1.0), scalar=size / 2)
        place = b.op("_minus_scalar", place, scalar=0.5)
    first, last = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    if mode == "nearest":
        place = mx_round(b, place)
    if padding == "border" and mode != "cubic":
        place = b.op("clip", place, a_min=0.0, a_max=size - 1.0)
    elif padding == "reflection":
        place = _reflected(b, place, first, last)
    if mode == "nearest":
        return [_inside(b, place, None, size, padding, first, last)]
    floor = b.op("BlockGrad", b.op("floor", place))
    part = b.op("elemwise_sub", place, floor)
    if mode == "linear":
        weights = [(0, b.op("_rminus_scalar", part, scalar=1.0)), (1, part)]
    else:
        rest = b.op("_rminus_scalar", part, scalar=1.0)
        weights = [(-1, _far(b, part)), (0, _near(b, part)), (1, _near(b, rest)), (2, _far(b, rest))]
    return [
        _inside(
            b, b.op("_plus_scalar", floor, scalar=float(step)) if step else floor, weight, size, padding, first, last
        )
        for step, weight in weights
    ]


def _near(b: MxBuilder, distance: MxRef) -> MxRef:
    """The cubic at a distance from 0 to 1."""
    total = b.op("_minus_scalar", b.op("_mul_scalar", distance, scalar=_CUBIC + 2), scalar=_CUBIC + 3)
    total = b.op("elemwise_mul", b.op("elemwise_mul", total, distance), distance)
    return b.op("_plus_scalar", total, scalar=1.0)


def _far(b: MxBuilder, distance: MxRef) -> MxRef:
    """The cubic at a distance from 1 to 2, which is given less 1."""
    distance = b.op("_plus_scalar", distance, scalar=1.0)
    total = b.op("_minus_scalar", b.op("_mul_scalar", distance, scalar=_CUBIC), scalar=5 * _CUBIC)
    total = b.op("_plus_scalar", b.op("elemwise_mul", total, distance), scalar=8 * _CUBIC)
    return b.op("_minus_scalar", b.op("elemwise_mul", total, distance), scalar=4 * _CUBIC)


def _reflected(b: MxBuilder, place: MxRef, first: float, last: float) -> MxRef:
    """Places thrown back at both ends until they are between them."""
    span = last - first
    turned = b.op("_mod_scalar", b.op("_minus_scalar", place, scalar=first), scalar=2 * span)
    turned = b.op("abs", b.op("_minus_scalar", turned, scalar=span))
    return b.op("_rminus_scalar", turned, scalar=last)


def _inside(
    b: MxBuilder, index: MxRef, weight: MxRef | None, size: int, padding: str, first: float, last: float
) -> _Tap:
    """An element that is there; beyond the ends its weight is 0, or it is another one."""
    if padding == "reflection":
        index = _reflected(b, index, first, last)
    elif padding != "border":
        there = b.op(
            "elemwise_mul",
            b.op("_greater_equal_scalar", index, scalar=0.0),
            b.op("_lesser_equal_scalar", index, scalar=size - 1.0),
            name="there",
        )
        weight = there if weight is None else b.op("elemwise_mul", weight, there)
    return _Tap(b.op("clip", index, a_min=0.0, a_max=size - 1.0), weight)
