"""What every face of a report says in the same words and order."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphkit.report.report import Check, Report

__all__ = [
    "HEADINGS",
    "about_passes",
    "between",
    "closeness",
    "count",
    "details",
    "element",
    "environment",
    "groups",
    "heading",
    "headline",
    "mismatch",
    "number",
    "sampled",
    "shape",
    "tensors",
    "title",
    "told",
    "verdict",
    "worst_first",
]

HEADINGS: Final = {
    "output": "outputs",
    "input gradient": "input gradients",
    "parameter gradient": "parameter gradients",
    "value": "values between nodes",
    "value gradient": "gradients between nodes",
    "loss": "loss",
    "parameter": "parameters",
    "running statistic": "running statistics",
}
"""Kinds of tensors in the order in which they are shown, and what a group of them is called."""


def tensors(report: Report) -> list[Check]:
    """The checks that are about a tensor, rather than about a whole pass."""
    return [check for check in report.checks if check.kind in HEADINGS and check.left]


def about_passes(report: Report) -> list[Check]:
    """The checks that are about a whole pass."""
    return [check for check in report.checks if check.kind not in HEADINGS or not check.left]


def closeness(check: Check) -> float:
    """The error as a share of its bound; infinite for a failure without numbers, 0 for what was not compared."""
    if check.verdict == "unavailable":
        return 0.0
    share = check.error / check.tol if check.tol else (math.inf if check.error else 0.0)
    hidden = check.verdict == "fail" and share <= 1
    return math.inf if hidden or math.isnan(share) else share


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """Failures first, then what is nearest to its bound; what was not compared comes last."""
    order = {"fail": 0, "pass": 1, "unavailable": 2}
    return sorted(checks, key=lambda check: (order[check.verdict], -closeness(check), check.name))


def groups(report: Report) -> list[tuple[str, list[Check]]]:
    """The tensors' checks by kind, sides and step under their headings, the worst first in each group."""

    def place(check: Check) -> tuple[bool, int, str, str, int]:
        return (check.step > 0, list(HEADINGS).index(check.kind), check.left, check.right, check.step)

    found = []
    for _, group in groupby(sorted(tensors(report), key=place), place):
        members = worst_first(group)
        found.append((heading(members[0]), members))
    return found


def heading(check: Check) -> str:
    """What the group of a check is called, e.g. ``"parameters after step 2, torch | mxnet"``."""
    when = ""
    if check.step:
        when = f" of step {check.step}" if check.kind in ("loss", "output") else f" after step {check.step}"
    return f"{HEADINGS[check.kind]}{when}, {between(check)}"


def between(check: Check) -> str:
    """The sides of a check."""
    return clean(f"{check.left} | {check.right}" if check.left else check.right)


def title(check: Check) -> str:
    """The check in printable words."""
    return replace(check, name=clean(check.name)).what


def number(value: float) -> str:
    """A number in the few digits that an error needs."""
    return "0" if value == 0 else f"{value:.1e}"


def shape(check: Check) -> str:
    """The shape of a tensor, e.g. ``2×3``; empty where it is not known."""
    return "×".join(map(str, check.shape)) or ("scalar" if check.dtype else "")


def count(number: int, singular: str) -> str:
    """A number with its noun."""
    return f"{number:,} {singular}{'' if number == 1 else 's'}"


def element(value: float, dtype: str) -> str:
    """An element of a tensor in the digits that its type has."""
    if not dtype.startswith("float") or dtype == "float64":
        return repr(float(value)).removesuffix(".0")
    return f"{value:.9g}"


def mismatch(check: Check) -> str:
    """How many elements are beyond the bound and what the first of them is; empty where none is."""
    if not check.bad:
        return ""
    text = f"{check.bad:,} of {count(check.size, 'element')} beyond the bound"
    if check.first is not None and check.values is not None:
        place = f" at [{', '.join(map(str, check.first))}]" if check.first else ""
        expected, found = (element(value, check.dtype) for value in check.values)
        text += f", first{place}: {found} instead of {expected}"
    return text


def sampled(check: Check) -> str:
    """Which sample the numbers are of, and how many failed; empty where there was one."""
    failed = check.failures and check.samples > 1
    fails = f"fails in {check.failures} of {count(check.samples, 'sample')}" if failed else ""
    return "; ".join(filter(None, (clean(check.sample), fails)))


def details(check: Check) -> list[str]:
    """Everything beyond the table's numbers that a reader must know of a check."""
    patterns = ""
    if any(check.nonfinite):
        patterns = f"NaN or infinite elements: {check.nonfinite[1]:,}, {check.nonfinite[0]:,} in the reference"
    return list(filter(None, (mismatch(check), patterns, sampled(check), clean(check.note))))


def told(check: Check) -> str:
    """A check about a whole pass as a sentence, e.g. ``"backward on ort: not available, it has no gradients"``."""
    state = {"fail": "FAIL", "unavailable": "not available", "pass": "pass"}[check.verdict]
    return f"{title(check)} on {clean(check.right)}: {state}{f', {clean(check.note)}' if check.note else ''}"


def verdict(report: Report) -> str:
    """The verdict in a sentence."""
    verdicts = [check.verdict for check in report.checks]
    failed, absent = verdicts.count("fail"), verdicts.count("unavailable")
    compared = len(verdicts) - absent
    rest = f"; {absent:,} not available" if absent else ""
    checks = count(compared, "check")
    if report.passed:
        return f"In parity: {checks}, all within their bounds{rest}."
    if not compared:
        return f"Nothing was compared{rest}."
    return f"Not in parity: {failed:,} of {checks} failed{rest}."


def headline(report: Report) -> str:
    """Two or three words that say how it went."""
    if report.passed:
        return "In parity"
    return "Not in parity" if any(check.verdict == "fail" for check in report.checks) else "Nothing compared"


def environment(report: Report) -> list[str]:
    """Versions and settings, e.g. ``"numpy 1.23.5"``."""
    return [clean(value if value.startswith(name) else f"{name} {value}") for name, value in report.environment.items()]
