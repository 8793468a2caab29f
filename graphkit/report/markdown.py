"""A report as GitHub-flavoured Markdown, for summaries of CI runs and comments on pull requests."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from graphkit.report import wording
from graphkit.report.wording import number
from graphkit.text import clean, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphkit.report.report import Check, Report

__all__ = ["escaped", "to_markdown"]

_MARK: Final = {"fail": "❌", "pass": "✅", "unavailable": "⚪"}
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~$])")
"""What begins markup inside a line."""
_BLOCK: Final = re.compile(r"^(\d*)(?=[#+.)-])")
"""What begins markup at the start of a line: a heading, an item of a list."""
_REFERENCE: Final = re.compile(r"([@#])(?=\w)")
"""What GitHub links: a person, an issue."""
_LONGEST: Final = 120
"""Characters of a name."""
_TOLD: Final = 300
"""Characters of a note."""
_ITEMS: Final = 20
"""Items of a list."""
_ROOM: Final = 30_000
"""Characters of the rows that are folded away; a comment on GitHub holds 65,536 in all."""


def to_markdown(report: Report, *, worst: int = 10) -> str:
    """Write a report as Markdown: the verdict, the worst rows, and the rest folded away.

    Args:
        report: What was found.
        worst: How many rows stand in the table that is not folded: the failures first, then what is nearest to its
            bound.
    """
    return "\n".join(_lines(report, worst)) + "\n"


def _lines(report: Report, worst: int) -> Iterator[str]:
    yield f"### {'✅' if report.passed else '❌'} {escaped(report.title)}"
    yield ""
    yield f"**{wording.verdict(report)}**"
    rows = wording.worst_first(check for check in wording.tensors(report) if check.verdict != "unavailable")
    if rows:
        yield ""
        yield from _table(rows[:worst], sides=True)
    notes = [
        *_items([wording.told(check) for check in wording.about_passes(report)]),
        *_items(report.warnings, "⚠️ "),
    ]
    if notes:
        yield ""
        yield from notes
    if len(rows) > worst:
        yield from _folded(f"All {wording.count(len(wording.tensors(report)), 'check')}", _groups(report))
    elif absent := [check for check in wording.tensors(report) if check.verdict == "unavailable"]:
        yield from _folded(wording.count(len(absent), "check") + " not available", _table(absent, sides=True))
    if report.matching:
        yield from _folded("What was compared with what", _items(report.matching))
    if report.environment:
        yield from _folded("Environment", _items(wording.environment(report)))


def _groups(report: Report) -> Iterator[str]:
    room, left = _ROOM, 0
    for heading, members in wording.groups(report):
        head, rule, *rows = _table(members, sides=False)
        shown = [row for row in rows if (room := room - len(row)) > 0]
        left += len(rows) - len(shown)
        if shown:
            yield from (f"#### {escaped(heading)}", "", head, rule, *shown, "")
    if left:
        yield f"{wording.count(left, 'further check')}; the report as HTML or JSON has them all"


def _table(checks: Sequence[Check], *, sides: bool) -> Iterator[str]:
    heads = ["", "tensor", *(["sides"] if sides else []), "shape", "error", "bound", "of bound", "what to know"]
    yield _row(heads)
    yield _row(["---:" if head in ("error", "bound", "of bound") else "---" for head in heads])
    for check in checks:
        name = wording.title(check) if sides else clean(check.name)
        judged = check.verdict == "pass" or check.bad > 0
        share = wording.closeness(check)
        yield _row(
            [
                _MARK[check.verdict],
                _code(short(name, _LONGEST)),
                *([escaped(wording.between(check))] if sides else []),
                wording.shape(check),
                number(check.error) if judged else "",
                number(check.tol) if judged else "",
                f"{share:.2g}×" if judged and check.tol else "",
                escaped(short("; ".join(wording.details(check)), _TOLD)),
            ]
        )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _items(texts: Sequence[str], mark: str = "") -> Iterator[str]:
    yield from (f"- {mark}{escaped(short(text, _TOLD))}" for text in texts[:_ITEMS])
    if len(texts) > _ITEMS:
        yield f"- {mark}and {len(texts) - _ITEMS:,} more"


def _folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", f"<details><summary>{title}</summary>", "", *lines, "", "</details>")


def _code(text: str) -> str:
    """Text as code, in which nothing is markup but, in a table, the bar."""
    runs = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (runs + 1)
    space = " " if runs or text != text.strip() else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|") if text else ""


def escaped(text: str) -> str:
    """Text that means itself, in a table too: no markup, HTML, mention or reference."""
    plain = html.escape(clean(text).strip(), quote=False)
    return _REFERENCE.sub("\\1\u200b", _BLOCK.sub(r"\1\\", _SPECIAL.sub(r"\\\1", plain)))
