"""Measure `graphkit verify`: whole commands beside processes that only load the model and run it as often.

    python tools/bench_verify.py [ROUNDS]

``forward`` is a ResNet-50 of PyTorch at 2 × 3 × 224 × 224 on PyTorch, MXNet and ONNX Runtime. Beside it stand processes
that load it, open it on the same runtimes and run each once: start-up and the runs themselves. The target is 1.5 times
their sum. ``taps`` counts the passes that each runtime makes over a graph of 1,000 nodes with every value tapped, which
is to be one.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
TARGET = 1.5

EXPORT = """
import sys
import torch
sys.path.insert(0, sys.argv[1])
from networks import NETWORKS

batch = {0: torch.export.Dim.DYNAMIC}
program = torch.export.export(NETWORKS["resnet50"].module(), (torch.randn(2, 3, 224, 224),), dynamic_shapes=(batch,))
torch.export.save(program, sys.argv[2])
"""
BARE = """
import sys
import graphkit
from graphkit.frameworks.base import runtimes
from graphkit.parity.inputs import draw_inputs

model = graphkit.load(sys.argv[1])
feeds = draw_inputs(model, 0, 2)
for name, native in (("torch", True), ("torch", False), ("mxnet", False), ("ort", False)):
    with runtimes()[name].open(model, native=native) as session:
        session.forward(feeds)
"""

TAPS = """
import collections, json, sys
import numpy as np
import onnx_ir as ir
import graphkit
from graphkit.frameworks.mxnet.run import MxSession
from graphkit.frameworks.onnx.run import OrtSession
from graphkit.frameworks.torch.converted import ConvertedSession
from graphkit.ir.canonical import canonical

nodes = " ".join(f"v{n + 1} = {'Tanh' if n % 2 else 'Sin'}(v{n})" for n in range(1000))
text = f'<ir_version: 11, opset_import: ["": 23]> m (float[2, 8] v0) => (float[2, 8] v1000) {{ {nodes} }}'
model = canonical(ir.from_onnx_text(text))
passes = collections.Counter()
for kind in (MxSession, OrtSession, ConvertedSession):
    def counted(self, feeds, taps=(), run=kind.forward):
        if taps:
            passes[type(self).__name__] += 1
        return run(self, feeds, taps)
    kind.forward = counted
report = graphkit.verify(model, on=["torch", "mxnet", "ort"], taps=True, dtype="float64")
values = sum(check.kind == "value" for check in report.checks)
print(json.dumps({"passed": report.passed, "values": values, "passes": passes}))
"""


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main(rounds: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        source = str(Path(name) / "resnet50.pt2")
        subprocess.run([PYTHON, "-c", EXPORT, str(ROOT / "tests"), source], check=True)
        verify = [PYTHON, "-c", "from graphkit.cli import main; main()", "verify", source, "--on", "torch,mxnet,ort"]
        pairs = [(seconds([PYTHON, "-c", BARE, source]), seconds(verify)) for _ in range(rounds)]
    bare, whole = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(two / one for one, two in pairs)
    print(f"forward: start-up and runs {bare:.1f} s, verify {whole:.1f} s, {ratio:.2f} × (target {TARGET})")
    found = json.loads(subprocess.run([PYTHON, "-c", TAPS], check=True, capture_output=True, text=True).stdout)
    told = ", ".join(f"{name} {count}" for name, count in sorted(found["passes"].items()))
    print(f"taps: {found['values']} values compared, passes with taps: {told} (target 1 each)")
    return int(ratio > TARGET or max(found["passes"].values()) > 1)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    sys.exit(main(numbers[0] if numbers else 3))
