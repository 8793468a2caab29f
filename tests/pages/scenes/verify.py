"""What docs/verify.md compares: a small network as a program, as ONNX and as MXNet's symbol, and data of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort", "mxnet")


def prepare(folder: Path) -> None:
    """Write them."""
    import torch
    from torch import nn

    import graphkit
    from pages.models import exported

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    exported(net, (2, 3, 8, 8), folder / "net.pt2")
    model = graphkit.load(folder / "net.pt2")
    graphkit.save(model, folder / "net.onnx", to="onnx")
    graphkit.save(model, folder / "net", to="mxnet")
    images = np.random.default_rng(0).standard_normal((4, 3, 8, 8))
    np.save(folder / "batch.npy", images.astype(np.float32))
