"""What every face of a benchmark says in the same words and units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.bench.result import leaders, ratio
from graphkit.text import clean

if TYPE_CHECKING:
    from graphkit.bench.result import Benchmark, Entry, Spread

__all__ = [
    "STATUS",
    "environment",
    "faster",
    "headings",
    "memory",
    "milliseconds",
    "notes",
    "rate",
    "ratios",
    "seconds",
    "setting",
    "times",
    "verdict",
]

STATUS = {"wrong": "WRONG", "failed": "FAILED", "unavailable": "not available"}
"""What is said in the place of figures."""


def milliseconds(value: float) -> str:
    """A duration, given in seconds, in milliseconds with three digits, e.g. ``"29.1"``."""
    return _digits(value * 1e3)


def rate(value: float) -> str:
    """A number per second, with three digits."""
    return _digits(value)


def seconds(value: float) -> str:
    """A duration for people, e.g. ``"23 ms"``, ``"1.4 s"``."""
    return f"{_digits(value * 1e3)} ms" if value < 1 else f"{_digits(value)} s"


def memory(count: int) -> str:
    """A number of bytes, e.g. ``"310 MB"``."""
    return f"{_digits(count / 1e6)} MB" if count < 1e9 else f"{_digits(count / 1e9)} GB"


def faster(value: Spread) -> str:
    """A ratio with its quartiles, e.g. ``"1.31× (1.28 to 1.33)"``."""
    return f"{times(value.median)}× ({times(value.low)} to {times(value.high)})"


def times(value: float) -> str:
    """A ratio with three digits, of which two stand behind the point at least below ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratios(benchmark: Benchmark, entry: Entry) -> str:
    """How many times faster an entry is than the base; empty for the base itself."""
    found = benchmark.speed(entry)
    return "" if found is None or entry.name == benchmark.base else faster(found)


def headings(benchmark: Benchmark) -> list[str]:
    """Of the columns of a table."""
    base = clean(benchmark.base) or "the first"
    return ["", "ms per call", "middle half", "samples/s", f"speed of {base}", "first call", "peak memory"]


def setting(benchmark: Benchmark) -> str:
    """How it was timed, in a sentence."""
    what = "outputs and all gradients" if benchmark.backward else "outputs"
    threads = "1 thread" if benchmark.threads == 1 else f"{benchmark.threads} threads"
    return (
        f"{threads} each, {benchmark.rounds} interleaved rounds; {what} checked against {benchmark.reference} "
        f"before timing"
    )


def verdict(benchmark: Benchmark) -> list[str]:
    """Who is fastest at each batch size, a sentence each."""
    told = []
    for batch in benchmark.batches:
        best = leaders(benchmark.at(batch))
        where = f"batch {batch}: "
        if not best:
            told.append(f"{where}nothing was measured")
        elif len(best) == 1:
            told.append(f"{where}{best[0].name} is fastest{_lead(benchmark, best[0])}")
        else:
            names = [entry.name for entry in best]
            told.append(f"{where}{', '.join(names[:-1])} and {names[-1]} are equally fast within their spread")
    return told


def notes(benchmark: Benchmark) -> list[str]:
    """What is to be known of single entries, each note once."""
    about: dict[tuple[str, str, str], list[int]] = {}
    for entry in benchmark.entries:
        told = "; ".join(filter(None, (entry.setup and f"timed {entry.setup}", entry.note)))
        if told:
            about.setdefault((entry.name, STATUS.get(entry.status, ""), clean(told)), []).append(entry.batch)
    found = []
    for (name, status, told), batches in about.items():
        some = len(batches) < len(benchmark.batches)
        at = f" at batch {', '.join(map(str, batches))}" if some else ""
        found.append(f"{name}{at}{f' {status}' if status else ''}: {told}")
    return found


def environment(benchmark: Benchmark) -> list[str]:
    """What figures depend on, an item each."""
    return [f"{name}: {clean(value)}" for name, value in benchmark.environment.items()]


def _lead(benchmark: Benchmark, best: Entry) -> str:
    """How far ahead of the second the fastest is."""
    rest = [one for one in benchmark.at(best.batch) if one.status == "measured" and one is not best]
    if not rest:
        return ", the only one measured"
    second = min(rest, key=lambda entry: entry.latency.median)
    return f", {times(ratio(best, second).median)}× the speed of {second.name}"


def _digits(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"
