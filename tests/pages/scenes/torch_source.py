"""The network of docs/torch-source.md: Gluon's ResNet-50, with an eighth of its channels."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "mxnet", "ort")
_GLUON = """
import numpy as np
np.bool = bool
import mxnet as mx
from mxnet.gluon.model_zoo.vision import resnet

mx.random.seed(0)
net = resnet.ResNetV1(resnet.BottleneckV1, [3, 4, 6, 3], [8, 32, 64, 128, 256], classes=10, prefix="resnetv10_")
net.initialize(mx.init.Xavier(magnitude=2))
net.hybridize()
net(mx.nd.random.normal(shape=(2, 3, 64, 64)))
net.export("net")
"""


def prepare(folder: Path) -> None:
    """Let MXNet write the network."""
    from graphkit.frameworks.mxnet.run import interpreter

    subprocess.run(
        [interpreter(), "-W", "ignore", "-c", _GLUON], cwd=folder, check=True, capture_output=True, timeout=300
    )
