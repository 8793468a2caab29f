"""A difference as JSON: the layout of docs/diff.md."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from graphkit.text import json_text

if TYPE_CHECKING:
    from graphkit.inspecting.difference.difference import Difference

__all__ = ["FORMAT", "document", "to_json"]

FORMAT: Final = 1
"""Version of the layout; it grows when a reader of the last one would be misled."""


def to_json(difference: Difference, *, unabridged: bool = False) -> str:
    """Write a difference as JSON.

    Args:
        difference: What is different.
        unabridged: Whether what is the same is listed, too.
    """
    return json_text(document(difference, unabridged=unabridged))


def document(difference: Difference, *, unabridged: bool = False) -> dict[str, Any]:
    """A difference as data that JSON can hold; NaN and infinities are the strings ``"nan"``, ``"inf"``, ``"-inf"``."""
    found = {
        "format": FORMAT,
        "same": difference.same,
        "counts": difference.counts(),
        "ignored": sorted(difference.ignored),
        "left": asdict(difference.left),
        "right": asdict(difference.right),
        "inputs": [asdict(each) for each in difference.inputs if unabridged or each.status != "same"],
        "outputs": [asdict(each) for each in difference.outputs if unabridged or each.status != "same"],
        "nodes": [
            {"index": index, **asdict(each)}
            for index, each in enumerate(difference.nodes)
            if unabridged or each.status != "same" or each.parameters
        ],
        "parameters": [
            {"index": index, **asdict(each)}
            for index, each in enumerate(difference.parameters)
            if unabridged or each.status != "same"
        ],
        "rewrites": [asdict(each) for each in difference.rewrites],
        "metadata": [asdict(each) for each in difference.metadata],
        "warnings": list(difference.warnings),
    }
    plain: dict[str, Any] = _plain(found)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
