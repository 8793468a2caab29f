"""Numbers of bytes as people write and read them."""

from __future__ import annotations

import re

from graphkit.errors import InputError

__all__ = ["parse_size", "sized"]


def sized(count: int) -> str:
    """A number of bytes for people, e.g. ``46.8 MB``."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.95 or unit == "TB":
            break
    return f"{amount:.1f} {unit}"


def parse_size(text: str) -> int:
    """Bytes of a size as people write it: ``5GB``, ``500 MB``, ``2GiB`` or a plain number.

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b|b)?\s*", text, re.IGNORECASE)
    if match is None:
        raise InputError(f"{text!r} is no size; write a number of bytes with or without a unit, e.g. 5GB or 500MiB.")
    power = " kmgt".index(match[2].lower()) if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)
