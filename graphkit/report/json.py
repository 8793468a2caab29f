"""The full form of a report: JSON text that reads back as an equal report."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

from graphkit.errors import FormatError
from graphkit.report.report import Check, Report

__all__ = ["FORMAT", "from_json", "to_json"]

FORMAT = 1
"""Version of the layout; it grows when a field changes its meaning, not when one is added."""


def to_json(report: Report) -> str:
    """Write a report as JSON.

    JSON has no infinities and no NaN; such numbers are written as the strings ``"inf"``, ``"-inf"`` and ``"nan"``.
    """
    document = {
        "graphkit_report": FORMAT,
        "title": report.title,
        "passed": report.passed,
        "environment": report.environment,
        "warnings": list(report.warnings),
        "checks": [
            {field.name: _plain(getattr(check, field.name)) for field in fields(Check)} for check in report.checks
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> Report:
    """Read what :func:`to_json` wrote.

    Raises:
        FormatError: The text is not such a report.
    """
    try:
        document = json.loads(text)
        if document["graphkit_report"] != FORMAT:
            raise FormatError(
                f"The report has layout {document['graphkit_report']!r}, this graphkit reads layout {FORMAT}; "
                f"write it again with this version."
            )
        return Report(
            title=document["title"],
            checks=tuple(_check(entry) for entry in document["checks"]),
            environment=dict(document["environment"]),
            warnings=tuple(document["warnings"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"This is not a report that graphkit wrote: {error!r}.") from error


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _check(entry: dict[str, Any]) -> Check:
    floats = {"max_abs", "peak", "error", "l2", "cosine", "tol", "floor"}
    values: dict[str, Any] = {key: float(value) if key in floats else value for key, value in entry.items()}
    values["shape"] = tuple(values["shape"])
    return Check(**values)
