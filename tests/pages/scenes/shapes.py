"""The program that docs/shapes.md converts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch",)


def prepare(folder: Path) -> None:
    """Write the program."""
    import torch

    from pages.models import exported

    exported(torch.nn.Linear(4, 2), (2, 4), folder / "model.pt2")
