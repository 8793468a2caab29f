"""The terminal's form of a report: one table, the worst first in each group, then what to know, then the verdict."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from graphkit.report.report import Check, Report

__all__ = ["table"]

_HEADINGS: Final = {
    "output": "outputs",
    "input gradient": "input gradients",
    "parameter gradient": "parameter gradients",
    "loss": "loss",
    "parameter": "parameters",
    "running statistic": "running statistics",
}
_STYLE: Final = {"fail": "bold red", "pass": "green", "unavailable": "yellow"}
_NAMED: Final = 3
"""Tensors that a note names before it counts the others."""


def table(report: Report, *, worst: int = 8) -> Group:
    """Lay a report out for a terminal.

    Args:
        report: What was found.
        worst: How many passed checks of each group to show, those nearest to their bounds; the others are summed up
            in a line; a quarter as many of each step of training. Failed checks are all shown.

    Returns:
        Something that rich prints, as wide as the console.
    """
    from rich.console import Group
    from rich.text import Text

    compared = sorted((check for check in report.checks if check.kind in _HEADINGS and check.left), key=_order)
    passes = [check for check in report.checks if check.kind not in _HEADINGS or not check.left]
    parts: list[Text | Table] = [Text(report.title, style="bold")]
    if compared:
        parts += [_grid(compared, worst), Text("error is max|difference| / max|reference|", style="dim")]
    parts += [_told(check) for check in passes]
    parts += _notes(compared)
    parts += [Text(f"warning: {warning}", style="yellow") for warning in report.warnings]
    environment = ", ".join(
        value if value.startswith(name) else f"{name} {value}" for name, value in report.environment.items()
    )
    parts += [Text(environment, style="dim")] if environment else []
    return Group(*parts, _verdict(report))


def _order(check: Check) -> tuple[bool, int, str, str, int, bool, float, str]:
    closeness = check.error / check.tol if check.tol else (math.inf if check.error else 0.0)
    kind = list(_HEADINGS).index(check.kind)
    last = (check.verdict != "fail", -closeness, check.name)
    return (check.step > 0, kind, check.left, check.right, check.step, *last)


def _grid(checks: Sequence[Check], worst: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    grid.add_column("tensor", overflow="fold")
    grid.add_column("shape", overflow="fold")
    for heading in ("error", "bound", "l2", "1-cosine"):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for (kind, left, right, step), group in groupby(checks, lambda c: (c.kind, c.left, c.right, c.step)):
        members = list(group)
        when = f" of step {step}" if step and kind in ("loss", "output") else f" after step {step}" if step else ""
        grid.add_row(Text(f"{_HEADINGS[kind]}{when}, {left} | {right}", style="bold"), *[""] * 6)
        failed = [check for check in members if check.verdict == "fail"]
        passed = [check for check in members if check.verdict == "pass"]
        few = -(-worst // 4) if step else worst
        shown = passed if len(passed) <= few + 1 else passed[:few]
        for check in [*failed, *shown]:
            grid.add_row(*_row(check))
        if rest := passed[len(shown) :]:
            largest = _number(max(check.error for check in rest))
            grid.add_row(
                Text(f"{len(rest)} more", style="dim"),
                "",
                largest if largest == "0" else f"≤{largest}",
                "",
                "",
                "",
                _mark("pass"),
            )
        grid.add_section()
    return grid


def _row(check: Check) -> Iterable[str | Text]:
    from rich.text import Text

    numbers = [_number(number) for number in (check.error, check.tol, check.l2, max(1 - check.cosine, 0.0))]
    shape = "×".join(map(str, check.shape)) or ("scalar" if check.dtype else "")
    judged = check.verdict == "pass" or check.bad > 0
    return (Text(f"  {check.name}"), shape, *(numbers if judged else [""] * 4), _mark(check.verdict))


def _mark(verdict: str) -> Text:
    from rich.text import Text

    return Text("FAIL" if verdict == "fail" else verdict, style=_STYLE[verdict])


def _told(check: Check) -> Text:
    from rich.text import Text

    text = Text(f"{check.kind} on {check.right}: ")
    text.append({"fail": "FAIL", "unavailable": "not available"}.get(check.verdict, "pass"), _STYLE[check.verdict])
    return text.append(f", {check.note}" if check.note else "")


def _notes(checks: Sequence[Check]) -> list[Text]:
    """Each note once, with the tensors that it is about."""
    from rich.text import Text

    about: dict[str, list[str]] = {}
    for check in checks:
        beyond = f"{check.bad} of {check.size} elements beyond the bound" if check.bad else ""
        for note in filter(None, (beyond, check.note)):
            about.setdefault(note, []).append(check.name)
    lines = []
    for note, names in about.items():
        distinct = list(dict.fromkeys(names))
        more = f" and {len(distinct) - _NAMED} more" if len(distinct) > _NAMED else ""
        lines.append(Text(f"{', '.join(distinct[:_NAMED])}{more}: {note}"))
    return lines


def _verdict(report: Report) -> Text:
    from rich.text import Text

    verdicts = [check.verdict for check in report.checks]
    failed, absent = verdicts.count("fail"), verdicts.count("unavailable")
    compared = len(verdicts) - absent
    rest = f"; {absent} not available" if absent else ""
    checks = f"{compared} {'check' if compared == 1 else 'checks'}"
    if report.passed:
        return Text(f"In parity: {checks}, all within their bounds{rest}.", style="bold green")
    if not compared:
        return Text(f"Nothing was compared{rest}.", style="bold red")
    return Text(f"Not in parity: {failed} of {checks} failed{rest}.", style="bold red")


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"
