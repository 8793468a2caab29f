"""Speed and memory, measured beside what a user would compare with.

    python tools/bench.py startup     import and --help
    python tools/bench.py resnet50    converted ResNet-50 against Gluon's own, in one process
    python tools/bench.py params      reading and writing a 550 MB parameter file (tools/bench_params.py)
    python tools/bench.py convert     ResNet-152 and VGG-16 of MXNet to ONNX and PyTorch (tools/bench_convert.py)
    python tools/bench_verify.py      verify beside the runs that it makes
    python tools/bench.py source      written PyTorch source against modules written by hand (tools/bench_source.py)
    python tools/bench.py             all of them

Figures are medians; compare ratios, which hold when the machine's speed drifts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable

HEAVY = ("torch", "mxnet", "onnxruntime", "onnx", "onnx_ir", "networkx", "pygraphviz", "sympy")

TIMED = """
import json, statistics, sys, time
import numpy as np
try:
    np.bool
except AttributeError:
    np.bool = bool
import mxnet as mx

prefix, batch, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
gluon = mx.gluon.model_zoo.vision.resnet50_v1(classes=10)
gluon.initialize(mx.init.Xavier())
ours = mx.gluon.SymbolBlock.imports(prefix + "-symbol.json", ["x"], prefix + "-0000.params")
x = mx.nd.random.normal(shape=(batch, 3, 224, 224))
nets = {"graphkit": ours, "gluon": gluon}
for net in nets.values():
    net.hybridize(static_alloc=True, static_shape=True)
    for _ in range(3):
        net(x).wait_to_read()
gluon.export(prefix + "-gluon")
seconds = {name: [] for name in nets}
for number in range(rounds):
    for name in sorted(nets, reverse=number % 2 == 1):
        start = time.perf_counter()
        nets[name](x).wait_to_read()
        seconds[name].append(time.perf_counter() - start)
ratios = [a / b for a, b in zip(seconds["graphkit"], seconds["gluon"])]
print(json.dumps({"batch": batch, "rounds": rounds, "ratio": statistics.median(ratios),
    **{name + "_ms": 1e3 * statistics.median(s) for name, s in seconds.items()}}))
"""


def resnet50_v1() -> object:
    """Gluon's resnet50_v1 in PyTorch: the stride is in the first 1 × 1 convolution, and those have biases."""
    sys.path.insert(0, str(ROOT / "tests"))
    from networks import Bottleneck, ResNet, calibrated
    from torch import nn

    class BottleneckV1(Bottleneck):
        def __init__(self, inputs: int, planes: int, stride: int) -> None:
            super().__init__(inputs, planes, stride)
            self.conv1 = nn.Conv2d(inputs, planes, 1, stride)
            self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
            self.conv3 = nn.Conv2d(planes, planes * 4, 1)

    return calibrated(ResNet(BottleneckV1, (3, 4, 6, 3)), (2, 3, 64, 64))


def startup() -> None:
    """How long the command line takes to answer, and what ``import graphkit`` pulls in."""
    found = subprocess.run(
        [PYTHON, "-c", f"import sys, graphkit; print([m for m in {HEAVY} if m in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    )
    print(f"startup: import graphkit loads of {', '.join(HEAVY)}: {found.stdout.strip()}")
    for label, command in (
        ("graphkit --help", [str(Path(PYTHON).with_name("graphkit")), "--help"]),
        ("python -c pass", [PYTHON, "-c", "pass"]),
    ):
        seconds = []
        for _ in range(11):
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds.append(time.perf_counter() - start)
        print(f"startup: {label}: {1e3 * statistics.median(seconds):.0f} ms")


def resnet50() -> None:
    """The converted network on MXNet as users run it (oneDNN on), beside Gluon's own, interleaved in one process."""
    import torch

    import graphkit

    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "resnet50"
        model = graphkit.load(resnet50_v1(), inputs=[(2, 3, 224, 224)])
        graphkit.save(model, prefix, to="mxnet")
        del model, torch
        for batch, rounds in ((1, 31), (8, 11)):
            done = subprocess.run(
                [PYTHON, "-W", "ignore", "-c", TIMED, str(prefix), str(batch), str(rounds)],
                capture_output=True,
                text=True,
                check=True,
            )
            figures = json.loads(done.stdout.strip().splitlines()[-1])
            print("resnet50: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
        counts = {
            name: len(json.loads(Path(f"{prefix}{suffix}").read_text())["nodes"])
            for name, suffix in (("graphkit", "-symbol.json"), ("gluon", "-gluon-symbol.json"))
        }
        print("resnet50: nodes " + ", ".join(f"{name} {count}" for name, count in counts.items()))


def script(name: str) -> Callable[[], None]:
    """A benchmark that is a script of its own, which fails where a target is missed."""

    def run() -> None:
        subprocess.run([PYTHON, str(ROOT / "tools" / f"bench_{name}.py")], check=True)

    return run


BENCHES = {"startup": startup, "resnet50": resnet50, **{name: script(name) for name in ("params", "convert", "source")}}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(BENCHES)
    if unknown := [name for name in chosen if name not in BENCHES]:
        sys.exit(f"no benchmark {unknown[0]}; there are: {', '.join(BENCHES)}")
    for name in chosen:
        BENCHES[name]()
