"""Timing contestants in turns: A B C, B C A, …, so that whatever disturbs the machine disturbs all of them."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from graphkit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphkit.frameworks.timing import Round, Timed

__all__ = ["interleaved", "warm_up"]

_CALLS: Final = 5
_LEAST: Final = 1.0
_MOST: Final = 15.0
_STEADY: Final = 0.97
"""What of the time of the round before a round may take without counting as faster."""


def warm_up(timed: Timed, least: float) -> int:
    """Call a model until it gets no faster: five calls and a second at least, a quarter of a minute at most.

    Args:
        timed: The model.
        least: Seconds of a round.

    Returns:
        How many calls that took.
    """
    calls, total = 0, 0.0
    best = float("inf")
    while True:
        found = timed.measure(least, lead=False)
        calls += found.calls
        total += found.calls * found.seconds
        steady = found.seconds > _STEADY * best
        best = min(best, found.seconds)
        if total >= _MOST or (calls >= _CALLS and total >= min(_LEAST, 5 * least) and steady):
            return calls


def interleaved(
    contestants: Mapping[str, Timed], rounds: int, least: float, progress: Callable[[int], None]
) -> tuple[dict[str, list[Round]], dict[str, str]]:
    """Time contestants in turns; each round begins with another one.

    Args:
        contestants: Their processes, by name.
        rounds: How many rounds.
        least: Seconds that each contestant's calls fill in a round.
        progress: Told how many rounds are done.

    Returns:
        The rounds of each, as many for each that is left; and what went wrong with the others.
    """
    names = list(contestants)
    found: dict[str, list[Round]] = {name: [] for name in names}
    failed: dict[str, str] = {}
    for number in range(rounds):
        first = number % len(names) if names else 0
        for name in names[first:] + names[:first]:
            if name in failed:
                continue
            try:
                # A long call has the processor's caches to itself soon enough.
                lead = not found[name] or statistics.median(one.seconds for one in found[name]) < least
                found[name].append(contestants[name].measure(least, lead))
            except ExecutionError as error:
                failed[name] = str(error)
        progress(number + 1)
    return {name: turns for name, turns in found.items() if name not in failed}, failed
