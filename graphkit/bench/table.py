"""The terminal's form of a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.bench import wording
from graphkit.bench.result import leaders
from graphkit.text import clean

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from graphkit.bench.result import Benchmark, Entry

__all__ = ["cells", "table"]

_STYLE: Final = {"wrong": "bold red", "failed": "bold red", "unavailable": "yellow"}


def cells(benchmark: Benchmark, entry: Entry) -> list[str]:
    """What a row of figures says, under :func:`graphkit.bench.wording.headings`; empty where there are none."""
    if entry.status != "measured":
        return ["", wording.STATUS[entry.status], *[""] * 5]
    latency = entry.latency
    return [
        "",
        wording.milliseconds(latency.median),
        f"{wording.milliseconds(latency.low)} – {wording.milliseconds(latency.high)}",
        wording.rate(entry.throughput.median),
        wording.ratios(benchmark, entry),
        wording.seconds(entry.first),
        wording.memory(entry.peak),
    ]


def table(benchmark: Benchmark) -> Group:
    """Lay a benchmark out for a terminal: the figures, what to know, who is fastest."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Text | Table] = [
        Text(clean(benchmark.title), style="bold"),
        Text(wording.setting(benchmark), style="dim"),
    ]
    parts += [Text(), _grid(benchmark)]
    parts += [Text(), *(Text(note) for note in wording.notes(benchmark))]
    parts += [Text(f"warning: {clean(warning)}", style="yellow") for warning in benchmark.warnings]
    parts += [Text(", ".join(wording.environment(benchmark)), style="dim")]
    style = "bold green" if benchmark.right else "bold red"
    return Group(*parts, *(Text(line, style=style) for line in wording.verdict(benchmark)))


def _grid(benchmark: Benchmark) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    heads = wording.headings(benchmark)
    for head in heads:
        grid.add_column(head, justify="right" if head else "left", no_wrap=True)
    for number, batch in enumerate(benchmark.batches):
        if number:
            grid.add_row()
        grid.add_row(Text(f"batch {batch}", style="bold"))
        best = leaders(benchmark.at(batch))
        for entry in benchmark.at(batch):
            mark = "▸ " if entry in best else "  "
            style = "green" if entry in best else _STYLE.get(entry.status, "")
            row = [f"{mark}{clean(entry.name)}{'*' if entry.setup else ''}", *cells(benchmark, entry)[1:]]
            grid.add_row(*(Text(cell, style=style) for cell in row))
    return grid
