"""What MXNet's error messages say."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NOISE", "gist"]

NOISE: Final = ("Traceback (most recent", "File ", "Stack trace", "[bt]", "^")
"""How lines of its traces begin."""


def gist(error: str) -> str:
    """What an MXNet error says, without its traces, and without a full stop."""
    lines = [line.strip() for line in error.splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(NOISE))
    text = re.sub(r"\[\d\d:\d\d:\d\d\] \S+:\d+: |MXNetError:", "", text)
    return " ".join(text.split())[:800].rstrip(".: ")
