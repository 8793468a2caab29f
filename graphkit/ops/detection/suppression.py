"""Suppression of boxes that overlap a better one, for MXNet's detectors; what is chosen keeps its precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.own import DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder

__all__ = ["rows_of", "suppress"]


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
    return b.op("NmsMask", boxes, scores, classes, domain=DOMAIN, threshold=threshold, center=int(center))


def rows_of(b: OnnxBuilder, data: ir.Value, indices: ir.Value) -> ir.Value:
    """The rows of each example of ``data`` (batch, rows, …) at ``indices`` (batch, chosen)."""
    return b.op("GatherND", data, b.op("Unsqueeze", indices, [-1]), batch_dims=1)
