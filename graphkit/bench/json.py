"""The full form of a benchmark: every round of every contestant."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from graphkit.bench.result import leaders
from graphkit.text import json_text

if TYPE_CHECKING:
    from graphkit.bench.result import Benchmark, Entry

__all__ = ["FORMAT", "document", "to_json"]

FORMAT: Final = 1
"""Version of the layout; it grows when a field changes its meaning, not when one is added."""


def to_json(benchmark: Benchmark) -> str:
    """Write a benchmark as JSON."""
    return json_text(document(benchmark))


def document(benchmark: Benchmark) -> dict[str, Any]:
    """What :func:`to_json` writes: the fields of :class:`~graphkit.bench.result.Benchmark`, and what follows of them.

    Durations are in seconds, memory is in bytes. ``speed`` says how many times faster
    than ``base`` a contestant is, with quartiles over the rounds.
    """
    fields = asdict(benchmark) | {"entries": [_entry(benchmark, entry) for entry in benchmark.entries]}
    return {"graphkit_benchmark": FORMAT, "right": benchmark.right, "base": benchmark.base, **fields}


def _entry(benchmark: Benchmark, entry: Entry) -> dict[str, Any]:
    found = asdict(entry)
    if entry.status != "measured":
        return found
    speed = benchmark.speed(entry)
    return found | {
        "latency": asdict(entry.latency),
        "throughput": asdict(entry.throughput),
        "speed": None if speed is None else asdict(speed),
        "fastest": entry in leaders(benchmark.at(entry.batch)),
    }
