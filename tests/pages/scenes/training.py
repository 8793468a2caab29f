"""What docs/training.md trains: a network with a normalisation as a program, a classifier as MXNet's symbol."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort", "mxnet")
_CLASSIFIER = """
import numpy as np
np.bool = bool
import mxnet as mx

mx.random.seed(0)
hidden = mx.sym.Activation(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=6, name="hidden"), act_type="tanh")
net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(hidden, num_hidden=3, name="scores"), name="softmax")
shapes, _, _ = net.infer_shape(data=(2, 4))
arrays = {name: mx.nd.random.normal(shape=shape, scale=0.5)
          for name, shape in zip(net.list_arguments(), shapes) if name not in ("data", "softmax_label")}
mx.model.save_checkpoint("net", 0, net, arrays, {})
"""


def prepare(folder: Path) -> None:
    """Write both."""
    import torch
    from torch import nn

    from graphkit.frameworks.mxnet.run import interpreter
    from pages.models import exported

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3))
    exported(net, (2, 3, 8, 8), folder / "net.pt2")
    command = [interpreter(), "-W", "ignore", "-c", _CLASSIFIER]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
