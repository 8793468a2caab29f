"""How far two arrays are apart, and whether that is within a bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.report.report import DECADES, Check

if TYPE_CHECKING:
    import numpy.typing as npt

    from graphkit.parity.tolerance import Bound
    from graphkit.report.report import Kind

    Mask = npt.NDArray[np.bool_]
    Wide = npt.NDArray[np.float64]

__all__ = ["Distance", "compare", "distance", "magnitude"]

_CHUNK: Final = 2**17
"""Elements measured at a time, in double precision, so that they stay in a processor's cache."""


@dataclass(slots=True)
class Distance:
    """How far an array is from a reference of the same shape, over the elements that are finite in both.

    Attributes:
        size: Number of elements.
        scale: What differences are measured against: the largest magnitude of the reference, unless given.
        max_abs: Largest absolute difference.
        max_rel: Largest difference of an element over the magnitude of its reference, where that is not zero.
        ulps: Largest number of representable numbers from an element to its reference; 0 for what is not float.
        peak: Largest magnitude of the reference.
        l2: l2 norm of the difference over that of the reference; infinite for a zero reference that is not met.
        cosine: Cosine of the angle between the two; 1 for two zeros, 0 for one.
        finite: Number of elements that are finite in both.
        clashes: Number of elements that are NaN, +inf or -inf on one side and something else on the other.
        nonfinite: Number of elements that are NaN or infinite in the reference, and in the array.
        bad: Number of elements whose difference is beyond the bound, clashes among them.
        first: Index of the first of these in the flattened array; None where there is none.
        histogram: Number of elements by their share of the scale; see :class:`graphkit.report.report.Check`.
    """

    size: int
    scale: float
    peak: float
    max_abs: float = 0.0
    max_rel: float = 0.0
    ulps: float = 0.0
    l2: float = 0.0
    cosine: float = 1.0
    finite: int = 0
    clashes: int = 0
    nonfinite: tuple[int, int] = (0, 0)
    bad: int = 0
    first: int | None = None
    histogram: tuple[int, ...] = field(default=(0,) * (DECADES[1] - DECADES[0] + 3))


def magnitude(array: npt.NDArray[np.generic]) -> float:
    """Largest magnitude among the finite elements, 0 where there is none."""
    if array.dtype.kind == "f" and array.size:
        ends: tuple[float, float] = array.max().item(), array.min().item()
        if all(map(math.isfinite, ends)):
            return max(abs(end) for end in ends)
    wide = _wide(array)
    return float(np.max(np.abs(wide), initial=0.0, where=np.isfinite(wide)))


def distance(
    reference: npt.NDArray[np.generic], found: npt.NDArray[np.generic], tol: float = 0.0, scale: float = 0.0
) -> Distance:
    """Measure two arrays of one shape, in double precision whatever their element type.

    Args:
        reference: Expected array.
        found: Array under test.
        tol: Bound on a difference over the scale; integers and booleans have to be equal anyway.
        scale: What differences are measured against; 0 for the largest magnitude of the reference.
    """
    peak, other = magnitude(reference), magnitude(found)
    gap = Distance(reference.size, scale or peak or 1.0, peak)
    sums = np.zeros(4)  # of left², right², left · right and difference², scaled so that none overflows
    counts = np.zeros(len(gap.histogram), np.int64)
    left, right = np.ascontiguousarray(reference).ravel(), np.ascontiguousarray(found).ravel()
    for start in range(0, left.size, _CHUNK):
        here = slice(start, start + _CHUNK)
        _measure(gap, start, left[here], right[here], tol, (peak or 1.0, other or 1.0), sums, counts)
    gap.histogram = tuple(int(count) for count in counts)
    if peak and other:
        gap.cosine = float(np.clip(sums[2] / math.sqrt(sums[0] * sums[1] or 1.0), -1.0, 1.0))
    else:
        gap.cosine = 1.0 if peak == other else 0.0
    gap.l2 = math.sqrt(sums[3] / sums[0]) if sums[0] else (math.inf if gap.max_abs else 0.0)
    return gap


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
    tol = 0.0 if exact else bound.tol
    gap = distance(reference, found, tol, bound.scale)
    at = None if gap.first is None else tuple(int(i) for i in np.unravel_index(gap.first, shape))
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
        "fail" if gap.bad or void else "pass",
        error=gap.max_abs / gap.scale,
        max_abs=gap.max_abs,
        max_rel=gap.max_rel,
        ulps=gap.ulps,
        peak=gap.peak,
        l2=gap.l2,
        cosine=gap.cosine,
        bad=gap.bad,
        size=reference.size,
        nonfinite=gap.nonfinite,
        first=at,
        values=None if at is None else (_number(reference[at]), _number(found[at])),
        histogram=gap.histogram,
        shape=shape,
        dtype=dtype,
        tol=tol,
        floor=0.0 if exact else bound.floor,
        note="; ".join(notes),
    )


def _measure(
    gap: Distance,
    start: int,
    reference: npt.NDArray[np.generic],
    found: npt.NDArray[np.generic],
    tol: float,
    peaks: tuple[float, float],
    sums: Wide,
    counts: npt.NDArray[np.int64],
) -> None:
    """Add what a stretch of two flat arrays, from an index on, makes of their distance."""
    left, right = _wide(reference), _wide(found)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(left - right)
    width = left.size // reference.size  # two for complex numbers
    clashing: Mask | None = None
    if not np.isfinite(difference).all():
        finite = np.isfinite(left), np.isfinite(right)
        both = finite[0] & finite[1]
        clashing = _elements(~(both | (left == right) | (np.isnan(left) & np.isnan(right))), width, np.any)
        lost = [left.size // width - int(np.count_nonzero(_elements(one, width, np.all))) for one in finite]
        gap.nonfinite = gap.nonfinite[0] + lost[0], gap.nonfinite[1] + lost[1]
        gap.clashes += int(np.count_nonzero(clashing))
        usable = _elements(both, width, np.all)
        gap.finite += int(np.count_nonzero(usable))
        left, right = np.where(both, left, 0.0), np.where(both, right, 0.0)
        difference = np.where(both, difference, 0.0)
        shares = difference[both] / gap.scale
        gap.ulps = max(gap.ulps, _ulps(reference[usable], found[usable]))
    else:
        gap.finite += reference.size
        shares = difference / gap.scale
    beyond = _elements(difference > tol * gap.scale, width, np.any)
    if reference.dtype.kind in "biu":
        beyond = reference != found  # integers beyond 2^53 are not all floats
    if clashing is not None:
        beyond = beyond | clashing
    if gap.first is None and beyond.any():
        gap.first = start + int(np.argmax(beyond))
    gap.bad += int(np.count_nonzero(beyond))
    _count(shares, counts)
    one, two = left / peaks[0], right / peaks[1]
    sums += np.array([one @ one, two @ two, one @ two, 0.0])
    if largest := float(np.max(difference, initial=0.0)):
        gap.max_abs = max(gap.max_abs, largest)
        size = np.abs(left)
        share = np.divide(difference, size, out=np.zeros_like(size), where=size > 0)
        gap.max_rel = max(gap.max_rel, float(np.max(share, initial=0.0)))
        apart = difference / peaks[0]
        with np.errstate(over="ignore"):
            sums[3] += apart @ apart
        if clashing is None:
            gap.ulps = max(gap.ulps, _ulps(reference, found))


def _elements(mask: Mask, width: int, joined: Any) -> Mask:
    """A mask of elements from one of their parts."""
    return mask if width == 1 else joined(mask.reshape(-1, width), axis=1)


def _count(shares: Wide, counts: npt.NDArray[np.int64]) -> None:
    """Add elements by decade to a histogram."""
    first, last = DECADES
    differing = shares[shares > 0]
    counts[0] += shares.size - differing.size
    decade = np.floor(np.log10(np.minimum(differing, np.finfo(np.float64).max))).astype(np.int64)
    places = np.clip(decade, first - 1, last) - (first - 1)
    counts[1:] += np.bincount(places, minlength=last - first + 2)


def _ulps(reference: npt.NDArray[np.generic], found: npt.NDArray[np.generic]) -> float:
    """The representable numbers between two floats are as many as the integers between their bits, put in order."""
    if reference.dtype.kind not in "fV":
        return 0.0
    kind = np.dtype(f"u{reference.dtype.itemsize}")
    top = kind.type(1 << (8 * kind.itemsize - 1))
    ordered = []
    for array in (reference, found):
        bits = np.add(array, array.dtype.type(0)).view(kind)  # + 0 makes -0 a 0
        ordered.append(np.where(bits & top, top - (bits ^ top), bits | top))
    one, two = ordered
    return float(np.max(np.maximum(one, two) - np.minimum(one, two), initial=0))


def _wide(array: npt.NDArray[np.generic]) -> Wide:
    """In double precision; complex numbers as pairs."""
    if array.dtype.kind == "c":
        return np.ascontiguousarray(array.astype(np.complex128)).reshape(-1).view(np.float64)
    return np.asarray(array).astype(np.float64, copy=False)


def _number(element: Any) -> float:
    return float(abs(element)) if np.iscomplexobj(element) else float(element)


def _described(array: npt.NDArray[np.generic]) -> str:
    return f"{array.dtype} of shape {'×'.join(map(str, array.shape)) or 'scalar'}"
