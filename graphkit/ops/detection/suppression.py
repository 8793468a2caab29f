"""Greedy suppression of boxes that overlap a better one, out of ONNX's NonMaxSuppression.

Only the choice is ONNX's, which makes it in float32; what is chosen keeps its precision. Boxes of no extent overlap
nothing in MXNet, where ONNX would turn a box that is given inside out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.tensor.sizes import size_along

if TYPE_CHECKING:
    from graphkit.ops.builders import OnnxBuilder

__all__ = ["rows_of", "suppress"]

_LOWEST = float(np.finfo(np.float32).min)


def suppress(
    b: OnnxBuilder,
    boxes: ir.Value,
    scores: ir.Value,
    threshold: float,
    *,
    classes: ir.Value | None = None,
    center: bool = False,
) -> ir.Value:
    """Which boxes stay when the best is taken again and again, and with it all that overlap it.

    Args:
        b: The builder.
        boxes: (batch, boxes, 4) corners, or centres and sizes.
        scores: (batch, boxes); minus infinity for boxes that take no part and never stay.
        threshold: Ratio of intersection to union above which a box overlaps another, from 0.
        classes: (batch, boxes) int64: boxes of different classes do not suppress each other.
        center: Whether boxes are (x, y, width, height) rather than (x1, y1, x2, y2).

    Returns:
        (batch, boxes) bool.
    """
    taking_part = b.op("Greater", scores, b.scalar(-np.inf, scores))
    if threshold > 1:
        return taking_part
    first, second = b.ops("Split", 2, boxes, [2, 2], axis=-1)
    extent = b.op("Max", second, b.scalar(0.0, second) if center else first)
    boxes = _as_float32(b, b.op("Concat", first, extent, axis=-1))
    by_class = b.op("Unsqueeze", _as_float32(b, scores), [1])
    if classes is not None:
        different = b.op("Unsqueeze", b.op("Unique", classes), [0, 2])
        own = b.op("Equal", b.op("Unsqueeze", classes, [1]), different)
        by_class = b.op("Where", own, by_class, b.scalar(-np.inf, by_class))
    chosen = b.op(
        "NonMaxSuppression",
        boxes,
        by_class,
        size_along(b, scores, 1),
        np.asarray([threshold], np.float32),
        np.asarray([_LOWEST], np.float32),
        center_point_box=int(center) or None,
    )
    places = b.op("Gather", chosen, [0, 2], axis=1)
    none = b.op("ConstantOfShape", b.op("Shape", scores), value=ir.tensor(np.zeros(1, bool)))
    each = b.op("GreaterOrEqual", b.op("Gather", places, np.asarray(0), axis=1), np.asarray(0))
    return b.op("ScatterND", none, places, each)


def rows_of(b: OnnxBuilder, data: ir.Value, indices: ir.Value) -> ir.Value:
    """The rows of each example of ``data`` (batch, rows, …) at ``indices`` (batch, chosen)."""
    return b.op("GatherND", data, b.op("Unsqueeze", indices, [-1]), batch_dims=1)


def _as_float32(b: OnnxBuilder, value: ir.Value) -> ir.Value:
    return value if b.dtype(value) == np.float32 else b.op("Cast", value, to=ir.DataType.FLOAT)
