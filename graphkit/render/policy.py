"""What a page's Content-Security-Policy lets run: the page's own scripts and style, by their hashes."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["hash_source"]


def hash_source(text: str) -> str:
    """A source expression of a Content-Security-Policy (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
