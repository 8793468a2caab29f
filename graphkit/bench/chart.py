"""A benchmark as a picture: a bar of throughput for each contestant, batch by batch."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any, Final

from graphkit.bench import wording
from graphkit.bench.result import DOUBT, leaders
from graphkit.text import clean, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graphkit.bench.result import Benchmark, Entry

__all__ = ["figure_of", "to_picture"]

_COLOURS: Final = ("#4477AA", "#66CCEE", "#228833", "#CCBB44", "#EE6677", "#AA3377")
"""Paul Tol's "bright" scheme (https://sronpersonalpages.nl/~pault/), told apart by colour-blind eyes."""
_INK: Final = "#1A1A1A"
_FAINT: Final = "#6B6B6B"
_ALARM: Final = "#A3341F"
_GRID: Final = "#E3E3E3"
_WIDTH: Final = 8.6
"""Inches."""
_BAR: Final = 0.36
"""Inches of a contestant's row."""
_HEAD: Final = 0.4
"""Inches of a batch size's heading."""
_TITLE: Final = 0.75
_FOOT: Final = 1.12
_LEFT: Final = 1.45
_RIGHT: Final = 0.25
_DOTS: Final = 160
"""Pixels of an inch in a PNG."""
_ROOM: Final = 1.36
"""How much longer than the longest bar an axis is, for what stands beside it."""


def to_picture(benchmark: Benchmark, form: str) -> bytes:
    """Draw a benchmark.

    Args:
        benchmark: What was measured.
        form: ``"svg"`` or ``"png"``.
    """
    import matplotlib as mpl

    drawn = io.BytesIO()
    settings = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "svg.hashsalt": "graphkit"}
    with mpl.rc_context(settings):
        figure = figure_of(benchmark)
        about: dict[str, Any] = {"Date": None, "Creator": "graphkit"} if form == "svg" else {"Software": "graphkit"}
        figure.savefig(drawn, format=form, dpi=_DOTS, metadata=about)
    return drawn.getvalue()


def figure_of(benchmark: Benchmark) -> Figure:
    """The chart as Matplotlib's figure; :func:`to_picture` sets its fonts."""
    from matplotlib.figure import Figure

    groups = [(batch, benchmark.at(batch)) for batch in benchmark.batches]
    rows = sum(len(entries) for _, entries in groups)
    height = _TITLE + rows * _BAR + len(groups) * _HEAD + _FOOT
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    _write_around(benchmark, figure, height)
    names = list(dict.fromkeys(entry.name for entry in benchmark.entries))
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)}
    measured = [entry for entry in benchmark.entries if entry.status == "measured"]
    longest = max((entry.throughput.high for entry in measured), default=1.0)
    top = height - _TITLE
    for number, (batch, entries) in enumerate(groups):
        tall = len(entries) * _BAR
        bottom = top - _HEAD - tall
        across = (_WIDTH - _LEFT - _RIGHT) / _WIDTH
        axes = figure.add_axes((_LEFT / _WIDTH, bottom / height, across, tall / height))
        axes.set_xlim(0, longest * _ROOM)
        _draw(axes, entries, colours)
        figure.text(0.02, (top - 0.28) / height, f"batch {batch}", color=_INK, fontsize=10, fontweight="bold")
        if number == len(groups) - 1:
            axes.set_xlabel("samples per second (more is better)", color=_FAINT, fontsize=9)
        else:
            axes.tick_params(axis="x", labelbottom=False)
        top = bottom
    return figure


def _draw(axes: Axes, entries: tuple[Entry, ...], colours: dict[str, str]) -> None:
    """The bars of one batch size."""
    from matplotlib.ticker import MaxNLocator

    best = leaders(entries)
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_yticks(range(len(entries)), [short(entry.name, 18) for entry in entries])
    axes.tick_params(axis="both", length=0, labelsize=9, colors=_INK)
    axes.tick_params(axis="y", pad=6)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.tick_params(axis="x", colors=_FAINT, labelsize=8)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(_FAINT)
    span = axes.get_xlim()[1]
    for row, entry in enumerate(entries):
        if entry.status != "measured":
            told = f"{wording.STATUS[entry.status].lower()}"
            axes.text(span * 0.01, row, told, va="center", color=_FAINT, fontsize=8.5, fontstyle="italic")
            continue
        rate = entry.throughput
        axes.barh(row, rate.median, height=0.62, color=colours[entry.name], zorder=2)
        ends: Any = [[rate.median - rate.low], [rate.high - rate.median]]
        axes.errorbar(rate.median, row, xerr=ends, color=_INK, elinewidth=1.1, capsize=2.5, capthick=1.1, zorder=3)
        told = f"{wording.rate(rate.median)}/s   {wording.milliseconds(entry.latency.median)} ms"
        weight = "bold" if entry in best else "normal"
        place = max(rate.high, rate.median) + span * 0.012
        text = axes.text(place, row, told, va="center", color=_INK, fontsize=8.5, fontweight=weight)
        if entry.setup:
            axes.annotate(" *", (1, 0.5), xycoords=text, va="center", color=_INK, fontsize=8.5, annotation_clip=False)


def _write_around(benchmark: Benchmark, figure: Figure, height: float) -> None:
    """Title, how it was measured, and what the figures depend on."""
    title, _, what = benchmark.title.rpartition(": ")
    figure.text(0.02, 1 - 0.3 / height, short(title, 70), color=_INK, fontsize=13, fontweight="bold")
    threads = "1 thread" if benchmark.threads == 1 else f"{benchmark.threads} threads"
    rounds = "1 round" if benchmark.rounds == 1 else f"median and middle half of {benchmark.rounds} rounds"
    figure.text(0.02, 1 - 0.56 / height, f"{what} · {threads} · {rounds}", color=_FAINT, fontsize=9.5)
    if doubts := [warning for warning in benchmark.warnings if warning.startswith(DOUBT)]:
        told = textwrap.shorten(clean(doubts[-1]), 110, placeholder=" …")
        figure.text(0.02, 0.56 / height, told, color=_ALARM, fontsize=7.5, va="bottom")
    known = benchmark.environment
    versions = [known[entry.name] for entry in benchmark.entries if entry.name in known]
    setups = [f"* {entry.name} {entry.setup}" for entry in benchmark.entries if entry.setup and entry.seconds]
    facts = [known.get("processor", ""), *dict.fromkeys(versions), known.get("date", ""), *dict.fromkeys(setups)]
    told = clean(" · ".join(filter(None, facts)))
    lines = textwrap.wrap(told, 125, max_lines=3, placeholder=" …", break_on_hyphens=False)
    figure.text(0.02, 0.1 / height, "\n".join(lines), color=_FAINT, fontsize=7.5, va="bottom", linespacing=1.35)
