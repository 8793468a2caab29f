"""The exported LeNet that docs/provenance.md converts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch",)


def prepare(folder: Path) -> None:
    """Write the program."""
    from networks import NETWORKS

    from pages.models import exported

    exported(NETWORKS["lenet"].module(), NETWORKS["lenet"].shape, folder / "lenet.pt2")
