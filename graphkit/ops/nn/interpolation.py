"""Which elements a Resize reads along one axis, and with which weights.

The definitions are those of ONNX's Resize operator (opset 19 and later). A resized axis is a linear map of the original
one, so a matrix says all of it; computed in double precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from graphkit.ir.symbols import equal, shape_of
from graphkit.limits import check_elements
from graphkit.ops.spec import Refusal, decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder

    Array = npt.NDArray[np.float64]
    Builder = MxBuilder | TorchBuilder | GradientBuilder
    T = TypeVar("T")

__all__ = ["UNKNOWN", "Axis", "Change", "Method", "changed_axes", "matrices_of", "method_of", "naming_sizes", "repeats"]

UNKNOWN = "the sizes of its input or output are not known"


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis is resized.

    Attributes:
        before: Its size before.
        after: Its size after.
        scale: Elements after for each element before, as it was given; need not be ``after / before``.
        start: Where the crop of ``tf_crop_and_resize`` begins, as a fraction of the axis.
        end: Where it ends.
    """

    before: int
    after: int
    scale: float
    start: float = 0.0
    end: float = 1.0

    @property
    def exact(self) -> bool:
        """Whether the scale is the ratio of the sizes, as far as float32 tells."""
        return bool(np.float32(self.scale) == np.float32(self.after / self.before))


@dataclass(frozen=True, slots=True)
class Method:
    """How elements are interpolated; the attributes are those of ONNX's Resize.

    Attributes:
        mode: ``nearest``, ``linear`` or ``cubic``.
        coordinates: ``coordinate_transformation_mode``.
        rounding: ``nearest_mode``.
        cubic: ``cubic_coeff_a``.
        exclude_outside: Whether what lies outside the axis has no weight, rather than that of the edge.
        antialias: Whether the filter is widened where the axis shrinks.
    """

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False

    def positions(self, axis: Axis) -> Array:
        """Where each element after lies among those before.

        Raises:
            ValueError: The coordinate transformation is none of ONNX's.
        """
        check_elements(axis.after)
        after = np.arange(axis.after, dtype=np.float64)
        last = axis.before - 1
        if self.coordinates == "align_corners":
            return after * last / max(axis.after - 1, 1)
        if self.coordinates == "tf_crop_and_resize":
            if axis.after == 1:
                return np.full(1, (axis.start + axis.end) * last / 2)
            return axis.start * last + after * (axis.end - axis.start) * last / (axis.after - 1)
        if self.coordinates == "asymmetric":
            return self._unscaled(after, axis)
        if self.coordinates == "pytorch_half_pixel" and axis.after == 1:
            return np.zeros(1)
        if self.coordinates in ("half_pixel", "pytorch_half_pixel"):
            return self._unscaled(after + 0.5, axis) - 0.5
        if self.coordinates == "half_pixel_symmetric":
            wanted = axis.after if axis.exact else axis.scale * axis.before
            centre = axis.before / 2 * (1 - axis.after / wanted)
            return centre + self._unscaled(after + 0.5, axis) - 0.5
        raise ValueError(f"coordinate_transformation_mode={self.coordinates} is none of ONNX's")

    @staticmethod
    def _unscaled(after: Array, axis: Axis) -> Array:
        return after * axis.before / axis.after if axis.exact else after / axis.scale

    def indices(self, axis: Axis) -> npt.NDArray[np.int64]:
        """Which element before each element after is, for ``nearest``.

        Raises:
            ValueError: The rounding is none of ONNX's.
        """
        position = self.positions(axis)
        if self.rounding == "round_prefer_floor":
            found = np.ceil(position - 0.5)
        elif self.rounding == "round_prefer_ceil":
            found = np.floor(position + 0.5)
        elif self.rounding == "floor":
            found = np.floor(position)
        elif self.rounding == "ceil":
            found = np.ceil(position)
        else:
            raise ValueError(f"nearest_mode={self.rounding} is none of ONNX's")
        clipped: npt.NDArray[np.int64] = np.clip(found, 0, axis.before - 1).astype(np.int64)
        return clipped

    def matrix(self, axis: Axis) -> Array:
        """Weights as (elements after, elements before), for ``linear`` and ``cubic``."""
        position = self.positions(axis)[:, None]
        shrink = min(axis.scale, 1.0) if self.antialias else 1.0
        reach = int(np.ceil((1 if self.mode == "linear" else 2) / shrink))
        check_elements(axis.after * max(axis.before, 2 * reach + 1))
        taps = np.floor(position) + np.arange(-reach, reach + 1)
        weights = self._kernel((taps - position) * shrink)
        inside = (taps >= 0) & (taps < axis.before)
        if self.exclude_outside:
            weights = np.where(inside, weights, 0.0)
        if self.exclude_outside or self.antialias:
            total = weights.sum(axis=1, keepdims=True)
            weights /= np.where(total == 0, 1.0, total)
        result = np.zeros((axis.after, axis.before))
        rows = np.broadcast_to(np.arange(axis.after)[:, None], taps.shape)
        np.add.at(result, (rows, np.clip(taps, 0, axis.before - 1).astype(np.int64)), weights)
        return result

    def _kernel(self, distance: npt.NDArray[Any]) -> Array:
        """The triangle, or the cubic of Keys with parameter a."""
        far = np.abs(distance)
        if self.mode == "linear":
            triangle: Array = np.maximum(1.0 - far, 0.0)
            return triangle
        a = self.cubic
        near = ((a + 2) * far - (a + 3)) * far * far + 1
        tail = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a
        return np.where(far <= 1, near, np.where(far < 2, tail, 0.0))

    def outside(self, axis: Axis) -> npt.NDArray[np.bool_]:
        """Which elements after lie outside the axis and take the extrapolation value."""
        if self.coordinates != "tf_crop_and_resize":
            return np.zeros(axis.after, bool)
        position = self.positions(axis)
        found: npt.NDArray[np.bool_] = (position < 0) | (position > axis.before - 1)
        return found


@dataclass(frozen=True, slots=True)
class Change:
    """One axis that is resized; ``axis`` is None where a size is not known, ``scale`` where sizes alone are given."""

    number: int
    axis: Axis | None
    scale: float | None


def _given(b: Builder, node: ir.Node, position: int) -> npt.NDArray[Any] | Refusal | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    if value is None or (value.shape is not None and b.shape(value) == (0,)):
        return None
    array = b.value(value)
    if array is None:
        return Refusal(UNKNOWN)
    return array if array.size else None


def _sizes(before: Sequence[Dim], wanted: Sequence[int], policy: str) -> tuple[list[int], list[float]] | Refusal:
    """Sizes after, and scales, under an aspect ratio policy."""
    known = [dim for dim in before if isinstance(dim, int)]
    if len(known) != len(before):
        return Refusal(UNKNOWN)
    ratios = [after / dim for after, dim in zip(wanted, known, strict=True)]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [int(scale * dim + 0.5) for dim in known], [scale] * len(known)


def changed_axes(b: Builder, node: ir.Node, method: Method) -> list[Change] | Refusal:
    """The axes that a Resize node changes."""
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    shape = b.shape(source)
    rank = len(shape)
    numbers = [axis % rank for axis in node.attributes.get_ints("axes", list(range(rank)))]
    roi: npt.NDArray[Any] | Refusal | None = None
    if method.coordinates == "tf_crop_and_resize":
        roi = _given(b, node, 1)
    scales, sizes = _given(b, node, 2), _given(b, node, 3)
    if isinstance(roi, Refusal) or isinstance(scales, Refusal):
        reason = "its roi or scales are computed while it runs; they must be constants of the model"
        return Refusal(reason, needs=node.inputs[1:])
    after: list[Dim] = [None] * rank if result.shape is None else list(b.shape(result))
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch" and scales is None:
        if not isinstance(sizes, np.ndarray):
            return Refusal(UNKNOWN)
        fitted = _sizes([shape[number] for number in numbers], [int(size) for size in sizes], policy)
        if isinstance(fitted, Refusal):
            return fitted
        scales = np.asarray(fitted[1])
        for number, size in zip(numbers, fitted[0], strict=True):
            after[number] = size
    elif isinstance(sizes, np.ndarray):
        for number, size in zip(numbers, sizes.tolist(), strict=True):
            after[number] = size
    exact = method.mode != "nearest" and b.dtype(source) == np.float64
    found = []
    for place, number in enumerate(numbers):
        scale = None if scales is None else float(scales[place] if exact else str(scales[place]))
        start, end = (0.0, 1.0) if roi is None else (float(roi[place]), float(roi[place + len(numbers)]))
        old, new = shape[number], after[number]
        whole = (start, end) == (0.0, 1.0)
        if whole and (scale == 1.0 or (scale is None and old is not None and old == new)):
            continue
        if isinstance(old, int) and scale is not None and not isinstance(new, int):
            new = math.floor(old * float(np.float32(scale)))
        axis = None
        if isinstance(old, int) and isinstance(new, int):
            axis = Axis(old, new, new / old if scale is None else scale, start, end)
        found.append(Change(number, axis, scale))
    return found


def naming_sizes(result: T | Refusal, node: ir.Node) -> T | Refusal:
    """The result of writing a Resize; a refusal for want of sizes says which inputs give them."""
    if not isinstance(result, Refusal) or result.reason != UNKNOWN:
        return result
    before, after = (None if value is None else shape_of(value) for value in (node.inputs[0], node.outputs[0]))
    if before is None or after is None or None in (*before, *after):
        return Refusal(UNKNOWN, needs=node.inputs[1:], sizes=[*node.inputs[:1], *node.outputs])
    resized = [pair for pair in zip(before, after, strict=True) if not equal(*pair)]
    return Refusal(UNKNOWN, needs=node.inputs[1:], sizes=[str(size) for pair in resized for size in pair])


def method_of(node: ir.Node) -> Method:
    """How a Resize node interpolates."""
    return Method(
        node.attributes.get_string("mode", "nearest"),
        node.attributes.get_string("coordinate_transformation_mode", "half_pixel"),
        node.attributes.get_string("nearest_mode", "round_prefer_floor"),
        decimal(node.attributes.get_float("cubic_coeff_a", -0.75)),
        bool(node.attributes.get_int("exclude_outside", 0)),
        bool(node.attributes.get_int("antialias", 0)),
    )


def repeats(method: Method, change: Change) -> int | None:
    """How often every element is repeated, where that is all that happens along the axis."""
    scale = change.scale
    if change.axis is not None:
        scale = change.axis.after / change.axis.before
    if scale is None or scale != int(scale) or method.coordinates == "tf_crop_and_resize":
        return None
    times = int(scale)
    if change.axis is None and method.coordinates == "align_corners":
        return None
    axis = change.axis or Axis(8, 8 * times, float(times))
    expected = np.repeat(np.arange(axis.before), times)
    return times if np.array_equal(method.indices(axis), expected) else None


def matrices_of(
    rank: int, method: Method, changes: Sequence[Change]
) -> tuple[list[npt.NDArray[Any]], npt.NDArray[np.bool_]] | Refusal:
    """Weights for each axis as (after, before), and a mask of what lies outside that broadcasts over the result."""
    weights, beyond = [], np.zeros((1,) * rank, bool)
    for change in changes:
        if change.axis is None:
            return Refusal(UNKNOWN)
        outside = method.outside(change.axis)
        beyond = beyond | outside.reshape([-1 if axis == change.number else 1 for axis in range(rank)])
        weights.append(np.where(outside[:, None], 0.0, method.matrix(change.axis)))
    return weights, beyond
