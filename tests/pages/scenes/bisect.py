"""A residual network as a program and as an ONNX file, in which a convolution is padded on the wrong sides."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING

import onnx
import torch

import graphkit
from pages.models import exported

if TYPE_CHECKING:
    from pathlib import Path

_NET = """
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        return (x + y).relu()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.layers = nn.Sequential(Block(8), Block(8), Block(8))
        self.head = nn.Linear(8, 10)

    def forward(self, image):
        y = self.layers(self.stem(image).relu())
        return self.head(y.mean((2, 3)))
"""


NEEDS = ("mxnet",)


def prepare(folder: Path) -> None:
    source = folder / "net.py"
    source.write_text(_NET.lstrip(), encoding="utf-8")
    torch.manual_seed(0)
    exported(runpy.run_path(str(source))["Net"](), (2, 3, 32, 32), folder / "net.pt2")
    graphkit.convert(folder / "net.pt2", "onnx", folder / "net.onnx")
    model = onnx.load(folder / "net.onnx")
    (node,) = [node for node in model.graph.node if node.name == "layers.1.conv2"]
    (pads,) = [attribute for attribute in node.attribute if attribute.name == "pads"]
    pads.ints[:] = [0, 0, 2, 2]
    onnx.save(model, folder / "net.onnx")
