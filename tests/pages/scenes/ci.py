"""A project: its models, the module that they were made of, and a quicker model that is nearly the same."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING

import torch

import graphkit
from pages.models import exported

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("mxnet", "ort")

_NETS = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(144, 5)

    def forward(self, x):
        return self.head(self.body(x))
"""


def prepare(folder: Path) -> None:
    models, module = folder / "models", folder / "mypackage" / "nets.py"
    for path in (models, module.parent, folder / "tests"):
        path.mkdir()
    module.write_text(_NETS.lstrip(), encoding="utf-8")
    torch.manual_seed(0)
    net = runpy.run_path(str(module))["Net"]().eval()
    torch.save(net.state_dict(), models / "net.pt")
    exported(net, (2, 3, 8, 8), models / "net.pt2")
    graphkit.convert(models / "net.pt2", "onnx", models / "net.onnx")
    graphkit.convert(models / "net.pt2", "mxnet", models / "net")
    with torch.no_grad():
        net.head.weight *= 1.01
    graphkit.save(graphkit.load(net, inputs=[(2, 3, 8, 8)]), models / "quick.onnx", to="onnx")
