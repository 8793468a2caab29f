"""What docs/gallery.md runs: the folder of tests of a clone, in whose root its commands are typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pages.listing import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "mxnet", "ort")


def prepare(folder: Path) -> None:
    """Make the folder look like the root of a clone."""
    (folder / "tests").symlink_to(ROOT / "tests")
