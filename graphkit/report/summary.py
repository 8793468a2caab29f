"""Reports in short: a line for each pair of sides that was compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.report import wording
from graphkit.report.wording import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

    from graphkit.report.report import Check, Report

__all__ = ["GAP", "STYLE", "grid", "mark", "summary"]

STYLE: Final = {"fail": "bold red", "pass": "green", "unavailable": "yellow"}
GAP: Final = 2
"""Columns between columns."""
_WIDTH: Final = 120
"""Columns of a summary as text."""


def summary(*reports: Report) -> str:
    """Sum verifications up in one table.

    Args:
        reports: What :func:`graphkit.verify` gives.

    Returns:
        A heading, and a line for each pair of sides that was compared: the largest error of each quantity, and how much
        of its bound the tensor nearest to it uses up, 1 being all of it. An error is the largest absolute difference
        over the largest magnitude of the reference tensor. A pair of which something failed ends in ``FAIL``; where
        nothing was compared, in ``not available``.
    """
    import io

    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=_WIDTH, color_system=None).print(grid(*reports))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def grid(*reports: Report) -> Table:
    """The same as a table that rich prints."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [row for report in reports for row in _rows(report)]
    kinds = [kind for kind in wording.HEADINGS if any(kind in found for _, found in rows)]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0))
    table.add_column("largest error", overflow="fold", vertical="bottom")
    for kind in kinds:
        table.add_column(wording.HEADINGS[kind].replace(" ", "\n", 1), justify="right", vertical="bottom")
    table.add_column("of its\nbound", justify="right", vertical="bottom", no_wrap=True)
    table.add_column(no_wrap=True)
    for sides, found in rows:
        checks = [check for members in found.values() for check in members if check.verdict != "unavailable"]
        verdict = "fail" if any(check.verdict == "fail" for check in checks) else "pass"
        closest = number(max(map(wording.closeness, checks))) if checks else ""
        cells = [_largest(found.get(kind, [])) for kind in kinds]
        last = mark(verdict) if checks else Text("not available", style=STYLE["unavailable"])
        table.add_row(Text(sides), *cells, closest, last)
    return table


def _rows(report: Report) -> list[tuple[str, dict[str, list[Check]]]]:
    """The tensors' checks by sides and by kind."""
    sides: dict[str, dict[str, list[Check]]] = {}
    for _, members in wording.groups(report):
        sides.setdefault(wording.between(members[0]), {}).setdefault(members[0].kind, []).extend(members)
    return list(sides.items())


def _largest(members: Sequence[Check]) -> Text:
    """The largest error of checks, in the colour of a failure if one failed; empty where nothing was compared."""
    from rich.text import Text

    failed = [check for check in members if check.verdict == "fail"]
    judged = [check for check in failed or members if check.verdict == "pass" or check.bad]
    text = number(max(check.error for check in judged)) if judged else "FAIL" if failed else ""
    return Text(text, style=STYLE["fail"] if failed else "")


def mark(verdict: str) -> Text:
    """A verdict in its colour."""
    from rich.text import Text

    return Text("FAIL" if verdict == "fail" else verdict, style=STYLE[verdict])
