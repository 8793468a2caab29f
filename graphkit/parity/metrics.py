"""How far two arrays are apart, and whether that is within a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphkit.report.report import Check

if TYPE_CHECKING:
    import numpy.typing as npt

    from graphkit.parity.tolerance import Bound
    from graphkit.report.report import Kind

__all__ = ["Distance", "compare", "distance", "magnitude"]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far an array is from a reference of the same shape, over the elements that are finite in both.

    Attributes:
        max_abs: Largest absolute difference.
        peak: Largest magnitude of the reference.
        l2: l2 norm of the difference over that of the reference; infinite for a zero reference that is not met.
        cosine: Cosine of the angle between the two; 1 for two zeros, 0 for one.
        finite: Number of elements that are finite in both.
        clashes: Number of elements that are NaN, +inf or -inf on one side and something else on the other.
    """

    max_abs: float
    peak: float
    l2: float
    cosine: float
    finite: int
    clashes: int


def magnitude(array: npt.NDArray[np.generic]) -> float:
    """Largest magnitude among the finite elements, 0 where there is none."""
    wide = _wide(array)
    return float(np.max(np.abs(wide), initial=0.0, where=np.isfinite(wide)))


def distance(reference: npt.NDArray[np.generic], found: npt.NDArray[np.generic]) -> Distance:
    """Measure two arrays of one shape, in double precision whatever their element type."""
    left, right = _wide(reference), _wide(found)
    both = np.isfinite(left) & np.isfinite(right)
    same = both | (left == right) | (np.isnan(left) & np.isnan(right))
    if not both.all():
        left, right = left[both], right[both]
    peak = float(np.max(np.abs(left), initial=0.0))
    other = float(np.max(np.abs(right), initial=0.0))
    difference = np.abs(left - right)
    largest = float(np.max(difference, initial=0.0))
    return Distance(
        max_abs=largest,
        peak=peak,
        l2=_norm(difference, largest) / _norm(left, peak) if peak else (np.inf if largest else 0.0),
        cosine=_cosine(left, right, peak, other),
        finite=int(np.count_nonzero(both)),
        clashes=int(np.count_nonzero(~same)),
    )


def compare(
    kind: Kind,
    name: str,
    between: tuple[str, str],
    reference: npt.NDArray[np.generic],
    found: npt.NDArray[np.generic],
    bound: Bound,
) -> Check:
    """Judge one tensor: its shape and dtype first, then which elements are finite, then the values.

    Integers, booleans and strings must be equal. A reference without a finite element proves nothing and fails.

    Args:
        kind: What the tensor is.
        name: Its IR value name.
        between: Names of the reference's runtime and of the runtime under test.
        reference: Expected array.
        found: Array under test.
        bound: How far apart they may be.
    """
    left, right = between
    shape, dtype = tuple(reference.shape), str(reference.dtype)
    if found.shape != reference.shape or found.dtype != reference.dtype:
        told = f"{right} gives {_described(found)}, {left} {_described(reference)}"
        return Check(kind, name, left, right, "fail", size=reference.size, shape=shape, dtype=dtype, note=told)
    if reference.dtype.kind in "OSU":
        bad = int(np.count_nonzero(reference != found))
        return Check(
            kind, name, left, right, "fail" if bad else "pass", bad=bad, size=reference.size, shape=shape, dtype=dtype
        )
    exact = reference.dtype.kind in "biu"
    gap = distance(reference, found)
    tol = 0.0 if exact else bound.tol
    scale = bound.scale or gap.peak or 1.0
    beyond = reference != found if exact else _differences(reference, found) > tol * scale
    bad = int(np.count_nonzero(beyond)) + gap.clashes
    notes = [bound.note] if bound.note else []
    blind = reference.size - gap.finite - gap.clashes
    if gap.clashes:
        notes.append(f"{gap.clashes} of {reference.size} elements are NaN or infinite on one side only")
    if blind:
        notes.append(f"{blind} of {reference.size} elements are NaN or infinite on both sides")
    void = reference.size > 0 and gap.finite == 0
    return Check(
        kind,
        name,
        left,
        right,
        "fail" if bad or void else "pass",
        max_abs=gap.max_abs,
        peak=gap.peak,
        error=gap.max_abs / scale,
        l2=gap.l2,
        cosine=gap.cosine,
        bad=bad,
        size=reference.size,
        shape=shape,
        dtype=dtype,
        tol=tol,
        floor=0.0 if exact else bound.floor,
        note="; ".join(notes),
    )


def _wide(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """In double precision; complex numbers as pairs."""
    if array.dtype.kind == "c":
        return np.ascontiguousarray(array.astype(np.complex128)).reshape(-1).view(np.float64)
    return np.asarray(array).astype(np.float64, copy=False)


def _differences(reference: npt.NDArray[np.generic], found: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    left, right = _wide(reference), _wide(found)
    both = np.isfinite(left) & np.isfinite(right)
    difference: npt.NDArray[np.float64] = np.subtract(left, right, out=np.zeros_like(left), where=both)
    return np.abs(difference, out=difference)


def _norm(array: npt.NDArray[np.float64], largest: float) -> float:
    """The l2 norm, without overflow or underflow of the squares."""
    return largest * float(np.linalg.norm(array.ravel() / largest)) if largest else 0.0


def _cosine(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64], peak: float, other: float) -> float:
    if not peak or not other:
        return 1.0 if peak == other else 0.0
    one, two = left.ravel() / peak, right.ravel() / other
    return float(np.clip(one @ two / (np.linalg.norm(one) * np.linalg.norm(two)), -1.0, 1.0))


def _described(array: npt.NDArray[np.generic]) -> str:
    return f"{array.dtype} of shape {'×'.join(map(str, array.shape)) or 'scalar'}"
