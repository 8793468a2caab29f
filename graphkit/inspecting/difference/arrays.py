"""Whether stored arrays are equal, and how far they are from each other; read in pieces, as they may be gigabytes."""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.files import release
from graphkit.inspecting.difference.difference import Numbers
from graphkit.ir.describe import constant_of
from graphkit.ir.outline import fingerprint

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import numpy.typing as npt
    import onnx_ir as ir

__all__ = ["Arrays", "distance", "equal", "layout"]

_PIECE: Final = 1 << 20
"""Elements that are compared at a time."""
_KEPT: Final = 16
"""Pieces of mapped files that are kept in memory."""
_REARRANGED: Final = 1 << 26
"""Elements up to which arrays are looked at in other orders."""


class Arrays:
    """The stored arrays of two models; what was found out of one, or of a pair, is kept."""

    def __init__(self) -> None:
        self._prints: dict[ir.Value, Hashable] = {}
        self._equal: dict[tuple[ir.Value, ir.Value], bool] = {}

    def array(self, value: ir.Value) -> npt.NDArray[Any] | None:
        """The elements of a stored value, mapped where its file is; None where there is no data."""
        tensor = constant_of(value)
        if tensor is None:
            return None
        try:
            return np.asarray(tensor.numpy())
        except (OSError, ValueError):
            return None

    def print(self, value: ir.Value) -> Hashable:
        """The :func:`~graphkit.ir.outline.fingerprint` of a stored value."""
        if value not in self._prints:
            self._prints[value] = fingerprint(value)
        return self._prints[value]

    def equal(self, one: ir.Value, two: ir.Value) -> bool:
        """Whether two stored values have equal element types, shapes and elements; without data by their names."""
        key = one, two
        if key not in self._equal:
            self._equal[key] = self._compared(one, two)
        return self._equal[key]

    def _compared(self, one: ir.Value, two: ir.Value) -> bool:
        left, right = self.array(one), self.array(two)
        if left is None or right is None:
            known = one.dtype == two.dtype and one.shape == two.shape
            return left is None and right is None and known and one.name == two.name
        return self.print(one) == self.print(two) and equal(left, right)


def equal(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> bool:
    """Whether two arrays have one element type and shape and equal elements, NaN being equal to NaN."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    return all(not np.any(_unequal(one, two)) for one, two in _pieces(left, right))


def distance(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Numbers | None:
    """How far two arrays of one shape are from each other; None for text and for arrays of different shapes."""
    if left.shape != right.shape or left.dtype.kind in "OSU" or right.dtype.kind in "OSU":
        return None
    largest = scale = squares = weight = 0.0
    differing = 0
    for one, two in _pieces(left, right):
        differing += int(np.count_nonzero(_unequal(one, two)))
        with np.errstate(all="ignore"):
            old, new = _wide(one), _wide(two)
            gap = np.abs(old - new)
            gap[np.asarray(old == new)] = 0  # equal infinities
            finite = np.isfinite(gap)
            if np.any(np.isinf(gap)):
                largest = math.inf
            largest = max(largest, float(gap[finite].max(initial=0)))
            size = np.abs(old)
            scale = max(scale, float(size[np.isfinite(size)].max(initial=0)))
            squares += float(np.sum(gap[finite] ** 2))
            weight += float(np.sum(size[np.isfinite(size)] ** 2))
    return Numbers(
        max_abs=largest,
        relative=largest / scale if scale else (math.inf if largest else 0.0),
        l2=math.sqrt(squares / weight) if weight else (math.inf if squares else 0.0),
        differing=differing,
        elements=int(left.size),
    )


def layout(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> str:
    """How one array is another rearranged; empty where it is not by moving axes or by another shape."""
    if old.dtype != new.dtype or old.size != new.size or old.size > _REARRANGED:
        return ""
    if 2 <= old.ndim == new.ndim <= 4:
        for order in permutations(range(old.ndim)):
            fits = tuple(old.shape[axis] for axis in order) == new.shape and order != tuple(range(old.ndim))
            if fits and _begins(old.transpose(order), new) and equal(np.ascontiguousarray(old.transpose(order)), new):
                return "transposed" if old.ndim == 2 else f"axes in the order {', '.join(map(str, order))}"
    return "reshaped" if old.shape != new.shape and equal(old.reshape(-1), new.reshape(-1)) else ""


def _begins(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> bool:
    """Whether the first rows of two arrays may be equal."""
    where = (0,) * (one.ndim - 1)
    return one.size == 0 or equal(one[where].copy(), two[where].copy())


def _pieces(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    one, two = left.reshape(-1), right.reshape(-1)
    for number, start in enumerate(range(0, one.size, _PIECE), 1):
        yield one[start : start + _PIECE], two[start : start + _PIECE]
        if number % _KEPT == 0:
            release(left)
            release(right)


def _wide(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _unequal(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    unequal = np.asarray(one != two)
    if one.dtype.kind not in "OSUbiu" and np.any(unequal):
        unequal &= ~(np.asarray(one != one) & np.asarray(two != two))  # NaN is what differs from itself
    return unequal
