"""Geometry of boxes: anchors, boxes out of anchors and offsets, and overlaps.

MXNet computes anchors, and holds the parameters of all of these, in float32. It gives no gradient of overlaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.codec import BOOL, FLOAT, literal
from graphkit.ops.spec import Case, Limit, MxForm, Op, arr, given
from graphkit.ops.tensor.sizes import positions, size_along, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import MxBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef

__all__ = ["decoded", "numbers", "scaled", "single"]

_F = np.float32


def single(node: MxNode, name: str, default: str) -> float:
    """A parameter as the float32 that MXNet holds."""
    return float(_F(FLOAT.parse(node.attrs.get(name, default))))


def numbers(node: MxNode, name: str, default: str) -> list[float]:
    """A tuple of floats, as float32 numbers.

    Raises:
        ValueError: The parameter is none.
    """
    text = node.attrs.get(name, default)
    try:
        value = literal(text)
        return [float(_F(item)) for item in (value if isinstance(value, tuple | list) else (value,))]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={text} is not a tuple of numbers") from error


def scaled(
    b: MxBuilder, value: ir.Value, regions: MxRef, scale: float, coordinates: Sequence[bool]
) -> tuple[MxRef, np.float32]:
    """Regions, and what MXNet is to scale them by: its operators take scales from 0 to 1, others are put in before.

    Args:
        b: The builder.
        value: The regions' IR value.
        regions: What holds them, (regions, numbers).
        scale: From the regions' coordinates to those of the map.
        coordinates: Which of the numbers are coordinates.
    """
    if 0 <= scale <= 1:
        return regions, _F(scale)
    factors = np.where(coordinates, scale, 1.0)[None].astype(b.dtype(value))
    return b.op("broadcast_mul", regions, b.const(factors, "factors")), _F(1)


def decoded(
    b: OnnxBuilder,
    offsets: ir.Value,
    anchors: ir.Value,
    deviations: Sequence[float],
    *,
    center: bool = False,
    most: float | None = None,
) -> tuple[ir.Value, ir.Value]:
    """Corners of boxes that are moved and stretched from anchors.

    Args:
        b: The builder.
        offsets: (batch, boxes, 4): moves in units of the anchor's size, then logarithms of how it is stretched.
        anchors: (1, boxes, 4).
        deviations: What the four offsets are multiplied by.
        center: Whether anchors are centres and sizes rather than corners.
        most: Largest logarithm; None for no limit.

    Returns:
        Left upper and right lower corners, (batch, boxes, 2) each.
    """
    first, second = b.ops("Split", 2, anchors, [2, 2], axis=-1)
    half = b.scalar(0.5, offsets)
    size = second if center else b.op("Sub", second, first)
    middle = first if center else b.op("Add", first, b.op("Mul", size, half))
    move, stretch = b.ops("Split", 2, offsets, [2, 2], axis=-1)
    dtype = b.dtype(offsets)
    moved = b.op("Mul", b.op("Mul", move, np.asarray(deviations[:2]).astype(dtype)), size)
    stretch = b.op("Mul", stretch, np.asarray(deviations[2:]).astype(dtype))
    if most is not None:
        stretch = b.op("Min", stretch, b.scalar(most, offsets))
    center_at, reach = b.op("Add", moved, middle), b.op("Mul", b.op("Mul", b.op("Exp", stretch), size), half)
    return b.op("Sub", center_at, reach), b.op("Add", center_at, reach)


def _read_decode(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    deviations = [single(node, f"std{k}", "1") for k in range(4)]
    most = single(node, "clip", "-1")
    center = node.attrs.get("format", "center") == "center"
    corners = decoded(b, some(x[0]), some(x[1]), deviations, center=center, most=most if most > 0 else None)
    return b.op("Concat", *corners, axis=-1)


def _read_iou(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    left, right = some(x[0]), some(x[1])
    rank, more = b.rank(left), b.rank(right) - 1
    spread = b.op("Unsqueeze", left, list(range(rank - 1, rank - 1 + more))) if more else left
    zero = b.scalar(0.0, left)
    lows, highs, areas = [], [], []
    for boxes in (spread, right):
        first, second = b.ops("Split", 2, boxes, [2, 2], axis=-1)
        sizes = second
        if node.attrs.get("format", "corner") == "center":
            half = b.op("Div", second, b.scalar(2.0, left))
            first, second = b.op("Sub", first, half), b.op("Add", first, half)
        else:
            sizes = b.op("Sub", second, first)
        lows.append(first)
        highs.append(second)
        areas.append(b.op("ReduceProd", b.op("Max", sizes, zero), [-1], keepdims=0))
    sides = b.op("Sub", b.op("Min", *highs), b.op("Max", *lows))
    shared = b.op("ReduceProd", b.op("Max", sides, zero), [-1], keepdims=0)
    apart = b.op("LessOrEqual", shared, zero)
    union = b.op("Where", apart, b.scalar(1.0, left), b.op("Sub", b.op("Add", *areas), shared))
    return b.op("Where", apart, zero, b.op("Div", shared, union))


def _read_prior(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    height, width = b.shape(data)[2:]
    if not isinstance(height, int) or not isinstance(width, int):
        return _free_anchors(b, node, data)
    anchors = _anchors(
        height,
        width,
        numbers(node, "sizes", "(1,)"),
        numbers(node, "ratios", "(1,)"),
        numbers(node, "steps", "(-1, -1)"),
        numbers(node, "offsets", "(0.5, 0.5)"),
    )
    if BOOL.parse(node.attrs.get("clip", "False")):
        anchors = np.clip(anchors, 0, 1)
    return b.op("Identity", b.const(anchors[None].astype(b.dtype(data))))


def _free_anchors(b: OnnxBuilder, node: MxNode, data: ir.Value) -> ir.Value:
    """Those of a map of any size: what :func:`_anchors` gives, in the same order of operations."""
    extents = _extents(numbers(node, "sizes", "(1,)"), numbers(node, "ratios", "(1,)"))
    size, root = np.asarray(extents, _F).T
    height, width = (b.op("Cast", size_along(b, data, axis), to=ir.DataType.FLOAT) for axis in (2, 3))
    half_x = b.op("Div", b.op("Mul", b.op("Div", b.op("Mul", size, height), width), root), np.asarray([2], _F))
    half_y = b.const(size / root / _F(2))
    middles = []
    steps, offsets = numbers(node, "steps", "(-1, -1)"), numbers(node, "offsets", "(0.5, 0.5)")
    for axis, count, step, offset in zip((2, 3), (height, width), steps, offsets, strict=True):
        cells = b.op("Add", b.op("Cast", positions(b, data, axis), to=ir.DataType.FLOAT), np.asarray([offset], _F))
        step_ = b.const(np.asarray([step], _F)) if step > 0 else b.op("Reciprocal", count)
        middles.append(b.op("Unsqueeze", b.op("Mul", cells, step_), [0, 2] if axis == 3 else [1, 2]))
    y, x = middles
    shape = b.op("Concat", size_along(b, data, 2), size_along(b, data, 3), [1], axis=0)
    corners = [b.op("Sub", x, half_x), b.op("Sub", y, half_y), b.op("Add", x, half_x), b.op("Add", y, half_y)]
    each = [b.op("Unsqueeze", b.op("Expand", corner, shape), [3]) for corner in corners]
    anchors = b.op("Reshape", b.op("Concat", *each, axis=3), [1, -1, 4])
    if BOOL.parse(node.attrs.get("clip", "False")):
        anchors = b.op("Clip", anchors, b.scalar(0.0, anchors), b.scalar(1.0, anchors))
    dtype = b.dtype(data)
    return anchors if dtype == _F else b.op("Cast", anchors, to=ir.DataType.from_numpy(dtype))


def _extents(sizes: Sequence[float], ratios: Sequence[float]) -> list[tuple[np.float32, np.float32]]:
    """Size and root of the ratio of each anchor of a cell."""
    roots = np.sqrt(np.asarray(ratios, _F))
    return [(_F(size), roots[0]) for size in sizes] + [(_F(sizes[0]), root) for root in roots[1:]]


def _anchors(
    height: int,
    width: int,
    sizes: Sequence[float],
    ratios: Sequence[float],
    steps: Sequence[float],
    offsets: Sequence[float],
) -> npt.NDArray[Any]:
    """Corners of the anchors of every cell, computed in float32: all sizes of the first ratio, then other ratios."""
    extents = _extents(sizes, ratios)
    check_elements(4 * height * width * len(extents))
    half_x = np.asarray([size * _F(height) / _F(width) * root / _F(2) for size, root in extents], _F)
    half_y = np.asarray([size / root / _F(2) for size, root in extents], _F)
    y, x = (
        (np.arange(count, dtype=_F) + _F(offset)) * (_F(step) if step > 0 else _F(1) / _F(count))
        for count, offset, step in zip((height, width), offsets, steps, strict=True)
    )
    shape = (height, width, len(extents))
    middle_x, middle_y = np.broadcast_to(x[None, :, None], shape), np.broadcast_to(y[:, None, None], shape)
    corners = (middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y)
    anchors: npt.NDArray[Any] = np.stack(corners, axis=-1).reshape(-1, 4)
    return anchors


_OFFSETS, _ANCHORS = arr(2, 5, 4), arr(1, 5, 4, low=0.2, high=0.9)
_SOME = given([[0.1, 0.2, 0.8, 0.9], [0.3, 0.3, 0.31, 0.7], [0.5, 0.5, 0.2, 0.8]], "float32")
_OTHERS = given(
    [[[0.0, 0.1, 0.5, 0.6], [0.3, 0.35, 0.9, 0.7]], [[0.9, 0.9, 1.0, 1.0], [0.3, 0.3, 0.3, 0.7]]], "float32"
)

OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_box_decode",
            read=_read_decode,
            reads=("std0", "std1", "std2", "std3", "clip", "format"),
            direction="read",
            cases=(
                Case("centres", (_OFFSETS, _ANCHORS), dynamic=(0,), grad=False),
                Case(
                    "corners",
                    (_OFFSETS, _ANCHORS),
                    {"format": "corner", "std0": 0.1, "std1": 0.2, "std2": 0.3, "std3": 0.4},
                    grad=False,
                ),
                Case("limited", (_OFFSETS, _ANCHORS), {"clip": 0.3}, grad=False),
            ),
        ),
        MxForm(
            "_contrib_box_iou",
            read=_read_iou,
            reads=("format",),
            direction="read",
            cases=(
                Case("corners", (_SOME, _OTHERS), grad=False),
                Case("centres", (_OTHERS, _SOME), {"format": "center"}, grad=False),
                Case("pairs", (_SOME, _SOME), dynamic=(0, 1), grad=False),
            ),
        ),
        MxForm(
            "_contrib_MultiBoxPrior",
            read=_read_prior,
            reads=("sizes", "ratios", "steps", "offsets", "clip"),
            direction="read",
            cases=(
                Case("default", (arr(1, 2, 3, 4),), grad=False),
                Case(
                    "sizes and ratios",
                    (arr(2, 2, 3, 5),),
                    {"sizes": "(0.5, 0.25)", "ratios": "(2, 0.5, 3)"},
                    grad=False,
                ),
                Case(
                    "steps",
                    (arr(1, 1, 2, 3),),
                    {"sizes": "[0.7]", "steps": "(0.3, 0.2)", "offsets": "(0.1, 0.2)", "clip": True},
                    grad=False,
                ),
            ),
        ),
    ),
    limits=tuple(
        Limit("read-float64", "MXNet's MultiBoxPrior computes in float32 only", name)
        for name in ("default", "sizes and ratios", "steps")
    ),
)
