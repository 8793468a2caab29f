"""The terminal's form of a report: tables of checks, the worst first, and a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from graphkit.report.report import Check, Report

__all__ = ["table"]

_GROUPS = (("output", "Outputs"), ("input gradient", "Input gradients"), ("parameter gradient", "Parameter gradients"))
_ORDER = {"fail": 0, "pass": 1, "unavailable": 2}
_STYLE = {"fail": "bold red", "pass": "green", "unavailable": "yellow"}
_WORD = {"fail": "FAIL", "pass": "pass", "unavailable": "not available"}


def table(report: Report, *, worst: int = 8) -> Group:
    """Lay a report out for a terminal.

    Args:
        report: What was found.
        worst: How many checks of each group to show, those nearest to their bound or furthest beyond it; the others
            are summed up in a line. Failures are always shown, all of them.

    Returns:
        Something that rich prints, as wide as the console.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[Text | Table | Padding] = [Text(report.title, style="bold")]
    known = {kind for kind, _ in _GROUPS}
    for kind, heading in _GROUPS:
        checks = [check for check in report.checks if check.kind == kind]
        if checks:
            parts += [Text(), Padding(_group(heading, checks, worst), (0, 0, 0, 2))]
            parts += [Padding(_rest(line), (0, 0, 0, 4)) for line in _summaries(checks, worst)]
    others = [check for check in report.checks if check.kind not in known]
    parts += [Text(), *(Padding(_sentence(check), (0, 0, 0, 2)) for check in others)] if others else []
    parts += [Text(f"warning: {warning}", style="yellow") for warning in report.warnings]
    parts += [Text(), _environment(report), _verdict(report)]
    return Group(*parts)


def _severity(check: Check) -> tuple[int, float, str]:
    closeness = check.max_rel / check.tol if check.tol > 0 else check.max_rel
    return (_ORDER[check.verdict], -closeness if closeness == closeness else float("-inf"), check.name)


def _shown(checks: Sequence[Check], worst: int) -> tuple[list[Check], list[Check]]:
    ordered = sorted(checks, key=_severity)
    failures = sum(check.verdict == "fail" for check in ordered)
    count = max(worst, failures)
    return (ordered[:count], ordered[count:]) if len(ordered) > count + 1 else (ordered, [])


def _group(heading: str, checks: Sequence[Check], worst: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("tensor", overflow="fold", min_width=8)
    grid.add_column("between", overflow="fold")
    grid.add_column("shape", overflow="fold")
    grid.add_column("dtype", no_wrap=True)
    for heading_ in ("max|d|/max|ref|", "bound", "l2", "1 - cosine"):
        grid.add_column(heading_, justify="right", no_wrap=heading_ != "max|d|/max|ref|", overflow="fold")
    grid.add_column("verdict", overflow="fold")
    for check in _shown(checks, worst)[0]:
        numbers = [_number(check.max_rel), _number(check.tol), _number(check.l2), _number(1 - check.cosine)]
        if check.verdict == "unavailable" or not check.size:
            numbers = [""] * len(numbers)
        verdict = Text(_WORD[check.verdict], style=_STYLE[check.verdict])
        if check.verdict == "fail" and check.bad:
            verdict.append(f" ({check.bad} of {check.size})", style="not bold")
        if check.note:
            verdict.append(f": {check.note}", style="not bold dim" if check.verdict == "pass" else "not bold")
        shape = "×".join(map(str, check.shape)) or ("scalar" if check.size else "")
        grid.add_row(check.name, f"{check.left} | {check.right}", shape, check.dtype, *numbers, verdict)
    return grid


def _summaries(checks: Sequence[Check], worst: int) -> Iterable[str]:
    _, rest = _shown(checks, worst)
    pairs = dict.fromkeys((check.left, check.right) for check in rest)
    for left, right in pairs:
        same = [check for check in rest if (check.left, check.right) == (left, right) and check.verdict == "pass"]
        if same:
            largest = max(check.max_rel for check in same)
            yield f"{len(same)} more between {left} and {right} pass, none above {_number(largest)}."
        absent = sum(check.verdict == "unavailable" for check in rest if (check.left, check.right) == (left, right))
        if absent:
            yield f"{absent} more between {left} and {right} are not available."


def _rest(line: str) -> Text:
    from rich.text import Text

    return Text(line, style="dim")


def _sentence(check: Check) -> Text:
    from rich.text import Text

    text = Text(f"{check.what} on {check.right}: ")
    text.append(_WORD[check.verdict], style=_STYLE[check.verdict])
    return text.append(f" ({check.note})" if check.note else "")


def _environment(report: Report) -> Text:
    from rich.text import Text

    return Text(", ".join(f"{name} {value}".strip() for name, value in report.environment.items()), style="dim")


def _verdict(report: Report) -> Text:
    from rich.text import Text

    counts = {verdict: sum(check.verdict == verdict for check in report.checks) for verdict in _ORDER}
    compared = counts["pass"] + counts["fail"]
    absent = f"; {counts['unavailable']} not available" if counts["unavailable"] else ""
    tensors = "tensor" if compared == 1 else "tensors"
    if report.passed:
        return Text(f"In parity: {compared} {tensors} compared, all within their bounds{absent}.", style="bold green")
    if not compared:
        return Text(f"Nothing was compared{absent}.", style="bold red")
    return Text(f"Not in parity: {counts['fail']} of {compared} {tensors} failed{absent}.", style="bold red")


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"
