"""The full form of a report: JSON text that reads back as an equal report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from graphkit.errors import FormatError
from graphkit.report.report import Check, Report
from graphkit.text import json_text

__all__ = ["FORMAT", "document", "from_json", "plain", "to_json"]

FORMAT = 2
"""Version of the layout; it grows when a field changes its meaning, not when one is added."""

T = TypeVar("T", Check, Report)


_KINDS: Final = {cls.__name__: get_type_hints(cls, localns={"Mapping": Mapping}) for cls in (Check, Report)}
"""Types of the fields."""


def to_json(report: Report) -> str:
    """Write a report as JSON.

    JSON has no infinities and no NaN; such numbers are written as the strings ``"inf"``, ``"-inf"`` and ``"nan"``.
    """
    return json_text(document(report))


def document(report: Report) -> dict[str, Any]:
    """What :func:`to_json` writes, in the types that JSON has."""
    return {"graphkit_report": FORMAT, "passed": report.passed, **plain(report)}


def from_json(text: str) -> Report:
    """Read what :func:`to_json` wrote.

    Raises:
        FormatError: The text is not such a report, or one of another layout.
    """
    try:
        found = json.loads(text)
        layout = found.pop("graphkit_report")
        if layout != FORMAT:
            raise FormatError(
                f"The report has layout {layout!r}, this graphkit reads layout {FORMAT}; run the verification again "
                f"with this version to write it anew, or read it with the version that wrote it."
            )
        return _filled(Report, found)
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise FormatError(
            f"This is not a report that graphkit wrote: {error!r}. Give the file of --report x.json."
        ) from error


def plain(value: Any) -> Any:
    """What JSON can hold of a value: of dataclasses their fields, of paths their text."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    match value:
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case tuple():
            return [plain(item) for item in value]
        case PurePath():
            return str(value)
        case float() if not math.isfinite(value):
            return str(value)
    return value


def _filled(cls: type[T], entries: dict[str, Any]) -> T:
    """A check or report of what was written; fields that only a newer version has are left out."""
    return cls(**{name: _read(entries[name], kind) for name, kind in _KINDS[cls.__name__].items() if name in entries})


def _read(value: Any, kind: Any) -> Any:
    """A value of an annotated type, from what :func:`plain` made of it."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Check:
        return _filled(Check, value)
    if kind is float:
        return float(value)
    if type(None) in inner:
        return None if value is None else _read(value, next(item for item in inner if item is not type(None)))
    if origin is tuple:
        items = [inner[0]] * len(value) if inner[-1] is ... else inner
        return tuple(_read(item, one) for item, one in zip(value, items, strict=True))
    if origin is not None and origin is not Literal:
        return {str(name): _read(item, inner[1]) for name, item in value.items()}
    if value not in inner if origin is Literal else not isinstance(value, kind):
        raise ValueError(f"{value!r} is not {kind}")
    return value
