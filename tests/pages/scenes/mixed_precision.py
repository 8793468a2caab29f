"""A small model."""

from __future__ import annotations

from pages.scenes.other_frameworks import prepare

__all__ = ["prepare"]
