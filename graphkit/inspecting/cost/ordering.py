"""Orders of tasks that need little memory: the least peak that any order has, or a bound below it.

A task makes buffers and reads others. A buffer lives from the task that makes it to the last that reads it, or to the
end; while a task runs, what it reads and what it makes are there together. To find an order of least peak is NP-hard in
general (Sethi, *Complete register allocation problems*, 1975), so the search has a budget, and what it proves is told
apart from what it found:

- **Cuts.** A task that every other comes before or after splits all orders alike, so the parts are searched alone.
- **Bound.** While a task runs, a buffer is there in every order if a task before it makes the buffer, and the task
  itself, one after it, or the world reads it. The most that any task needs so is a bound below all orders, and so is
  what is left at the end.
- **Search.** Sets of tasks that are done are visited by the peak on the way to them, the least first; the first
  complete set has the least peak. A task that fits below that peak and frees no less than it keeps is run at once:
  doing it first makes no order worse.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Buffer", "Order", "Task", "best_order", "peak_of"]

_BUDGET: Final = 60_000
"""Runs of tasks that a search tries, over all parts."""
_WIDE: Final = 4_000
"""Tasks of a part up to which it is asked which come before which, whose answer grows with their square."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that a task fills.

    Attributes:
        size: Bytes.
        maker: Position of the task that makes it.
        readers: Positions of the tasks that read it.
        kept: Whether it lives to the end.
    """

    size: int
    maker: int
    readers: frozenset[int]
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """Something that is run once.

    Attributes:
        before: Positions of the tasks that have to be run before it.
        extra: Bytes that it needs while it runs, beside what it reads and makes.
    """

    before: frozenset[int]
    extra: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """An order of tasks.

    Attributes:
        tasks: Positions of the tasks.
        peak: Most bytes that are there at once.
        bound: Bytes that no order gets below; the order is a best one if they are its peak.
    """

    tasks: tuple[int, ...]
    peak: int
    bound: int


def peak_of(tasks: Sequence[Task], buffers: Sequence[Buffer], order: Sequence[int]) -> tuple[int, int]:
    """The most bytes that are there at once in an order, and the first task that needs them; -1 where there is none."""
    made, left, ends = _tables(len(tasks), buffers)
    live = peak = 0
    where = -1
    for task in order:
        needed = live + tasks[task].extra + sum(buffers[index].size for index in made[task])
        if where < 0 or needed > peak:
            peak, where = needed, task
        live += sum(buffers[index].size for index in made[task] if left[index] or buffers[index].kept)
        for index in ends[task]:
            left[index] -= 1
            if not left[index] and not buffers[index].kept:
                live -= buffers[index].size
    return peak, where


def _tables(count: int, buffers: Sequence[Buffer]) -> tuple[list[list[int]], list[int], list[list[int]]]:
    """The buffers that each task makes, how many tasks read each buffer, and the buffers that each task reads."""
    made: list[list[int]] = [[] for _ in range(count)]
    ends: list[list[int]] = [[] for _ in range(count)]
    for index, buffer in enumerate(buffers):
        made[buffer.maker].append(index)
        for reader in buffer.readers:
            ends[reader].append(index)
    return made, [len(buffer.readers) for buffer in buffers], ends


def best_order(tasks: Sequence[Task], buffers: Sequence[Buffer], budget: int = _BUDGET) -> Order:
    """The order of least peak, as far as the budget lets it be found.

    Args:
        tasks: Tasks in an order in which they can be run: each after those that have to be run before it.
        buffers: What they make and read.
        budget: Runs of tasks that are tried.
    """
    given = list(range(len(tasks)))
    parts = _parts(tasks, buffers)
    bound = max((part.bound() for part in parts), default=0)
    proved, order, peak = bound, [], bound
    for part in parts:
        found, part_peak, part_bound, used = part.solve(max(bound, proved), budget)
        budget -= used
        order += found
        proved, peak = max(proved, part_bound), max(peak, part_peak)
    before = peak_of(tasks, buffers, given)[0]
    if before <= peak:
        return Order(tuple(given), before, proved)
    return Order(tuple(order), peak, proved)


def _parts(tasks: Sequence[Task], buffers: Sequence[Buffer]) -> list[_Part]:
    spans = _spans(tasks)
    part_of = [index for index, span in enumerate(spans) for _ in span]
    inside: list[list[Buffer]] = [[] for _ in spans]
    change = [0] * (len(spans) + 1)
    for buffer in buffers:
        first = part_of[buffer.maker]
        last = len(spans) if buffer.kept else part_of[max(buffer.readers, default=buffer.maker)]
        inside[first].append(buffer)
        if first < last < len(spans):
            inside[last].append(buffer)
        if first + 1 < last:  # it is there all through the parts between
            change[first + 1] += buffer.size
            change[last] -= buffer.size
    return [
        _Part(tasks, span, held, through)
        for span, held, through in zip(spans, inside, accumulate(change[:-1]), strict=True)
    ]


def _spans(tasks: Sequence[Task]) -> list[range]:
    """The parts between tasks that every other task comes before or after, such a task at the end of its part."""
    count = len(tasks)
    first_after = [count] * count
    last_before = [-1] * count
    for index, task in enumerate(tasks):
        for earlier in task.before:
            first_after[earlier] = min(first_after[earlier], index)
        last_before[index] = max(task.before, default=-1)
    reach = 0
    leads = []
    for index in range(count):  # all earlier tasks lead to it
        leads.append(reach <= index)
        reach = max(reach, first_after[index])
    cuts = []
    back = count
    for index in range(count - 1, -1, -1):  # it leads to all later tasks
        if leads[index] and back >= index:
            cuts.append(index)
        back = min(back, last_before[index])
    starts = [0, *(cut + 1 for cut in reversed(cuts))]
    return [range(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True) if start < end]


class _Part:
    """Tasks between two cuts.

    Args:
        tasks: All tasks.
        span: Positions of those of the part.
        buffers: Those that the part makes, and those from before whose last reader is in the part.
        through: Bytes that are there before the part and after it.
    """

    def __init__(self, tasks: Sequence[Task], span: range, buffers: Sequence[Buffer], through: int) -> None:
        self.span = span
        self.through = through
        self.count = len(span)
        self.before = [
            sum(1 << (earlier - span.start) for earlier in tasks[index].before if earlier >= span.start)
            for index in span
        ]
        self.after: list[list[int]] = [[] for _ in span]
        for index in span:
            for earlier in tasks[index].before:
                if earlier >= span.start:
                    self.after[earlier - span.start].append(index - span.start)
        self.need = [tasks[index].extra for index in span]
        self.keep = [0] * self.count
        self.start = through
        self.freed: list[list[tuple[int, int]]] = [[] for _ in span]
        """For each task, the readers (as bits) and sizes of the buffers that end in this part and that it reads."""
        self.lives: list[tuple[int, int, int]] = []
        """Size, maker and readers of each buffer: -1 for a maker before the part, and for readers after it."""
        for buffer in buffers:
            self._place(buffer)

    def _place(self, buffer: Buffer) -> None:
        start, end = self.span.start, self.span.stop
        outlives = buffer.kept or max(buffer.readers, default=buffer.maker) >= end
        readers = -1 if outlives else sum(1 << (reader - start) for reader in buffer.readers if reader >= start)
        maker = buffer.maker - start
        if maker < 0:
            maker = -1
            self.start += buffer.size
        else:
            self.need[maker] += buffer.size
            self.keep[maker] += buffer.size if readers else 0
        if not outlives:
            for reader in buffer.readers:
                if reader >= start:
                    self.freed[reader - start].append((readers, buffer.size))
        self.lives.append((buffer.size, maker, readers))

    def bound(self) -> int:
        """Bytes that no order of the part gets below."""
        left = self.through + sum(size for size, _, readers in self.lives if readers < 0)
        return max(left, self._quick_bound() if self.count > _WIDE else self._full_bound())

    def _full_bound(self) -> int:
        """What has to be there while a task runs, for the task where that is most."""
        behind = [0] * self.count  # those that lead to a task, as bits, itself included
        for index in range(self.count):
            bits = self.before[index]
            found = 1 << index
            while bits:
                low = bits & -bits
                found |= behind[low.bit_length() - 1]
                bits ^= low
            behind[index] = found
        ahead = [0] * self.count
        for index in range(self.count - 1, -1, -1):
            found = 1 << index
            for later in self.after[index]:
                found |= ahead[later]
            ahead[index] = found
        needs = np.array(self.need, dtype=object if sum(size for size, _, _ in self.lives) >> 62 else np.int64)
        everywhere = (1 << self.count) - 1
        for size, maker, readers in self.lives:
            where = everywhere
            if readers >= 0:
                where = 0
                for reader in _bits(readers):
                    where |= behind[reader]
            if maker >= 0:
                where &= ahead[maker] & ~(1 << maker)
            if where == everywhere:
                needs += size
            elif where:
                packed = np.frombuffer(where.to_bytes((self.count + 7) // 8, "little"), np.uint8)
                needs[np.unpackbits(packed, count=self.count, bitorder="little").astype(bool)] += size
        return self.through + int(needs.max())

    def _quick_bound(self) -> int:
        """A bound that is quick: what outlives the part from before it, and what a task reads and makes."""
        return self.through + max(
            need + sum(size for _, size in freed) for need, freed in zip(self.need, self.freed, strict=True)
        )

    def solve(self, enough: int, budget: int) -> tuple[list[int], int, int, int]:
        """An order of the part: it, its peak, a bound below all orders, and how much was tried.

        Args:
            enough: A peak that need not be got below.
            budget: Runs of tasks to try.
        """
        order = list(range(self.count))
        peak = self._peak(order)
        bound, used = enough, 0
        if peak > enough:
            found, bound, used = self._search(enough, peak, budget)
            if found is not None:
                order, peak = found, self._peak(found)
            else:
                other = self._greedy(enough)
                if (height := self._peak(other)) < peak:
                    order, peak = other, height
                bound = min(bound, peak)
        return [task + self.span.start for task in order], peak, bound, used

    def _peak(self, order: Iterable[int]) -> int:
        live, done, peak = self.start, 0, 0
        for task in order:
            peak = max(peak, live + self.need[task])
            live += self._gain(task, done)
            done |= 1 << task
        return peak

    def _gain(self, task: int, done: int) -> int:
        """Bytes that are there after a task more than before it; those that are done are bits."""
        rest = ~done & ~(1 << task)
        return self.keep[task] - sum(size for readers, size in self.freed[task] if not readers & rest)

    def _ready(self, ready: tuple[int, ...], task: int, done: int) -> tuple[int, ...]:
        """The tasks that can be run once another is done as well."""
        opened = tuple(later for later in self.after[task] if not self.before[later] & ~done)
        return (*(each for each in ready if each != task), *opened)

    def _first(self) -> tuple[int, ...]:
        return tuple(task for task in range(self.count) if not self.before[task])

    def _search(self, enough: int, limit: int, budget: int) -> tuple[list[int] | None, int, int]:
        """The order of least peak below a limit, None where none is found; a bound below all; how much was tried."""
        complete = (1 << self.count) - 1
        seen: set[int] = set()
        path: list[tuple[int, int]] = [(-1, -1)]  # the state before, and the task from there
        heap: list[tuple[int, int, int, int, tuple[int, ...], int]] = [(enough, 0, self.start, 0, self._first(), 0)]
        used = 0
        while heap:
            peak, left, live, done, ready, at = heapq.heappop(heap)
            if done in seen:
                continue
            seen.add(done)
            while (free := self._harmless(ready, done, live, peak)) is not None:
                live += self._gain(free, done)
                done |= 1 << free
                ready = self._ready(ready, free, done)
                path.append((at, free))
                at = len(path) - 1
                left -= 1
                used += 1
            if done == complete:
                return self._walked(path, at), peak, used
            seen.add(done)
            for task in ready:
                used += 1
                height = max(peak, live + self.need[task])
                after = done | (1 << task)
                if height >= limit or after in seen:
                    continue
                path.append((at, task))
                gain = self._gain(task, done)
                entry = (height, left - 1, live + gain, after, self._ready(ready, task, after), len(path) - 1)
                heapq.heappush(heap, entry)
            if used > budget:
                return None, min((each[0] for each in heap), default=limit), used
        return None, limit, used

    def _harmless(self, ready: tuple[int, ...], done: int, live: int, peak: int) -> int | None:
        """A task that fits below a peak and frees no less than it keeps."""
        for task in ready:
            if live + self.need[task] <= peak and self._gain(task, done) <= 0:
                return task
        return None

    @staticmethod
    def _walked(path: Sequence[tuple[int, int]], at: int) -> list[int]:
        found = []
        while at > 0:
            at, task = path[at]
            found.append(task)
        return found[::-1]

    def _greedy(self, peak: int) -> list[int]:
        """An order that runs at each step what keeps least, of what fits below the peak so far."""
        done, live, ready, order = 0, self.start, self._first(), []
        while ready:
            gains = {task: self._gain(task, done) for task in ready}
            fitting = [task for task in ready if live + self.need[task] <= peak]
            task = min(fitting, key=gains.__getitem__) if fitting else min(ready, key=self.need.__getitem__)
            peak = max(peak, live + self.need[task])
            live += gains[task]
            done |= 1 << task
            ready = self._ready(ready, task, done)
            order.append(task)
        return order


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
