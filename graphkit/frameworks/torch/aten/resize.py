"""Interpolation as a single Resize."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.frameworks.torch.aten.emit import known, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _resize(
    emit: Emit,
    x: ir.Value,
    sizes: Sequence[int | ir.Value] | None,
    factors: Sequence[float | None] | None,
    **attrs: Any,
) -> ir.Value:
    """Resize to sizes, or by factors, which are then those that coordinates are computed with.

    Aligned corners leave factors no part in coordinates, only in the size.
    """
    spatial = known(x)[2:]
    axes = list(range(2, rank(x)))
    aligned = attrs["coordinate_transformation_mode"] == "align_corners"
    if aligned and sizes is None and factors is not None and None not in spatial:
        sizes = [math.floor((size or 0) * (factor or 1)) for size, factor in zip(spatial, factors, strict=True)]
        factors = None
    if factors is not None and all(factor is not None for factor in factors):
        scales = [_scale(factor or 0, size) for factor, size in zip(factors, spatial, strict=True)]
        kept = _kept(scales, spatial, attrs)
        return emit.op("Resize", x, None, emit.array(np.array([1, 1, *kept], np.float32)), **attrs)
    assert sizes is not None
    fixed = [size for size in sizes if isinstance(size, int)]
    if len(fixed) < len(sizes):
        parts = [emit.ints(size) if isinstance(size, int) else emit.op("Reshape", size, emit.ints(1)) for size in sizes]
        return emit.op("Resize", x, None, None, emit.op("Concat", *parts, axis=0), axes=axes, **attrs)
    if all(size is not None and target % size == 0 for size, target in zip(spatial, fixed, strict=True)):
        whole = [target // size for size, target in zip(spatial, fixed, strict=True) if size]
        return emit.op("Resize", x, None, emit.array(np.array([1, 1, *whole], np.float32)), **attrs)
    return emit.op("Resize", x, None, None, emit.ints(*fixed), axes=axes, **attrs)


def _scale(factor: float, size: int | None) -> np.float32:
    """A scale in float32, as ONNX has them, moved by an ulp where it would be rounded to another output size."""
    scale = np.float32(factor)
    if size is not None:
        target = math.floor(size * factor)
        while math.floor(scale * np.float32(size)) < target:
            scale = np.nextafter(scale, np.float32(np.inf))
    return scale


def _kept(scales: Sequence[np.float32], spatial: Sequence[int | None], attrs: dict[str, Any]) -> Sequence[np.float32]:
    """The scales without those that torch's kernels forget.

    Interpolation of images whose size stays copies them, and the nearest pixels of an axis that stays or doubles are
    counted in whole numbers, in two dimensions only (``nearest_idx`` in aten/src/ATen/native/UpSample.h).
    """
    if None in spatial:
        return scales
    grown = [
        math.floor(scale * np.float32(size or 0)) / (size or 1) for scale, size in zip(scales, spatial, strict=True)
    ]
    if attrs["mode"] == "linear" and all(times == 1 for times in grown):
        return [np.float32(1)] * len(scales)
    if attrs == _NEAREST and len(scales) == _IMAGE:
        return [np.float32(times) if times in (1, 2) else scale for times, scale in zip(grown, scales, strict=True)]
    return scales


_IMAGE = 2
"""Spatial dimensions of an image."""
_NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
_EXACT = {"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}


def _nearest(attrs: dict[str, Any]) -> tuple[Callable[..., ir.Value], Callable[..., ir.Value]]:
    def vec(
        emit: Emit, x: ir.Value, output_size: Sequence[Any] | None, scale_factors: Sequence[float] | None
    ) -> ir.Value:
        return _resize(emit, x, output_size, scale_factors, **attrs)

    def default(emit: Emit, x: ir.Value, output_size: Sequence[Any], *scales: float | None) -> ir.Value:
        return _resize(emit, x, output_size, scales or None, **attrs)

    return vec, default


def _smooth(mode: str, **extra: Any) -> tuple[Callable[..., ir.Value], Callable[..., ir.Value]]:
    def attrs(align_corners: bool) -> dict[str, Any]:
        # torch has pytorch_half_pixel only where a size is 1, and there the two agree on interpolated values.
        return {
            "mode": mode,
            "coordinate_transformation_mode": "align_corners" if align_corners else "half_pixel",
            **extra,
        }

    def vec(
        emit: Emit,
        x: ir.Value,
        output_size: Sequence[Any] | None,
        align_corners: bool,
        scale_factors: Sequence[float] | None,
    ) -> ir.Value:
        return _resize(emit, x, output_size, scale_factors, **attrs(align_corners))

    def default(
        emit: Emit, x: ir.Value, output_size: Sequence[Any], align_corners: bool, *scales: float | None
    ) -> ir.Value:
        return _resize(emit, x, output_size, scales or None, **attrs(align_corners))

    return vec, default


def _both(name: str, pair: tuple[Callable[..., ir.Value], Callable[..., ir.Value]]) -> dict[str, Callable[..., Any]]:
    return {f"aten.{name}.vec": pair[0], f"aten.{name}.default": pair[1]}


ROWS: dict[str, Callable[..., Any]] = {
    **{
        key: row
        for dims in (1, 2, 3)
        for name, attrs in ((f"upsample_nearest{dims}d", _NEAREST), (f"_upsample_nearest_exact{dims}d", _EXACT))
        for key, row in _both(name, _nearest(attrs)).items()
    },
    **_both("upsample_linear1d", _smooth("linear")),
    **_both("upsample_bilinear2d", _smooth("linear")),
    **_both("upsample_trilinear3d", _smooth("linear")),
    **_both("upsample_bicubic2d", _smooth("cubic", cubic_coeff_a=-0.75)),
}
