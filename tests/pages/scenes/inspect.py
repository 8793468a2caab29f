"""ResNet-18 as an exported program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from networks import BasicBlock, ResNet

from pages.models import exported

if TYPE_CHECKING:
    from pathlib import Path


def prepare(folder: Path) -> None:
    torch.manual_seed(0)
    exported(ResNet(BasicBlock, (2, 2, 2, 2)), (2, 3, 224, 224), folder / "resnet18.pt2")
