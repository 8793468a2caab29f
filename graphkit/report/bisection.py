"""The faces of a bisection: what it found in words for a terminal, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphkit.report import wording
from graphkit.report.json import document, plain
from graphkit.text import clean, json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, Group, RenderableType
    from rich.text import Text

    from graphkit.report.findings import Bisection, Finding, Suspect

__all__ = ["to_json", "told"]

_SHOWN: Final = 5
"""Suspects of a side that are told one by one."""
_COMMAND: Final = "cyan"
"""Style of what is to be copied."""
_DOES: Final = {
    "forward": "computes something else",
    "backward": "has another gradient",
    "training": "moves its statistics otherwise",
}


def told(found: Bisection) -> Group:
    """Lay a bisection out for a terminal.

    Returns:
        Something that rich prints, sentences as wide as the console; print it uncropped, for commands and names of
        files stay in one piece.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(clean(found.report.title), style="bold")]
    parts += [Text(clean(line), style="dim") for line in found.report.matching]
    parts += [Text(f"warning: {clean(warning)}", style="yellow") for warning in found.report.warnings]
    for indent, line, style in _lines(found):
        whole = style == _COMMAND
        parts.append(_Indented(Text(line, style, no_wrap=whole, overflow="ignore" if whole else None), indent))
    return Group(*parts)


@dataclass(frozen=True, slots=True)
class _Indented:
    """A paragraph of which every line is indented."""

    text: Text
    indent: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = options.max_width - self.indent
        for line in self.text.wrap(console, width, overflow=self.text.overflow, no_wrap=self.text.no_wrap):
            line.rstrip()
            line.pad_left(self.indent)
            line.overflow = "ignore"
            yield line


def _lines(found: Bisection) -> Iterator[tuple[int, str, str]]:
    """What was found in sentences, each with its indent and its style."""
    gradients = any(check.kind.endswith("gradient") for check in found.report.checks)
    what = "no value and no gradient" if gradients else "no value"
    for finding in found.findings:
        between = f"{clean(finding.reference)} | {clean(finding.side)}"
        if finding.first is None:
            yield 0, f"{between}: {what} differs.", "green"
            continue
        node = f" of {clean(str(finding.node))}" if finding.node is not None else ""
        check = finding.first
        size = f"error {wording.number(check.error)}, bound {wording.number(check.tol)}"
        yield 0, f"{between}: first differs in {clean(check.what)}{node}: {size}.", "bold red"
        yield from _causes(finding)


def to_json(found: Bisection) -> str:
    """Write a bisection as JSON, with the report in it as :func:`graphkit.report.json.to_json` has it."""
    told = {"passed": found.passed, "findings": plain(found.findings), "report": document(found.report)}
    return json_text(told)


def _causes(finding: Finding) -> Iterator[tuple[int, str, str]]:
    for suspect in finding.suspects[:_SHOWN]:
        yield 2, _sentence(suspect), ""
        if suspect.files:
            folder, names = suspect.files[0].parent, [each.name for each in suspect.files]
            yield 4, f"{', '.join(names[:-1])} and {names[-1]} in {folder} reproduce it:", ""
            yield 6, suspect.shown_by, _COMMAND
    if more := finding.suspects[_SHOWN:]:
        yield 2, f"and {wording.count(len(more), 'further node')}: {', '.join(clean(each.name) for each in more)}", ""
    if finding.note:
        yield 2, f"The nodes could not be looked at one by one: {clean(finding.note)}", ""
    elif not finding.suspects:
        yield 2, "No node is wrong on its own: what each gives, fed what the reference has before it, is right.", ""
        for times, check in finding.growth:
            grown = f"{times:.1f} times the largest before it"
            yield 4, f"the error accumulates at {clean(check.name)}: {wording.number(check.error)}, {grown}", ""


def _sentence(suspect: Suspect) -> str:
    check = suspect.check
    names = [clean(str(node)) for node in suspect.nodes]
    who = names[0] if len(names) == 1 else f"One of {', '.join(names[:-1])} and {names[-1]}"
    beyond = wording.mismatch(check) or check.note
    size = f"error {wording.number(check.error)}, bound {wording.number(check.tol)}" if check.bad else ""
    detail = "; ".join(filter(None, (f"{clean(check.name)}: {size}" if size else clean(check.name), clean(beyond))))
    return f"{who} {_DOES[suspect.direction]}, fed what the reference has: {detail}."
