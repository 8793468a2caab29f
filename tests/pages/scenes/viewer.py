"""What docs/viewer.md shows: a small network as a program and as MXNet's symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort")


def prepare(folder: Path) -> None:
    """Write them."""
    import torch
    from torch import nn

    import graphkit
    from pages.models import exported

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    exported(net, (2, 3, 8, 8), folder / "net.pt2")
    graphkit.convert(folder / "net.pt2", "mxnet", folder / "net")
