"""How gradients pass sampling at given places, and grids of such places.

A sample is a sum of elements around its place with weights that are a product over the axes. Its cotangent is scattered
to these elements with the same weights; in the place, they are derived. At kinks the conventions are torch's: a place
that is moved onto an edge has no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx_ir as ir

from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["affine_gradient", "channels_last", "sample_gradient", "scattered"]

_CUBIC = -0.75
"""ONNX's coefficient of the cubic."""
_NEAR = (1.0, 0.0, -(_CUBIC + 3), _CUBIC + 2)
"""Coefficients of the powers of the distance, from the constant up, where that is less than 1."""
_FAR = (-4 * _CUBIC, 8 * _CUBIC, -5 * _CUBIC, _CUBIC)
"""The same from 1 to 2."""


class _Taps(NamedTuple):
    """The elements along each axis that samples are computed from: (images, samples, axes, taps), the last axis first.

    Attributes:
        numbers: Which they are.
        weights: What they are multiplied by; None for 1.
        slopes: Derivatives of the weights in the coordinates of the grid; None for 0.
    """

    numbers: ir.Value
    weights: ir.Value | None
    slopes: ir.Value | None


def sample_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value | None]:
    """The gradients in the data and the grid."""
    data, grid = (some(value) for value in node.inputs)
    axes = b.rank(data) - 2
    taps = _taps(b, node, data, b.op("Reshape", grid, [0, -1, axes]))
    numbers, *weights = (
        None if value is None else [b.op("Gather", value, np.asarray(axis), axis=2) for axis in range(axes)]
        for value in taps
    )
    rows = _rows(b, data, some(numbers))
    cotangent = b.op("Transpose", b.op("Reshape", dy[0], [0, 0, -1]), perm=[0, 2, 1])
    return [
        _of_data(b, data, rows, weights[0], cotangent) if b.wants(data) else None,
        _of_grid(b, data, grid, rows, weights, cotangent) if b.wants(grid) and weights[1] else None,
    ]


def _spread(b: GradientBuilder, value: ir.Value, axis: int, axes: int) -> ir.Value:
    """Taps (images, samples, taps) of one axis with an axis for those of each other."""
    others = [2 + place for place in range(axes) if place != axis]
    return b.op("Unsqueeze", value, others) if others else value


def _product(b: GradientBuilder, values: Sequence[ir.Value]) -> ir.Value:
    """Products of the taps of all axes: (images, samples, taps, taps, ...)."""
    found = _spread(b, values[0], 0, len(values))
    for axis, value in enumerate(values[1:], 1):
        found = b.op("Mul", found, _spread(b, value, axis, len(values)))
    return found


def _rows(b: GradientBuilder, data: ir.Value, numbers: Sequence[ir.Value]) -> ir.Value:
    """Places of the elements in all images, pixel by pixel: (images, samples * all taps)."""
    axes = len(numbers)
    sizes = b.shape_of(data)
    stride: ir.Value | None = None
    found: ir.Value | None = None
    for axis, each in enumerate(numbers):
        part = _spread(b, each, axis, axes)
        part = part if stride is None else b.op("Mul", part, stride)
        found = part if found is None else b.op("Add", found, part)
        size = b.op("Gather", sizes, np.asarray(axes + 1 - axis))
        stride = size if stride is None else b.op("Mul", stride, size)
    images = b.op("Range", np.asarray(0), b.op("Gather", sizes, np.asarray(0)), np.asarray(1))
    first = b.op("Unsqueeze", b.op("Mul", images, some(stride)), [1])
    return b.op("Add", b.op("Reshape", some(found), [0, -1]), first)


def _of_data(
    b: GradientBuilder,
    data: ir.Value,
    rows: ir.Value,
    weights: Sequence[ir.Value] | None,
    cotangent: ir.Value,
) -> ir.Value:
    """Cotangents (images, samples, channels) added up in the elements that samples were computed from."""
    shares = cotangent
    if weights is not None:
        sizes = b.op("Concat", b.op("Shape", cotangent, start=0, end=2), [-1, 1], axis=0)
        factors = b.op("Reshape", _product(b, weights), sizes)
        shares = b.op("Mul", b.op("Unsqueeze", cotangent, [2]), factors)
    return scattered(b, data, rows, shares)


def channels_last(b: GradientBuilder, data: ir.Value) -> ir.Value:
    """Images or volumes as (elements of all of them, channels)."""
    pixels = b.op("Transpose", b.op("Reshape", data, [0, 0, -1]), perm=[0, 2, 1])
    return b.op("Reshape", pixels, b.op("Concat", [-1], b.op("Shape", data, start=1, end=2), axis=0))


def scattered(b: GradientBuilder, data: ir.Value, rows: ir.Value, shares: ir.Value) -> ir.Value:
    """Shares (..., channels) added up in rows of :func:`channels_last`, in the shape of the data."""
    channels = b.op("Shape", data, start=1, end=2)
    flat = b.op("Concat", [-1], channels, axis=0)
    empty = b.op("Reshape", b.full_like(data), flat)
    places = b.op("Reshape", rows, [-1, 1])
    found = b.op("ScatterND", empty, places, b.op("Reshape", shares, flat), reduction="add")
    pixels = b.op("Reshape", found, b.op("Concat", b.op("Shape", data, start=0, end=1), [-1], channels, axis=0))
    return b.like(b.op("Transpose", pixels, perm=[0, 2, 1]), data)


def _of_grid(
    b: GradientBuilder,
    data: ir.Value,
    grid: ir.Value,
    rows: ir.Value,
    weights: Sequence[Sequence[ir.Value] | None],
    cotangent: ir.Value,
) -> ir.Value:
    """Derivatives of the weights times what the elements add to Σ⟨cotangent, sample⟩."""
    factors, slopes = (some(each) for each in weights)
    axes = len(factors)
    seen = b.op("Gather", channels_last(b, data), b.op("Reshape", rows, [-1]))
    places = b.op("Shape", cotangent, end=2)
    each = b.op("Reshape", seen, b.op("Concat", places, [-1], b.op("Shape", data, start=1, end=2), axis=0))
    shares = b.op("ReduceSum", b.op("Mul", each, b.op("Unsqueeze", cotangent, [2])), [3], keepdims=0)
    found = []
    for axis in range(axes):
        derived = _product(b, [slopes[place] if place == axis else factors[place] for place in range(axes)])
        flat = b.op("Reshape", derived, b.op("Concat", places, [-1], axis=0))
        found.append(b.op("ReduceSum", b.op("Mul", flat, shares), [2], keepdims=1))
    return b.like(found[0] if axes == 1 else b.op("Concat", *found, axis=2), grid)


def _taps(b: GradientBuilder, node: ir.Node, data: ir.Value, grid: ir.Value) -> _Taps:
    attrs = node.attributes
    mode, padding = attrs.get_string("mode", "linear") or "linear", attrs.get_string("padding_mode", "zeros") or "zeros"
    aligned = bool(attrs.get_int("align_corners", 0))
    one, half, zero = (b.scalar(number, grid) for number in (1.0, 0.5, 0.0))
    whole = b.op("Slice", b.shape_of(data), [-1], [1], [0], [-1])
    size = b.op("CastLike", whole, grid)
    last = b.op("Sub", size, one)
    slope = b.op("Mul", last if aligned else size, half)
    place = b.op("Mul", b.op("Add", grid, one), slope)
    if not aligned:
        place = b.op("Sub", place, half)
    if mode != "cubic" and padding != "zeros":
        if padding == "reflection":
            place, turned = _reflected(b, place, last, aligned=aligned)
            slope = b.op("Mul", slope, turned)
        inside = b.op("And", b.op("Greater", place, zero), b.op("Less", place, last))
        slope = b.op("Where", inside, slope, zero)
        place = b.op("Min", b.op("Max", place, zero), last)
    size, last = (b.op("Unsqueeze", each, [-1]) for each in (size, last))
    weights: ir.Value | None = None
    slopes: ir.Value | None = None
    if mode == "nearest":
        numbers = b.op("Unsqueeze", b.op("Round", place), [-1])
    else:
        low = b.op("Floor", place)
        fraction = b.op("Unsqueeze", b.op("Sub", place, low), [-1])
        offsets = np.arange(2) if mode == "linear" else np.arange(-1, 3)
        numbers = b.op("Add", b.op("Unsqueeze", low, [-1]), b.const(offsets, b.dtype(grid)))
        weights, slopes = (_linear if mode == "linear" else _cubic)(b, fraction)
        slopes = b.op("Mul", slopes, b.op("Unsqueeze", slope, [-1]))
    if padding == "zeros":
        seen = b.op("And", b.op("GreaterOrEqual", numbers, zero), b.op("LessOrEqual", numbers, last))
        weights = b.op("CastLike", seen, grid) if weights is None else b.op("Where", seen, weights, zero)
        slopes = None if slopes is None else b.op("Where", seen, slopes, zero)
    elif padding == "reflection" and mode == "cubic":
        numbers = b.op("Round", _reflected(b, numbers, last, aligned=aligned)[0])
    number = b.op("Cast", numbers, to=ir.DataType.INT64)
    highest = b.op("Unsqueeze", b.op("Sub", whole, np.asarray(1)), [-1])
    return _Taps(b.op("Min", b.op("Max", number, np.asarray(0)), highest), weights, slopes)


def _reflected(b: GradientBuilder, place: ir.Value, last: ir.Value, *, aligned: bool) -> tuple[ir.Value, ir.Value]:
    """Places thrown back at the centres of the outermost elements, or at their edges, and 1 or -1: their slopes."""
    one, zero, half = (b.scalar(number, place) for number in (1.0, 0.0, 0.5))
    span = b.op("Max", last, one) if aligned else b.op("Add", last, one)
    from_start = place if aligned else b.op("Add", place, half)
    distance = b.op("Mod", b.op("Abs", from_start), b.op("Add", span, span), fmod=1)
    back = b.op("Greater", distance, span)
    thrown = b.op("Where", back, b.op("Sub", b.op("Add", span, span), distance), distance)
    turned = b.op("Where", b.op("Xor", back, b.op("Less", from_start, zero)), b.op("Neg", one), one)
    return thrown if aligned else b.op("Sub", thrown, half), turned


def _linear(b: GradientBuilder, fraction: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Weights (..., 2) and their derivatives."""
    slopes = b.const(np.array([-1.0, 1.0]), b.dtype(fraction))
    return b.op("Add", b.op("Mul", fraction, slopes), b.const(np.array([1.0, 0.0]), b.dtype(fraction))), slopes


def _cubic(b: GradientBuilder, fraction: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Weights (..., 4) and their derivatives, as polynomials of the distances."""
    dtype = b.dtype(fraction)
    signs = b.const(np.array([1.0, 1.0, -1.0, -1.0]), dtype)
    distance = b.op("Add", b.op("Mul", fraction, signs), b.const(np.array([1.0, 0.0, 1.0, 2.0]), dtype))
    rows = np.array([_FAR, _NEAR, _NEAR, _FAR]).T

    def polynomial(coefficients: npt.NDArray[np.float64]) -> ir.Value:
        found = b.const(coefficients[-1], dtype)
        for row in coefficients[-2::-1]:
            found = b.op("Add", b.op("Mul", found, distance), b.const(row, dtype))
        return found

    derived = polynomial(rows[1:] * np.arange(1, 4)[:, None])
    return polynomial(rows), b.op("Mul", derived, signs)


def affine_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value]:
    """The cotangent times the coordinates of the pixels, which the unit map gives."""
    theta, sizes = (some(value) for value in node.inputs)
    axes = b.shape(dy[0])[-1]
    assert isinstance(axes, int)
    unit = np.eye(axes, axes + 1, dtype=b.dtype(theta))[None]
    one = b.op("Concat", [1], b.op("Slice", sizes, [1], [axes + 2], [0]), axis=0)
    aligned = node.attributes.get_int("align_corners", 0)
    pixels = b.op("Reshape", b.op("AffineGrid", unit, one, align_corners=aligned), [-1, axes])
    cotangent = b.op("Transpose", b.op("Reshape", dy[0], [0, -1, axes]), perm=[0, 2, 1])
    return [
        b.op(
            "Concat",
            b.op("MatMul", cotangent, pixels),
            b.op("ReduceSum", cotangent, [2], keepdims=1),
            axis=2,
        )
    ]
