"""A small network with BatchNorm and Dropout as a program and as an ONNX file, and a classifier as MXNet's symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

import graphkit
from graphkit.frameworks.mxnet import params
from pages.models import Row, exported, symbol

if TYPE_CHECKING:
    from pathlib import Path

_NODES: tuple[Row, ...] = (
    ("null", "data", {}, ()),
    ("null", "scores_weight", {}, ()),
    ("null", "scores_bias", {}, ()),
    ("FullyConnected", "scores", {"num_hidden": "3"}, (0, 1, 2)),
    ("null", "softmax_label", {}, ()),
    ("SoftmaxOutput", "softmax", {}, (3, 4)),
)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.drop, self.fc = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(), nn.Linear(8, 5)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.fc(self.drop(torch.relu(self.bn(self.conv(image))).mean((2, 3))))
        return out


def prepare(folder: Path) -> None:
    torch.manual_seed(0)
    exported(_Net(), (4, 3, 8, 8), folder / "net.pt2")
    graphkit.convert(folder / "net.pt2", "onnx", folder / "net.onnx")
    symbol(_NODES, folder / "net-symbol.json")
    rng = np.random.default_rng(0)
    arrays = {"arg:scores_weight": rng.standard_normal((3, 4)), "arg:scores_bias": rng.standard_normal(3)}
    params.write(folder / "net-0000.params", {name: array.astype(np.float32) for name, array in arrays.items()})
