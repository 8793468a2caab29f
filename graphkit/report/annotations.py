"""What GitHub Actions shows of a report: annotations beside the code, and the summary page of the run.

Workflow commands and how they are escaped: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
and ``actions/toolkit``, ``packages/core/src/command.ts``. GitHub keeps ten annotations of each level for a step.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from graphkit.errors import InputError
from graphkit.report import wording
from graphkit.report.markdown import to_markdown
from graphkit.report.report import Check, Report
from graphkit.report.wording import number
from graphkit.text import clean

__all__ = ["annotations", "summary"]

_MOST: Final = 10
_SUMMARY: Final = 1024 * 1024
"""Bytes that a step may add to its summary."""


def annotations(report: Report) -> list[str]:
    """Workflow commands that make GitHub show the failures and warnings of a report; one for each line of stdout.

    Returns:
        An error for each failure, the worst first, or one that says that nothing was compared; then a warning for each
        of the report's. Of either there are at most ten: the last one counts those that are left.
    """
    failed = wording.worst_first(check for check in report.checks if check.verdict == "fail")
    errors = [(wording.title(check), _sentence(check)) for check in failed]
    if not errors and not report.passed:
        errors = [("parity", wording.verdict(report))]
    warnings = [("parity", clean(warning)) for warning in report.warnings]
    return [*_commands("error", errors, "failure"), *_commands("warning", warnings, "warning")]


def summary(report: Report, environment: Mapping[str, str]) -> bool:
    """Append the report to the summary page of a step of GitHub Actions.

    Args:
        report: What was found.
        environment: The process's environment; ``GITHUB_STEP_SUMMARY`` names the file of the page.

    Returns:
        Whether there is such a page.

    Raises:
        InputError: The file cannot be written.
    """
    path = environment.get("GITHUB_STEP_SUMMARY", "")
    if not path:
        return False
    text = to_markdown(report, worst=20)
    room = _SUMMARY - (Path(path).stat().st_size if Path(path).exists() else 0)
    if len(text.encode()) + 2 > room:
        text = f"**{wording.verdict(report)}**\n"
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    except OSError as error:
        raise InputError(f"The summary {path}, which GITHUB_STEP_SUMMARY names, cannot be written: {error}.") from error
    return True


def _sentence(check: Check) -> str:
    parts = wording.details(check)
    if check.bad:
        parts.insert(0, f"error {number(check.error)}, bound {number(check.tol)}")
    return f"{wording.between(check)}: {'; '.join(parts) or 'not in parity'}"


def _commands(level: str, told: list[tuple[str, str]], what: str) -> list[str]:
    shown = told if len(told) <= _MOST else told[: _MOST - 1]
    if rest := len(told) - len(shown):
        shown = [*shown, ("parity", f"{wording.count(rest, f'further {what}')}; see the report.")]
    return [f"::{level} title={_property(title)}::{_data(text)}" for title, text in shown]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
