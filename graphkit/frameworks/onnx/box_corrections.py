"""Operators on boxes and regions that ``onnx.reference`` gets wrong or lacks; see :mod:`.corrections`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx.reference.op_run import OpRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["BOX_CORRECTIONS"]


class MaxRoiPool(OpRun):
    """Maximum of each bin of each region, whose corners are rounded to whole pixels; 0 where a bin is empty."""

    op_domain = ""

    def _run(
        self, x: Array, rois: Array, pooled_shape: Sequence[int] | None = None, spatial_scale: float = 1.0
    ) -> tuple[Array]:
        bins = tuple(pooled_shape or ())
        y = np.zeros((len(rois), x.shape[1], *bins), x.dtype)
        scaled = rois[:, [2, 1, 4, 3]] * rois.dtype.type(spatial_scale)
        corners = (np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).astype(int)
        for region, (first, last) in enumerate(zip(corners[:, :2], corners[:, 2:], strict=True)):
            extents = np.maximum(last - first + 1, 1)
            edges = [
                [
                    [
                        int(np.clip(edge + start, 0, size))
                        for edge in (k * extent // count, -(-(k + 1) * extent // count))
                    ]
                    for k in range(count)
                ]
                for start, extent, count, size in zip(first, extents, bins, x.shape[2:], strict=True)
            ]
            for i, (top, bottom) in enumerate(edges[0]):
                for j, (left, right) in enumerate(edges[1]):
                    if bottom > top and right > left:
                        y[region, :, i, j] = x[int(rois[region, 0]), :, top:bottom, left:right].max(axis=(1, 2))
        return (y,)


class NonMaxSuppression(OpRun):
    """(image, class, box) of each box that no better one overlaps, better ones first."""

    op_domain = ""

    def _run(self, boxes: Array, scores: Array, *limits: Array | None, center_point_box: int = 0) -> tuple[Array]:
        given = [None if x is None else x.reshape(-1)[0] for x in limits]
        most, overlap, lowest = [*given, None, None, None][:3]
        first, second = boxes[..., :2], boxes[..., 2:]
        if center_point_box:
            first, second = first - second / 2, first + second / 2
        low, high = np.minimum(first, second), np.maximum(first, second)
        chosen: list[tuple[int, int, int]] = []
        for image, label in np.ndindex(*scores.shape[:2]):
            here = scores[image, label]
            queue = [k for k in np.argsort(-here, kind="stable") if lowest is None or here[k] > lowest]
            kept: list[int] = []
            while queue and len(kept) < (most or 0):
                best = queue.pop(0)
                kept.append(best)
                inner = np.minimum(high[image, best], high[image]) - np.maximum(low[image, best], low[image])
                shared = np.maximum(inner, 0).prod(axis=-1)
                areas = (high[image] - low[image]).prod(axis=-1)
                whole = areas + areas[best] - shared
                queue = [k for k in queue if not (shared[k] > 0 and shared[k] / whole[k] > (overlap or 0))]
            chosen += [(image, label, int(k)) for k in kept]
        return (np.asarray(chosen, np.int64).reshape(-1, 3),)


BOX_CORRECTIONS = [MaxRoiPool, NonMaxSuppression]
