"""A small network as a program and as an ONNX file, and the tools that make and measure large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

import graphkit
from pages.listing import ROOT
from pages.models import exported

if TYPE_CHECKING:
    from pathlib import Path


def prepare(folder: Path) -> None:
    (folder / "tools").symlink_to(ROOT / "tools")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 30 * 30, 10))
    exported(net, (2, 3, 32, 32), folder / "net.pt2")
    graphkit.convert(folder / "net.pt2", "onnx", folder / "net.onnx")
