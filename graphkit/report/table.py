"""The terminal's form of a report: one table, the worst first in each group, then what to know, then the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.report import wording
from graphkit.report.wording import number
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, ConsoleOptions, Group, RenderResult
    from rich.table import Table
    from rich.text import Text

    from graphkit.report.report import Check, Report

__all__ = ["table"]

_STYLE: Final = {"fail": "bold red", "pass": "green", "unavailable": "yellow"}
_WIDE: Final = 100
"""Columns from which on l2 and cosine are shown."""
_NAMED: Final = 3
"""Tensors that a note names before it counts the others."""


def table(report: Report, *, worst: int = 8) -> Group:
    """Lay a report out for a terminal.

    Args:
        report: What was found.
        worst: How many passed checks of each group to show, those nearest to their bounds; the others are summed up
            in a line; a quarter as many of each step of training. Failed checks are all shown, and of so many of them
            the first element beyond the bound.

    Returns:
        Something that rich prints, as wide as the console; below 100 columns without l2 and cosine.
    """
    from rich.console import Group
    from rich.text import Text

    compared = wording.groups(report)
    parts: list[Text | _Grid] = [Text(clean(report.title), style="bold")]
    parts += [Text(clean(line), style="dim") for line in report.matching]
    if compared:
        parts += [_Grid(compared, worst), Text("error is max|difference| / max|reference|", style="dim")]
    parts += [_told(check) for check in wording.about_passes(report)]
    checks = [check for _, members in compared for check in members]
    parts += [*_mismatches(checks, worst), *_notes(checks)]
    parts += [Text(f"warning: {clean(warning)}", style="yellow") for warning in report.warnings]
    environment = ", ".join(wording.environment(report))
    parts += [Text(environment, style="dim")] if environment else []
    return Group(*parts, Text(wording.verdict(report), style="bold green" if report.passed else "bold red"))


class _Grid:
    """The groups as one table; a narrow console gets the columns that decide."""

    def __init__(self, groups: Sequence[tuple[str, list[Check]]], worst: int) -> None:
        self.groups = groups
        self.worst = worst

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._table(4 if options.max_width >= _WIDE else 2)

    def _table(self, numbers: int) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        grid.add_column("tensor", overflow="fold")
        grid.add_column("shape", overflow="fold")
        for name in ("error", "bound", "l2", "1-cosine")[:numbers]:
            grid.add_column(name, justify="right", no_wrap=True)
        grid.add_column("", no_wrap=True)
        for heading, members in self.groups:
            grid.add_row(Text(heading, style="bold"))
            failed = [check for check in members if check.verdict == "fail"]
            passed = [check for check in members if check.verdict == "pass"]
            few = -(-self.worst // 4) if members[0].step else self.worst
            shown = passed if len(passed) <= few + 1 else passed[:few]
            for check in [*failed, *shown]:
                grid.add_row(*_row(check, numbers))
            if rest := passed[len(shown) :]:
                largest = number(max(check.error for check in rest))
                most = largest if largest == "0" else f"≤{largest}"
                grid.add_row(Text(f"{len(rest)} more", style="dim"), "", most, *[""] * (numbers - 1), _mark("pass"))
            if absent := [check for check in members if check.verdict == "unavailable"]:
                grid.add_row(Text(f"{len(absent)} not available", style=_STYLE["unavailable"]))
            grid.add_section()
        return grid


def _row(check: Check, numbers: int) -> Iterable[str | Text]:
    from rich.text import Text

    values = (check.error, check.tol, check.l2, max(1 - check.cosine, 0.0))[:numbers]
    judged = check.verdict == "pass" or check.bad > 0
    name = Text(f"  {clean(check.name)}")
    if sample := wording.sampled(check):
        name.append(f"\n    {sample}", style="dim")
    cells = [number(value) if judged else "" for value in values]
    return (name, wording.shape(check), *cells, _mark(check.verdict))


def _mark(verdict: str) -> Text:
    from rich.text import Text

    return Text("FAIL" if verdict == "fail" else verdict, style=_STYLE[verdict])


def _told(check: Check) -> Text:
    from rich.text import Text

    text = Text(wording.told(check))
    text.highlight_words(["FAIL", "not available"], _STYLE[check.verdict])
    return text


def _mismatches(checks: Sequence[Check], worst: int) -> list[Text]:
    """Where the worst failures begin."""
    from rich.text import Text

    beyond = wording.worst_first(check for check in checks if check.bad)
    lines = [Text(f"{wording.title(check)}: {wording.mismatch(check)}") for check in beyond[:worst]]
    rest = len(beyond) - len(lines)
    return [*lines, Text(f"and {rest} more with elements beyond their bounds")] if rest else lines


def _notes(checks: Sequence[Check]) -> list[Text]:
    """Each note once, with the tensors that it is about."""
    from rich.text import Text

    about: dict[str, list[str]] = {}
    for check in checks:
        if check.note:
            about.setdefault(clean(check.note), []).append(clean(check.name))
    lines = []
    for note, names in about.items():
        distinct = list(dict.fromkeys(names))
        more = f" and {len(distinct) - _NAMED} more" if len(distinct) > _NAMED else ""
        lines.append(Text(f"{', '.join(distinct[:_NAMED])}{more}: {note}"))
    return lines
