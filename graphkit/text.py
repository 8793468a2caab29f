"""Text that people read in a terminal, a picture or a page, made of names that may hold anything."""

from __future__ import annotations

from typing import Final

__all__ = ["NAME_LIMIT", "clean", "short"]

NAME_LIMIT: Final = 36
"""Characters of a name that a label shows."""


def clean(text: str) -> str:
    """Text of one line that every output format can hold: control and invisible characters become visible signs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(char) for char in text)


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
