"""Operators on boxes and places of images that ``onnx.reference`` gets wrong or lacks; see :mod:`.corrections`."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx.reference.op_run import OpRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["BOX_CORRECTIONS"]


class AffineGrid(OpRun):
    """The places that affine maps send the pixels of an image or volume to."""

    op_domain = ""

    def _run(self, theta: Array, size: Array, align_corners: int = 0) -> tuple[Array]:
        sizes = [int(n) for n in size[2:]]
        along = [np.linspace(-1, 1, n) if align_corners else (2 * np.arange(n) + 1) / n - 1 for n in sizes]
        places = [*np.meshgrid(*along, indexing="ij")][::-1]
        flat = np.stack([*(place.reshape(-1) for place in places), np.ones(int(np.prod(sizes)))])
        grid = (theta.astype(np.float64) @ flat).transpose(0, 2, 1)
        return (grid.reshape(len(theta), *sizes, len(sizes)).astype(theta.dtype),)


class DeformConv(OpRun):
    """Convolution of images whose taps are moved, in its input's own precision."""

    op_domain = ""

    def _run(
        self,
        x: Array,
        w: Array,
        offset: Array,
        bias: Array | None = None,
        mask: Array | None = None,
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,  # noqa: ARG002 -- that of the weight
        offset_group: int = 1,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[Array]:
        (down, right), pad, step = dilations or (1, 1), pads or (0, 0, 0, 0), strides or (1, 1)
        batch, channels, height, width = x.shape
        (rows, columns), (taps_y, taps_x) = offset.shape[2:], w.shape[2:]
        moves = offset.reshape(batch, offset_group, taps_y, taps_x, 2, rows, columns)
        weights = np.ones_like(moves[:, :, :, :, 0]) if mask is None else mask.reshape(moves[:, :, :, :, 0].shape)
        images = x.reshape(batch, offset_group, channels // offset_group, height, width)
        filters = w.reshape(group, w.shape[0] // group, w.shape[1], taps_y, taps_x)
        y = np.zeros((batch, group, w.shape[0] // group, rows, columns), x.dtype)
        for i, j in np.ndindex(taps_y, taps_x):
            above = np.arange(rows)[:, None] * step[0] - pad[0] + i * down + moves[:, :, i, j, 0]
            left = np.arange(columns) * step[1] - pad[1] + j * right + moves[:, :, i, j, 1]
            near_y = np.maximum(1 - np.abs(above[..., None] - np.arange(height)), 0)
            near_x = np.maximum(1 - np.abs(left[..., None] - np.arange(width)), 0)
            seen = np.einsum("ngchw,ngrkh,ngrkw,ngrk->ngcrk", images, near_y, near_x, weights[:, :, i, j])
            parts = seen.reshape(batch, group, -1, rows, columns)
            y += np.einsum("gfc,ngcrk->ngfrk", filters[..., i, j], parts)
        y = y.reshape(batch, -1, rows, columns)
        return (y if bias is None else y + bias[:, None, None],)


class GridSample(OpRun):
    """Arrays sampled at places, in their own precision; a cubic sees beyond an edge what ONNX Runtime and torch see."""

    op_domain = ""

    def _run(
        self, x: Array, grid: Array, mode: str = "linear", padding_mode: str = "zeros", align_corners: int = 0
    ) -> tuple[Array]:
        sizes = np.asarray(x.shape[2:])
        unit = grid[..., ::-1] + 1
        pixels = unit * (sizes - 1) / 2 if align_corners else (unit * sizes - 1) / 2
        ends = (0 * sizes, sizes - 1) if align_corners else (0 * sizes - 0.5, sizes - 0.5)
        if mode == "nearest":
            pixels = np.rint(pixels)
        if padding_mode == "border" and mode != "cubic":
            pixels = np.clip(pixels, 0, sizes - 1)
        elif padding_mode == "reflection":
            pixels = _thrown_back(pixels, *ends)
        below = pixels if mode == "nearest" else np.floor(pixels)
        images = np.arange(len(x)).reshape(-1, *[1] * (grid.ndim - 2))
        total: Array = np.zeros((*grid.shape[:-1], x.shape[1]), x.dtype)
        for corner in product({"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}[mode], repeat=len(sizes)):
            places = below + corner
            weight = (_cubic if mode == "cubic" else _triangle)(np.abs(pixels - places)).prod(axis=-1)
            if padding_mode == "reflection":
                places = _thrown_back(places, *ends)
            elif padding_mode == "zeros":
                weight = weight * ((places >= 0) & (places <= sizes - 1)).all(axis=-1)
            index = np.clip(places, 0, sizes - 1).astype(int)
            total = total + np.moveaxis(x, 1, -1)[(images, *np.moveaxis(index, -1, 0))] * weight[..., None]
        return (np.moveaxis(total, -1, 1).astype(x.dtype),)


def _thrown_back(places: Array, first: Array, last: Array) -> Array:
    """Places reflected at both ends until they are between them."""
    span = last - first
    thrown: Array = last - np.abs((places - first) % (2 * span) - span)
    return thrown


def _triangle(distance: Array) -> Array:
    return 1 - distance


def _cubic(distance: Array, a: float = -0.75) -> Array:
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    return np.where(distance <= 1, near, ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a)


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


BOX_CORRECTIONS = [AffineGrid, DeformConv, GridSample, MaxRoiPool, NonMaxSuppression]
