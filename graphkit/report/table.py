"""The terminal's form of a report: one table, the worst first in each group, then what to know, then the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.report import wording
from graphkit.report.summary import GAP, STYLE, grid, mark
from graphkit.report.wording import number
from graphkit.text import clean, several

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, Group, RenderResult
    from rich.table import Table
    from rich.text import Text

    from graphkit.report.report import Check, Report

__all__ = ["table"]

_NUMBERS: Final = ("error", "bound", "l2", "1-cosine")
_NUMBER: Final = 8
"""Columns of a number."""
_MARK: Final = 4
"""Columns of a verdict."""
_WIDE: Final = 100
"""Columns from which on l2 and cosine are shown."""
_NAMED: Final = 3
"""Tensors that a note names before it counts the others."""


def table(report: Report, *, worst: int = 8, summary: bool = False) -> Group:
    """Lay a report out for a terminal.

    Args:
        report: What was found.
        worst: How many passed checks of each group to show, those nearest to their bounds; the others are summed up
            in a line; a quarter as many of each step of training. Failed checks are all shown, and of so many of them
            the first element beyond the bound.
        summary: Instead of tensors, show one row for each side that is compared with the reference, with the largest
            error of each quantity.

    Returns:
        Something that rich prints, as wide as the console; below 100 columns without l2 and cosine.
    """
    from rich.console import Group
    from rich.text import Text

    compared = wording.groups(report)
    parts: list[Text | _Grid | Table] = [Text(clean(report.title), style="bold")]
    parts += [Text(clean(line), style="dim") for line in report.matching]
    if compared:
        parts += [Text(), grid(report), Text()] if summary else [_Grid(compared, worst)]
        parts += [Text("error is max|difference| / max|reference|", style="dim")]
    parts += [_told(check) for check in wording.about_passes(report)]
    checks = [check for _, members in compared for check in members]
    parts += [*_mismatches(checks, worst), *_notes(checks)]
    parts += [Text(f"warning: {clean(warning)}", style="yellow") for warning in report.warnings]
    environment = ", ".join(wording.environment(report))
    parts += [Text(environment, style="dim")] if environment else []
    return Group(*parts, Text(wording.verdict(report), style="bold green" if report.passed else "bold red"))


class _Grid:
    """The groups under their headings, in the same columns; a narrow console gets those that decide."""

    def __init__(self, groups: Sequence[tuple[str, list[Check]]], worst: int) -> None:
        self.groups = [(heading, _rows(members, worst)) for heading, members in groups]
        self.shapes = max((len(wording.shape(check)) for _, members in groups for check in members), default=0)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.cells import cell_len
        from rich.text import Text

        numbers = 4 if options.max_width >= _WIDE else 2
        lines = (line for _, rows in self.groups for row in rows for line in str(row[0]).splitlines())
        names = max(map(cell_len, lines), default=0)
        shapes = min(max(self.shapes, len("shape")), options.max_width // 5)
        room = options.max_width - shapes - numbers * (_NUMBER + GAP) - _MARK - 2 * GAP
        widths = (max(min(names, room), 8), shapes)
        heads = ("tensor", "shape", *_NUMBERS[:numbers])
        head = self._columns(widths, numbers)
        head.add_row(*(Text(text, style="bold") for text in heads))
        width = sum(widths) + numbers * (_NUMBER + GAP) + _MARK + 2 * GAP
        yield Text()
        yield head
        yield Text("─" * min(width, options.max_width), style="dim")
        for heading, rows in self.groups:
            yield Text(heading, style="bold")
            columns = self._columns(widths, numbers)
            for name, shape, *cells, judged in rows:
                columns.add_row(name, shape, *cells[:numbers], judged)
            yield columns
            yield Text()

    @staticmethod
    def _columns(widths: tuple[int, int], numbers: int) -> Table:
        from rich.table import Table

        grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
        for width in widths:
            grid.add_column(width=width, overflow="fold")
        for _ in range(numbers):
            grid.add_column(width=_NUMBER, justify="right", no_wrap=True)
        grid.add_column(no_wrap=True)
        return grid


def _rows(members: list[Check], worst: int) -> list[list[Text | str]]:
    """The cells of a group, with all numbers."""
    from rich.text import Text

    failed = [check for check in members if check.verdict == "fail"]
    passed = [check for check in members if check.verdict == "pass"]
    few = -(-worst // 4) if members[0].step else worst
    shown = passed if len(passed) <= few + 1 else passed[:few]
    rows = [_row(check) for check in [*failed, *shown]]
    if rest := passed[len(shown) :]:
        largest = number(max(check.error for check in rest))
        most = largest if largest == "0" else f"≤{largest}"
        rows.append([Text(f"{len(rest)} more", style="dim"), "", most, "", "", "", mark("pass")])
    if absent := [check for check in members if check.verdict == "unavailable"]:
        rows.append([Text(f"{len(absent)} not available", style=STYLE["unavailable"]), *[""] * 6])
    return rows


def _row(check: Check) -> list[Text | str]:
    from rich.text import Text

    values = (check.error, check.tol, check.l2, max(1 - check.cosine, 0.0))
    judged = check.verdict == "pass" or check.bad > 0
    name = Text(f"  {clean(check.name)}")
    if sample := wording.sampled(check):
        name.append(f"\n    {sample}", style="dim")
    return [name, wording.shape(check), *(number(value) if judged else "" for value in values), mark(check.verdict)]


def _told(check: Check) -> Text:
    from rich.text import Text

    text = Text(wording.told(check))
    text.highlight_words(["FAIL", "not available"], STYLE[check.verdict])
    return text


def _mismatches(checks: Sequence[Check], worst: int) -> list[Text]:
    """Where the worst failures begin."""
    from rich.text import Text

    beyond = wording.worst_first(check for check in checks if check.bad)
    apart = len({wording.between(check) for check in beyond}) > 1
    lines = [
        Text(f"{wording.title(check)}{f', {wording.between(check)}' if apart else ''}: {wording.mismatch(check)}")
        for check in beyond[:worst]
    ]
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
        lines.append(Text(f"{several(distinct, _NAMED)}: {note}"))
    return lines
