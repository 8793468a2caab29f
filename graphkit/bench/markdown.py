"""A benchmark as GitHub-flavoured Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.bench import wording
from graphkit.bench.result import leaders
from graphkit.bench.table import cells
from graphkit.report.markdown import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphkit.bench.result import Benchmark

__all__ = ["to_markdown"]


def to_markdown(benchmark: Benchmark) -> str:
    """Write a benchmark as Markdown: a table for each batch size, notes, the environment folded away."""
    return "\n".join(_lines(benchmark)) + "\n"


def _lines(benchmark: Benchmark) -> Iterator[str]:
    yield f"### {escaped(benchmark.title)}"
    yield ""
    yield f"{escaped(wording.setting(benchmark))}."
    for batch in benchmark.batches:
        yield ""
        heads = [f"batch {batch}", *wording.headings(benchmark)[1:]]
        yield _row(heads)
        yield _row(["---", *["---:"] * (len(heads) - 1)])
        best = leaders(benchmark.at(batch))
        for entry in benchmark.at(batch):
            row = [entry.name, *cells(benchmark, entry)[1:]]
            yield _row(f"**{escaped(cell)}**" if entry in best and cell else escaped(cell) for cell in row)
    yield ""
    yield from (f"- {escaped(line)}" for line in wording.verdict(benchmark))
    yield from (f"- {escaped(line)}" for line in wording.notes(benchmark))
    yield from (f"- ⚠️ {escaped(line)}" for line in benchmark.warnings)
    yield from ("", "<details><summary>Environment</summary>", "")
    yield from (f"- {escaped(line)}" for line in wording.environment(benchmark))
    yield from ("", "</details>")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
