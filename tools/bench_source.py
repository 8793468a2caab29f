"""Compare PyTorch source that graphkit writes with modules written by hand: lines, and speed in one process.

    python tools/bench_source.py [ROUNDS]

The networks are ResNet-50 v1, MobileNet-v2 and DenseNet-121 of ``mxnet.gluon.model_zoo.vision``. The targets are fewer
than 150 lines, and at most 1.05 times the time of the module written by hand, which is shown to compute the same first.
Figures are medians of pairs that are run in turn, in processor time of one thread, which other load hardly changes.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import gluonzoo
import safetensors.torch
import torch
from networks import Bottleneck, DenseNet, ResNet
from torch import Tensor, nn

import graphkit

LINES = 150
RATIO = 1.05
CLASSES = 1000


class BottleneckV1(Bottleneck):
    """The stride is in the first 1 × 1 convolution, and those have biases."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__(inputs, planes, stride)
        self.conv1 = nn.Conv2d(inputs, planes, 1, stride)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.conv3 = nn.Conv2d(planes, planes * 4, 1)


def resnet50() -> nn.Module:
    net = ResNet(BottleneckV1, (3, 4, 6, 3))
    net.fc = nn.Linear(2048, CLASSES)
    return net


def densenet121() -> nn.Module:
    net = DenseNet()
    net.classifier = nn.Linear(1024, CLASSES)
    return net


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class LinearBottleneck(nn.Module):
    """Gluon's has the expanding convolution also where it expands by 1."""

    def __init__(self, inputs: int, outputs: int, expand: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.conv = nn.Sequential(
            *conv_norm(inputs, hidden),
            nn.ReLU6(inplace=True),
            *conv_norm(hidden, hidden, 3, stride, hidden),
            nn.ReLU6(inplace=True),
            *conv_norm(hidden, outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv(x) if self.residual else self.conv(x)
        return out


class MobileNetV2(nn.Module):
    """Gluon's MobileNetV2 of width 1, which ends in a convolution."""

    def __init__(self) -> None:
        super().__init__()
        channels = [32, 16, *[24] * 2, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320]
        strides = {1: 2, 3: 2, 6: 2, 13: 2}
        self.features = nn.Sequential(
            *conv_norm(3, 32, 3, 2),
            nn.ReLU6(inplace=True),
            *(
                LinearBottleneck(inputs, outputs, 6 if i else 1, strides.get(i, 1))
                for i, (inputs, outputs) in enumerate(pairwise(channels))
            ),
            *conv_norm(320, 1280),
            nn.ReLU6(inplace=True),
            nn.AdaptiveAvgPool2d(1),
        )
        self.classifier = nn.Conv2d(1280, CLASSES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).flatten(1)


NETWORKS = {"resnet50_v1": resnet50, "mobilenetv2_1.0": MobileNetV2, "densenet121": densenet121}


def generated(name: str, folder: Path) -> tuple[nn.Module, int]:
    """The module that graphkit writes for one of MXNet's networks, loaded as its users do, and its lines."""
    symbol = gluonzoo.make(folder, [name])[name]
    source, weights = graphkit.convert(symbol, "torch", folder / "written")
    spec = importlib.util.spec_from_file_location("model", source)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    classes = [item for item in vars(module).values() if isinstance(item, type) and item.__module__ == "model"]
    net: nn.Module = classes[-1]()
    net.load_state_dict(safetensors.torch.load_file(weights))
    return net, len(source.read_text().splitlines())


def same_arrays(own: nn.Module, other: nn.Module) -> None:
    """Give a module the arrays of another that has the same ones in the same order."""
    states = own.state_dict()
    arrays = [array for name, array in other.state_dict().items() if not name.endswith("num_batches_tracked")]
    names = [name for name in states if not name.endswith("num_batches_tracked")]
    own.load_state_dict(dict(zip(names, arrays, strict=True)), strict=False)


def seconds(net: nn.Module, x: Tensor, *, train: bool) -> float:
    start = time.process_time()
    if train:
        net(x).sum().backward()
    else:
        with torch.no_grad():
            net(x)
    return time.process_time() - start


def main(rounds: int) -> int:
    torch.set_num_threads(1)
    print(f"{'':18}{'lines':>6}{'target':>8}  {'pass':10}{'batch':>6}{'ms':>8}{'by hand':>9}{'ratio':>7}{'target':>8}")
    worst = 0.0
    for name, write in NETWORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            ours, lines = generated(name, Path(folder))
        theirs = write()
        same_arrays(theirs, ours)
        worst = max(worst, lines / (LINES - 1))
        for train, batch in ((False, 1), (False, 8), (True, 4)):
            x = torch.randn(batch, 3, 224, 224)
            nets = [net.train(train) for net in (ours, theirs)]
            if not train:
                with torch.no_grad():
                    outputs = [net(x) for net in nets]
                torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-4 * float(outputs[1].abs().max()))
            pairs = []
            for number in range(rounds + 1):
                order = (0, 1) if number % 2 else (1, 0)
                pair = {index: seconds(nets[index], x, train=train) for index in order}
                pairs.append((pair[0], pair[1]))
            first, second = (statistics.median(figures) for figures in zip(*pairs[1:], strict=True))
            ratio = statistics.median(a / b for a, b in pairs[1:])
            worst = max(worst, ratio / RATIO)
            pass_ = "training" if train else "inference"
            print(
                f"{name:18}{lines:6}{f'<{LINES}':>8}  {pass_:10}{batch:6}{1e3 * first:8.1f}{1e3 * second:9.1f}"
                f"{ratio:7.3f}{f'{RATIO}':>8}",
                flush=True,
            )
    return int(worst > 1)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 21))
