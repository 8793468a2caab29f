"""Measure `graphkit convert` on large networks of MXNet: whole commands, from the start of the process to its end.

    python tools/bench_convert.py [ROUNDS]

The targets are a quarter of what MXNet 1.9.1's own exporter to ONNX takes (8.8 s for ResNet-152 and 21.4 s for VGG-16,
with peaks of 1689 MB and 5755 MB), and a peak of resident memory of 1.5 times the file. If ``MX2ONNX_PYTHON`` names a
Python that has that exporter (3.8 with mxnet 1.9.1 and onnx 1.8.1), it runs in turn with ours, and the ratio is
printed.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import gluonzoo

PYTHON = sys.executable
TARGETS = {"resnet152_v1": 8.8 / 4, "vgg16:224": 21.4 / 4}
PEAK = 1.5
EXPORT = """
import sys
import numpy as np
from mxnet import onnx
onnx.export_model(sys.argv[1], sys.argv[2], [(1, 3, 224, 224)], np.float32, sys.argv[3])
"""


def run(command: list[str]) -> tuple[float, float, int]:
    """Seconds by the clock, seconds of processor time and peak bytes of resident memory of a command."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" or "graphkit" in command[0]}
    start = time.perf_counter()
    process = os.posix_spawn(
        command[0], command, environment, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, used = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def main(rounds: int) -> int:
    exporter = os.environ.get("MX2ONNX_PYTHON")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    worst = 0.0
    print(
        f"{'':14}{'to':7}{'MB':>7}{'seconds':>9}{'target':>8}{'processor':>11}{'peak MB':>9}{'peak/file':>11}"
        f"{'target':>8}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network, target in TARGETS.items():
            symbol = gluonzoo.make(folder, [network])[network]
            params = symbol.with_name(symbol.name.replace("-symbol.json", "-0000.params"))
            graphkit = str(Path(PYTHON).with_name("graphkit"))
            commands = {
                to: [graphkit, "convert", str(symbol), "--to", to, "-o", str(folder / out)]
                for to, out in (("onnx", "ours.onnx"), ("torch", "ours"))
            }
            if exporter:
                commands["theirs"] = [
                    exporter,
                    "-W",
                    "ignore",
                    "-c",
                    EXPORT,
                    str(symbol),
                    str(params),
                    f"{name}/theirs.onnx",
                ]
            found: dict[str, list[tuple[float, float, int]]] = {to: [] for to in commands}
            for _ in range(rounds):
                for to, command in commands.items():
                    found[to].append(run(command))
            size = params.stat().st_size
            for to, runs in found.items():
                seconds, busy, peak = (statistics.median(figures) for figures in zip(*runs, strict=True))
                worst = max(
                    worst, 0 if to == "theirs" else seconds / target, 0 if to == "theirs" else peak / size / PEAK
                )
                limits = ("", "") if to == "theirs" else (f"{target:.1f}", f"{PEAK}")
                print(
                    f"{network.split(':')[0]:14}{to:7}{size / 1e6:7.0f}{seconds:9.2f}{limits[0]:>8}{busy:11.2f}"
                    f"{peak / 1e6:9.0f}{peak / size:11.2f}{limits[1]:>8}",
                    flush=True,
                )
            if exporter:
                ratios = [(a[0] / b[0], a[1] / b[1]) for a, b in zip(found["theirs"], found["onnx"], strict=True)]
                clock, busy = (statistics.median(ratio) for ratio in zip(*ratios, strict=True))
                print(f"{'':14}to ONNX {clock:.1f} times as fast as MXNet's exporter, with {busy:.1f} times less work")
    return int(worst > 1)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
