"""A benchmark as a page: one file that needs no network, no script and no other file."""

from __future__ import annotations

import html
from string import Template
from typing import TYPE_CHECKING, Final

from graphkit.bench import wording
from graphkit.bench.chart import to_picture
from graphkit.bench.result import leaders
from graphkit.bench.table import cells
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphkit.bench.result import Benchmark

__all__ = ["to_html"]

_PAGE: Final = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1a1a1a; --faint: #666; --line: #ddd; --paper: #fff; --best: #1d6b2b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --faint: #a0a0a0; --line: #444; --paper: #161616; --best: #7fd08f; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
p.setting { color: var(--faint); margin: .2rem 0 1.2rem; }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .4rem; }
figure svg { display: block; width: 100%; height: auto; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.best { color: var(--best); font-weight: 600; }
tr.without { color: var(--faint); }
.warning::before { content: "⚠ "; }
ul { padding-left: 1.2rem; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="setting">$setting</p>
<figure>$chart</figure>
$tables
$notes
<h2>Environment</h2>
$environment
</body>
</html>
"""
)


def to_html(benchmark: Benchmark) -> str:
    """Write a benchmark as a page: the chart, a table for each batch size, notes, the environment."""
    svg = to_picture(benchmark, "svg").decode()
    notes = [*wording.verdict(benchmark), *wording.notes(benchmark)]
    return _PAGE.substitute(
        title=_text(benchmark.title),
        setting=_text(wording.setting(benchmark)),
        chart=svg[svg.index("<svg") :],
        tables="\n".join(_table(benchmark, batch) for batch in benchmark.batches),
        notes=_list(notes, "") + _list(benchmark.warnings, ' class="warning"'),
        environment=_list(wording.environment(benchmark), ""),
    )


def _table(benchmark: Benchmark, batch: int) -> str:
    best = leaders(benchmark.at(batch))
    heads = "".join(f"<th>{_text(head)}</th>" for head in wording.headings(benchmark))
    rows = []
    for entry in benchmark.at(batch):
        kind = "best" if entry in best else "" if entry.status == "measured" else "without"
        row = [entry.title, *cells(benchmark, entry)[1:]]
        rows.append(f'<tr class="{kind}">{"".join(f"<td>{_text(cell)}</td>" for cell in row)}</tr>')
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<h2>Batch {batch}</h2>\n<div class="wide">{table}</div>'


def _list(lines: Iterable[str], attribute: str) -> str:
    items = "".join(f"<li{attribute}>{_text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _text(text: str) -> str:
    return html.escape(clean(text))
