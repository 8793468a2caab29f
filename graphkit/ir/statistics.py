"""What numbers a tensor holds, told without loading it: mean, spread, extremes, zeros, NaNs and a histogram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.files import release

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import onnx_ir as ir

    Array = npt.NDArray[Any]

__all__ = ["Histogram", "Statistics", "statistics"]

_BLOCK: Final = 2**17
"""Elements looked at together, in double precision."""
_HELD: Final = 2**24
"""Bytes of a mapped file after which its memory is given back."""
_RUN: Final = 64
"""Elements that lie together in a sample, so that it costs fewer pages of a file than elements."""
_RUNS: Final = 256
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_SAFE: Final = 500
"""Binary exponent up to which squares of doubles neither overflow nor vanish."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many elements lie where.

    Attributes:
        low: Lower end of the first bin, which is the smallest finite element.
        high: Upper end of the last bin, which is the largest finite element and belongs to it. Where all elements are
            equal it is ``low``, and the middle bin holds them all.
        counts: Elements in each of the bins, which are equally wide.
    """

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What numbers a tensor holds. A complex tensor is told by the magnitudes of its elements.

    Attributes:
        count: Elements of the tensor.
        counted: Elements that were looked at; all else is about them. 0 for strings, which are no numbers.
        mean: Mean of the finite ones, None where there is none; and so are the next three.
        std: Their standard deviation, that of the population: of n numbers, not of n - 1.
        minimum: The smallest finite one; an int for integers and booleans.
        maximum: The largest finite one.
        zeros: How many are zero, whatever its sign.
        nans: How many are NaN.
        infinities: How many are infinite.
        histogram: Where the finite ones lie, None where there is none or no histogram was asked for.
    """

    count: int
    counted: int
    mean: float | None = None
    std: float | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    zeros: int = 0
    nans: int = 0
    infinities: int = 0
    histogram: Histogram | None = None


def statistics(tensor: ir.TensorProtocol | Array, *, bins: int = 32, limit: int | None = None) -> Statistics:
    """Look at a tensor in blocks, twice, and add up in double precision.

    Of a tensor that is mapped from a file some 20 MB are in memory at a time, however large it is. Means and deviations
    of blocks are combined as Chan, Golub and LeVeque do ("Updating formulae and a pairwise algorithm for computing
    sample variances", 1979), on numbers scaled by a power of two, so that no square overflows.

    Args:
        tensor: Of any element type: floats down to 4 bits, integers, booleans, complex numbers; empty ones too.
        bins: Bins of the histogram; 0 for none.
        limit: Elements to look at at most, spread evenly over the tensor in a way that is always the same; None for
            all of them.

    Raises:
        OSError: The file of an external tensor cannot be read.
        ValueError: It does not hold what the tensor says.
    """
    array: Array = tensor if isinstance(tensor, np.ndarray) else np.asarray(tensor.numpy())
    if array.dtype.kind in "OSU":
        return Statistics(array.size, 0)
    extent = _Extent()
    for block in _blocks(array, limit):
        extent.add(block)
    found = Statistics(
        count=array.size, counted=extent.counted, zeros=extent.zeros, nans=extent.nans, infinities=extent.infinities
    )
    if extent.low is None or extent.high is None:
        return found
    shape = _Shape(extent.low, extent.high, bins)
    for block in _blocks(array, limit):
        shape.add(block, extent.nans + extent.infinities > 0)
    return Statistics(
        count=found.count,
        counted=found.counted,
        mean=shape.mean,
        std=shape.std,
        minimum=extent.low,
        maximum=extent.high,
        zeros=found.zeros,
        nans=found.nans,
        infinities=found.infinities,
        histogram=shape.histogram,
    )


def _blocks(array: Array, limit: int | None) -> Iterator[Array]:
    """The elements in one-dimensional pieces of numbers that numpy computes with; complex ones as magnitudes."""
    held = 0
    for block in _all(array) if limit is None or limit >= array.size else _sample(array, max(limit, 0)):
        yield _plain(block)
        held += block.nbytes
        if held >= _HELD:
            release(array)
            held = 0
    release(array)


def _all(array: Array) -> Iterator[Array]:
    # In the order of memory; pieces of an array that is contiguous and aligned are views.
    yield from np.nditer(array, flags=["external_loop", "buffered", "zerosize_ok"], buffersize=_BLOCK)


def _sample(array: Array, limit: int) -> Iterator[Array]:
    """Runs of elements, one from each of as many stretches of equal length.

    Where in its stretch a run lies follows the golden ratio, so that it keeps no step with the rows of the tensor.
    """
    if limit == 0:
        return
    run = min(max(limit // _RUNS, 1), _RUN)
    runs = limit // run
    for first in range(0, runs, max(_BLOCK // run, 1)):
        numbers = np.arange(first, min(first + max(_BLOCK // run, 1), runs))
        starts = numbers * array.size // runs
        room = (numbers + 1) * array.size // runs - starts - run
        starts += ((numbers * _GOLDEN) % 1 * (room + 1)).astype(np.int64)
        places = (starts[:, None] + np.arange(run)).reshape(-1)
        yield array[np.unravel_index(places, array.shape)]


def _plain(block: Array) -> Array:
    """Elements as integers or doubles, which numpy computes with."""
    kind = block.dtype
    if kind.kind == "c":
        return np.abs(block.astype(np.complex128))
    if kind.kind in "iu" or kind == np.float64:
        return block
    if kind.name.startswith(("bool", "int", "uint")):  # and integers of 2 and 4 bits
        return block.astype(np.int8)
    return block.astype(np.float64)


class _Extent:
    """First look: how many elements there are, how many are special, and between which two the finite ones lie."""

    def __init__(self) -> None:
        self.counted = self.zeros = self.nans = self.infinities = 0
        self.low: int | float | None = None
        self.high: int | float | None = None

    def add(self, block: Array) -> None:
        self.counted += block.size
        self.zeros += block.size - int(np.count_nonzero(block))
        if block.dtype.kind == "f" and not np.isfinite((block.min(initial=0), block.max(initial=0))).all():
            nans = int(np.isnan(block).sum())
            finite = block[np.isfinite(block)]
            self.nans += nans
            self.infinities += block.size - nans - finite.size
            block = finite
        if block.size:
            low, high = block.min().item(), block.max().item()  # Python's numbers, which hold every int64
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)


class _Shape:
    """Second look: how the finite elements are spread between the smallest and the largest."""

    def __init__(self, low: float, high: float, bins: int) -> None:
        self._low, self._high = float(low), float(high)
        exponent = math.frexp(max(abs(self._low), abs(self._high)))[1]
        self._shift = -exponent if abs(exponent) > _SAFE else 0
        self._start, self._end = math.ldexp(self._low, self._shift), math.ldexp(self._high, self._shift)
        self._count = 0
        self._mean = self._square = 0.0
        self._counts = np.zeros(bins, np.int64)

    def add(self, block: Array, has_special: bool) -> None:
        numbers = block.astype(np.float64)
        if has_special:
            numbers = numbers[np.isfinite(numbers)]
        if not numbers.size:
            return
        if self._shift:
            numbers = np.ldexp(numbers, self._shift)
        self._count_in_bins(numbers)
        mean = float(numbers.mean())
        numbers -= mean
        square = float(np.square(numbers, out=numbers).sum())  # a dot product adds in an order that threads decide
        total = self._count + numbers.size
        gap = mean - self._mean
        self._mean += gap * numbers.size / total
        self._square += square + gap * gap * self._count * numbers.size / total
        self._count = total

    def _count_in_bins(self, numbers: npt.NDArray[np.float64]) -> None:
        bins = self._counts.size
        if not bins:
            return
        if self._start == self._end:
            self._counts[bins // 2] += numbers.size
            return
        places = ((numbers - self._start) * (bins / (self._end - self._start))).astype(np.int64)
        self._counts += np.bincount(np.minimum(places, bins - 1), minlength=bins)

    @property
    def mean(self) -> float:
        return min(max(math.ldexp(self._mean, -self._shift), self._low), self._high)

    @property
    def std(self) -> float:
        return math.ldexp(math.sqrt(self._square / self._count), -self._shift)

    @property
    def histogram(self) -> Histogram | None:
        return Histogram(self._low, self._high, tuple(map(int, self._counts))) if self._counts.size else None
