"""What an output holds, in a line: its shape, its range, how many of its numbers are none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

__all__ = ["Summary", "Top", "summaries", "top"]

_FIRST: Final = 5
"""Elements that are shown."""
_ROWS: Final = 4
"""Rows of a batch whose largest numbers are shown."""
_CLASSES: Final = 10
"""Columns from which a matrix is taken for scores of classes."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One output.

    Attributes:
        name: Its name; of a member of a sequence with its place, ``boxes[0]``.
        dtype: Element type as numpy names it; ``"absent"`` for an optional output that is.
        shape: Shape.
        least: Smallest finite number; None where there is none.
        most: Largest finite number.
        mean: Mean of the finite numbers.
        deviation: Their standard deviation.
        nan: How many are NaN.
        infinite: How many are infinite.
        first: The first few elements.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    least: float | None = None
    most: float | None = None
    mean: float | None = None
    deviation: float | None = None
    nan: int = 0
    infinite: int = 0
    first: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Top:
    """The largest numbers of one row of scores, the largest first.

    Attributes:
        row: Which row.
        classes: Their columns.
        scores: The numbers.
    """

    row: int
    classes: tuple[int, ...]
    scores: tuple[float, ...]


def summaries(outputs: Mapping[str, Any]) -> list[Summary]:
    """A line for each output; of a sequence, one for each of its members."""
    return [summary for name, output in outputs.items() for summary in _lines(name, output)]


def top(outputs: Mapping[str, Any], count: int | None) -> list[Top] | None:
    """The largest numbers of the first rows of the only output, where that is scores of classes.

    Args:
        outputs: The outputs.
        count: How many of each row, or 0 for none; None for 5 of what looks like scores: a matrix of floats with at
            least ten columns.

    Returns:
        None where the outputs are not one matrix of floats.
    """
    if count == 0:
        return []
    (output,) = outputs.values() if len(outputs) == 1 else (None,)
    if not isinstance(output, np.ndarray) or output.ndim != 2 or output.dtype.kind not in "fV":
        return None
    if not output.shape[1] or (count is None and output.shape[1] < _CLASSES):
        return None
    found = []
    for row, numbers in enumerate(output[:_ROWS].astype(np.float64)):
        order = np.argsort(-numbers, kind="stable")[: count or 5]
        found.append(Top(row, tuple(map(int, order)), tuple(map(float, numbers[order]))))
    return found


def _lines(name: str, output: Any) -> Iterator[Summary]:
    if output is None:
        yield Summary(name, "absent")
    elif isinstance(output, list):
        for place, member in enumerate(output):
            yield from _lines(f"{name}[{place}]", member)
    else:
        yield _summary(name, output)


def _summary(name: str, array: npt.NDArray[np.generic]) -> Summary:
    first = array.reshape(-1)[:_FIRST]
    if array.dtype.kind in "OUS":
        return Summary(name, "string", array.shape, first=tuple(map(str, first.tolist())))
    complex_ = array.dtype.kind == "c"
    numbers = array.astype(np.complex128 if complex_ else np.float64)
    finite = numbers[np.isfinite(numbers)]
    kept = {"nan": int(np.isnan(numbers).sum()), "infinite": int(np.isinf(numbers).sum())}
    shown = tuple(first.astype(np.complex128 if complex_ else np.float64).tolist())
    if array.dtype.kind in "biu":
        shown = tuple(first.tolist())
    if complex_ or not finite.size:
        return Summary(name, array.dtype.name, array.shape, first=tuple(map(str, shown)) if complex_ else shown, **kept)
    with np.errstate(over="ignore", invalid="ignore"):
        measured = (finite.min(), finite.max(), finite.mean(), finite.std())
    least, most, mean, deviation = (float(each) if math.isfinite(each) else None for each in measured)
    return Summary(name, array.dtype.name, array.shape, least, most, mean, deviation, **kept, first=shown)
