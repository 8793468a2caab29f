"""Measure `graphkit inspect` and `graphkit render` on large models: whole commands, from start to end of the process.

    python tools/bench_inspect.py [ROUNDS]

The models have the sizes of published ones and random numbers: VGG-16 (138 million parameters) as an MXNet symbol with
its parameters and as an ONNX file, ResNet-50 as an ONNX file and as an exported program. The targets: `inspect` of the
symbol in a second and 200 MB of resident memory, `render` of ResNet-50 to SVG in three seconds. Where onnx-tool is
installed, it profiles the same ONNX files in turn.

Seconds of processor time stand beside those by the clock, which other load changes less. Bytecode is written first, as
it is for any installed package.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from bench_convert import run

if TYPE_CHECKING:
    from torch import nn

PYTHON = sys.executable
GRAPHKIT = str(Path(PYTHON).with_name("graphkit"))
WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions of VGG-16, by stage (Simonyan and Zisserman, 2014)."""
IMAGE = (1, 3, 224, 224)
PROFILE = "import sys, onnx_tool; onnx_tool.model_profile(sys.argv[1])"


class Bench(NamedTuple):
    """One command.

    Attributes:
        name: What it does.
        command: Its arguments.
        seconds: Target by the clock; None for none.
        megabytes: Target for the peak of resident memory; None for none.
    """

    name: str
    command: list[str]
    seconds: float | None = None
    megabytes: float | None = None


FILES = ("vgg16-symbol.json", "vgg16.onnx", "resnet50.onnx", "resnet50.pt2")


def vgg16() -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    channels = 3
    for stage in WIDTHS:
        for inputs, outputs in pairwise((channels, *stage)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        channels = stage[-1]
    layers += [nn.Flatten(), nn.Linear(channels * 49, 4096), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 1000))


def resnet50() -> nn.Module:
    from networks import Bottleneck, ResNet
    from torch import nn

    net = ResNet(Bottleneck, (3, 4, 6, 3))
    net.fc = nn.Linear(2048, 1000)
    return net


def write(folder: Path) -> None:
    """Write the models; in a process of its own, as the memory of a parent counts as its children's peak."""
    import torch

    import graphkit

    torch.manual_seed(0)
    with torch.no_grad():
        vgg, resnet = vgg16().eval(), resnet50().eval()
        read = graphkit.load(vgg, inputs=[IMAGE])
        graphkit.save(read, folder / "vgg16", to="mxnet")
        graphkit.save(read, folder / "vgg16.onnx", to="onnx")
        graphkit.save(graphkit.load(resnet, inputs=[IMAGE]), folder / "resnet50.onnx", to="onnx")
        torch.export.save(torch.export.export(resnet, (torch.zeros(IMAGE),)), folder / "resnet50.pt2")


def benches(folder: Path) -> list[Bench]:
    found = []
    for name in FILES:
        limits = (1.0, 200.0) if name == "vgg16-symbol.json" else (None, None)
        found.append(Bench(f"inspect {name}", [GRAPHKIT, "inspect", str(folder / name)], *limits))
        if name.endswith(".onnx") and importlib.util.find_spec("onnx_tool"):
            found.append(Bench(f"onnx-tool {name}", [PYTHON, "-W", "ignore", "-c", PROFILE, str(folder / name)]))
    source, picture = str(folder / "resnet50.onnx"), str(folder / "resnet50.svg")
    return [*found, Bench("render resnet50 svg", [GRAPHKIT, "render", source, "-o", picture], 3.0)]


def main(rounds: int) -> int:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        subprocess.run([PYTHON, "-W", "ignore", __file__, "--write", name], check=True, stdout=subprocess.DEVNULL)
        print(f"{'':26}{'seconds':>9}{'target':>8}{'processor':>11}{'peak MB':>9}{'target':>8}")
        asked = benches(folder)
        found: dict[str, list[tuple[float, float, int]]] = {bench.name: [] for bench in asked}
        for bench in asked:
            run(bench.command)
        for _ in range(rounds):
            for bench in asked:
                found[bench.name].append(run(bench.command))
        for bench in asked:
            seconds, busy, peak = (statistics.median(figures) for figures in zip(*found[bench.name], strict=True))
            for figure, target in ((seconds, bench.seconds), (peak / 1e6, bench.megabytes)):
                worst = max(worst, 0 if target is None else figure / target)
            limits = [f"{target:g}" if target is not None else "" for target in (bench.seconds, bench.megabytes)]
            print(f"{bench.name:26}{seconds:9.2f}{limits[0]:>8}{busy:11.2f}{peak / 1e6:9.0f}{limits[1]:>8}", flush=True)
    if not importlib.util.find_spec("onnx_tool"):
        print("onnx-tool is not installed, so nothing else was measured; pip install onnx-tool.")
    return int(worst > 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]))
    else:
        raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
