"""The pages of the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["ROOT", "pages"]

ROOT: Final = Path(__file__).resolve().parents[2]
_TOP: Final = ("README.md", "CONTRIBUTING.md", "SECURITY.md")


def pages() -> list[Path]:
    """Every page that is held to what it shows."""
    return [*(ROOT / name for name in _TOP), *sorted((ROOT / "docs").rglob("*.md"))]
