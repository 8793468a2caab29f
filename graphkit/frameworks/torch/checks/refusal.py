"""What a file holds that torch is not handed."""

from __future__ import annotations

__all__ = ["HarmfulError"]


class HarmfulError(Exception):
    """torch could be made to run code by what a file holds; the message is a clause about "it", without a full stop."""
