"""Text that people read in a terminal, a picture or a page, made of names that may hold anything."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NAME_LIMIT", "clean", "json_text", "several", "short"]

NAME_LIMIT: Final = 36
"""Characters of a name that a label shows."""


_HIDDEN: Final = re.compile(
    r"[^\n -~\xa1-\U0010ffff]|[\xad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff]"
)
"""Characters of a JSON document that are not seen, steer a terminal or cannot be encoded."""


def json_text(document: object) -> str:
    """A document as JSON for people and programs, with escapes for what steers a terminal, is not seen or is no text.

    Raises:
        ValueError: There is a number in it that JSON has not: nan or an infinity.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def clean(text: str) -> str:
    """Text of one line that every output format can hold: control and invisible characters become visible signs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(char) for char in text)


def several(items: Sequence[str], most: int, separator: str = ", ") -> str:
    """The first of some items, and how many more there are, e.g. ``a, b, c and 1,200 more``."""
    more = len(items) - most
    return separator.join(items[:most]) + (f" and {more:,} more" if more > 0 else "")


def _visible(char: str) -> str:
    if char.isprintable() or char == "\u200d":  # the joiner inside emoji
        return char
    if char < " ":
        return chr(0x2400 + ord(char))
    return " " if char.isspace() else "\ufffd"


def short(text: str, limit: int = NAME_LIMIT) -> str:
    """Clean text with its middle left out where it is longer than the limit; the end of a name tells most."""
    if len(text) > limit:
        tail = (limit - 1) * 3 // 5
        text = f"{text[: limit - 1 - tail]}…{text[-tail:]}"
    return clean(text)
