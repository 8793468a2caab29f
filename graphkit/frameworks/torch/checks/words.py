"""Words of lists and of messages."""

from __future__ import annotations

from typing import Final

__all__ = ["shown", "words"]

_LONGEST: Final = 80


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def shown(text: str) -> str:
    """A text of a file in a message: quoted, and cut where it is long."""
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")
