"""Where the elements of large arrays go: their numbers, as runs of consecutive ones rather than one by one."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np

from graphkit.ops.layout import shapes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from graphkit.ops.layout import Layout

    Numbers = npt.NDArray[np.int64]

__all__ = ["Runs"]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The numbers of an array's elements, in the array's order, as runs of consecutive numbers.

    Attributes:
        starts: First number of each run, (runs,).
        sizes: How many numbers it has, (runs,); none is empty, and none goes on where the one before it ends.
    """

    starts: Numbers
    sizes: Numbers

    @classmethod
    def of(cls, starts: npt.ArrayLike, sizes: npt.ArrayLike = 1) -> Runs:
        """Runs one after the other, those that go on joined to one; single numbers where no sizes are given."""
        first = np.asarray(starts, np.int64).reshape(-1)
        length = np.broadcast_to(np.asarray(sizes, np.int64), first.shape)
        first, length = first[length > 0], length[length > 0]
        begins = np.flatnonzero(np.r_[True, first[1:] != first[:-1] + length[:-1]][: first.size])
        return cls(first[begins], np.add.reduceat(length, begins) if begins.size else length)

    @classmethod
    def joined(cls, parts: Sequence[Runs]) -> Runs:
        """The numbers of several arrays, one after the other."""
        return cls.of(np.concatenate([part.starts for part in parts]), np.concatenate([part.sizes for part in parts]))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """First number of each run, and the first beyond it."""
        return zip(self.starts.tolist(), (self.starts + self.sizes).tolist(), strict=True)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(self.sizes.sum())

    def cut(self, begins: npt.ArrayLike, ends: npt.ArrayLike) -> Runs:
        """The numbers at some places: from each of ``begins`` to before each of ``ends``, one after the other."""
        low, high = (np.asarray(places, np.int64).reshape(-1) for places in (begins, ends))
        low, high = low[high > low], high[high > low]
        if not low.size:
            return Runs.of([])
        stops = np.cumsum(self.sizes)
        first = np.searchsorted(stops, low, side="right")
        counts = np.searchsorted(stops, high, side="left") - first + 1
        chosen = np.repeat(first - np.r_[0, np.cumsum(counts)[:-1]], counts) + np.arange(counts.sum())
        origins = stops[chosen] - self.sizes[chosen]
        begin = np.maximum(np.repeat(low, counts), origins)
        end = np.minimum(np.repeat(high, counts), stops[chosen])
        return Runs.of(self.starts[chosen] + begin - origins, end - begin)

    def chunks(self, size: int, order: npt.ArrayLike) -> Runs:
        """Some of the parts of ``size`` numbers that these are divided into, one after the other."""
        begins = np.asarray(order, np.int64).reshape(-1) * size
        return self.cut(begins, begins + size)

    def part(self, shape: Sequence[int], axis: int, first: int, last: int) -> Runs:
        """The numbers of a part of an array of a shape: from one place of an axis to before another."""
        axis %= len(shape)
        inner = prod(shape[axis + 1 :])
        begins = np.arange(prod(shape[:axis])) * (shape[axis] * inner)
        return self.cut(begins + first * inner, begins + last * inner)

    def taken(self, shape: Sequence[int], axis: int, places: npt.ArrayLike) -> Runs:
        """The numbers of some places of an axis of an array of a shape, in their order; none is negative."""
        axis %= len(shape)
        order = np.arange(prod(shape[:axis]))[:, None] * shape[axis] + np.asarray(places, np.int64).reshape(-1)
        return self.chunks(prod(shape[axis + 1 :]), order)

    def arranged(self, layout: Layout, shape: Sequence[int]) -> Runs | None:
        """The numbers of what a layout makes of an array of a shape; None where it turns axes, which parts all runs."""
        found = self
        for (step, numbers), before in zip(layout, shapes_of(layout, shape), strict=False):
            if step == "transpose":
                return None
            if step == "slice":
                found = found.part(before, *numbers)
            elif step == "take":
                found = found.taken(before, numbers[0], numbers[1:])
        return found

    def is_apart(self) -> bool:
        """Whether no number is there twice."""
        places = np.argsort(self.starts, kind="stable")
        starts, stops = self.starts[places], (self.starts + self.sizes)[places]
        return bool((starts[1:] >= stops[:-1]).all())

    def shifted(self, by: int) -> Runs:
        """The same runs, of numbers that are so much greater."""
        return Runs(self.starts + by, self.sizes)

    def within(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Which runs are of numbers from ``start`` to before ``stop``, (runs,)."""
        return (start <= self.starts) & (self.starts < stop)

    def numbers(self) -> Numbers:
        """All numbers, one by one."""
        before = np.cumsum(self.sizes) - self.sizes
        return cast("Numbers", np.repeat(self.starts - before, self.sizes) + np.arange(self.size))
