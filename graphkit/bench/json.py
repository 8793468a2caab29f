"""The full form of a benchmark: every round of every contestant."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from graphkit.bench.result import leaders, ratio

if TYPE_CHECKING:
    from graphkit.bench.result import Benchmark, Entry

__all__ = ["FORMAT", "document", "to_json"]

FORMAT: Final = 1
"""Version of the layout; it grows when a field changes its meaning, not when one is added."""


def to_json(benchmark: Benchmark) -> str:
    """Write a benchmark as JSON."""
    return json.dumps(document(benchmark), indent=2, ensure_ascii=False, allow_nan=False)


def document(benchmark: Benchmark) -> dict[str, Any]:
    """What :func:`to_json` writes: the fields of :class:`~graphkit.bench.result.Benchmark`, and what follows of them.

    Durations are in seconds, memory is in bytes. ``speed`` is the ratio to the first contestant that was measured at
    the batch size: how many times faster, with quartiles over the rounds.
    """
    fields = asdict(benchmark) | {"entries": [_entry(benchmark, entry) for entry in benchmark.entries]}
    return {"graphkit_benchmark": FORMAT, "right": benchmark.right, **fields}


def _entry(benchmark: Benchmark, entry: Entry) -> dict[str, Any]:
    found = asdict(entry)
    if entry.status != "measured":
        return found
    group = benchmark.at(entry.batch)
    first = next(one for one in group if one.status == "measured")
    return found | {
        "latency": asdict(entry.latency),
        "throughput": asdict(entry.throughput),
        "speed": asdict(ratio(entry, first)),
        "fastest": entry in leaders(group),
    }
