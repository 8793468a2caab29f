"""What is wrong with a file, told by whoever finds it; who opened the file says which one it is."""

from __future__ import annotations

__all__ = ["DamageError"]


class DamageError(Exception):
    """A file contradicts its format; the message is a clause about "it", without a full stop."""
