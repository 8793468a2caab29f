"""The same input and options give the same bytes, whenever, wherever and by whomever they are converted."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import onnx
import onnx.parser
import pytest
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]

LOOPS = """
<ir_version: 10, opset_import: ["" : 21]>
loops (float[batch, 4] x) => (float[batch, 4] y, int8[batch, 4] q)
<float[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, float[1] s = {0.25}, int8[1] z = {3},
 int64 n = {3}>
{
    m = MatMul(x, w)
    yes = Constant<value = bool {1}>()
    y = Loop(n, yes, m) <body = steps (int64 i, bool go, float[batch, 4] old) => (bool on, float[batch, 4] new) {
        on = Identity(go)
        f = Cast<to = 1>(i)
        a = Add(old, f)
        new = Tanh(a)
    }>
    q = QuantizeLinear<axis = 1>(m, s, z)
}
"""
"""Turns of a loop, and numbers that are quantized."""
CONVERT = """
import json
import os
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
if shift := float(os.environ.get("SHIFT", "0")):
    real = time.time
    time.time = lambda: real() + shift

import graphkit
from graphkit.frameworks.base import Adam


source, out, reverse = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "reverse"
sources = {
    "recurrent": source / "recurrent.pt2",
    "loops": source / "loops.onnx",
}
if reverse:
    sources = dict(reversed(sources.items()))
for name, given in sources.items():
    place = out / name
    place.mkdir(parents=True)
    told = []
    model = graphkit.load(given, warn=told.append)
    graphkit.save(model, place / "net.onnx", to="onnx", warn=told.append)
    graphkit.save(model, place / "mx", to="mxnet", warn=told.append)
    if name != "loops":
        graphkit.save(model, place / "torch", to="torch", shard_size=4096, warn=told.append)
        graphkit.save(graphkit.grad(model, loss="mse", step=Adam(0.01)), place / "step.onnx", to="onnx")
    for form in ("dot", "mmd", "html", *(("svg", "pdf", "png") if name == "loops" else ())):
        graphkit.render(model, place / f"net.{form}", warn=told.append)
    summary = graphkit.inspect(model, weights=True, training=True).as_json()
    (place / "inspect.json").write_text(json.dumps(summary))
    (place / "told.json").write_text(json.dumps(told))
"""
"""Conversions of the loops, and of a program of PyTorch."""


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(5, 6, batch_first=True)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x):
        y, (h, _) = self.lstm(x)
        return torch.where(h[0] > 0, self.norm(y[:, -1]), h[0].sin())


def run(code: str, *arguments: object, folder: Path, **environment: str) -> None:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("GRAPHKIT", "COV"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**given, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The files of two runs that have nothing in common but the input and the options."""
    place = tmp_path_factory.mktemp("determinism")
    sources = place / "sources"
    sources.mkdir()
    free = ({0: torch.export.Dim.DYNAMIC},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about weights of its own LSTM
        program = torch.export.export(Recurrent().eval(), (torch.ones(3, 7, 5),), dynamic_shapes=free)
    torch.export.save(program, sources / "recurrent.pt2")
    onnx.save(onnx.parser.parse_model(LOOPS), sources / "loops.onnx")
    other = place / "another folder" / "Müller"
    other.mkdir(parents=True)
    shutil.copytree(sources, other / "copy")
    for path in (other / "copy").iterdir():
        os.utime(path, (1e9, 1e9))
    run(CONVERT, sources, "one", "in order", folder=place, PYTHONHASHSEED="1", OMP_NUM_THREADS="1", TZ="UTC")
    run(
        CONVERT,
        "copy",
        other / "two",
        "reverse",
        folder=other,
        PYTHONHASHSEED="4242",
        OMP_NUM_THREADS="2",
        TZ="Asia/Tokyo",
        LC_ALL="C",
        USER="mueller",
        HOME=str(other),
        SHIFT="34560000",
    )
    return place / "one", other / "two"


def files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_same_input_gives_the_same_bytes(outputs):
    one, two = map(files, outputs)
    assert len(one) > 20
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == set()


def test_nothing_tells_where_or_by_whom_it_was_made(outputs):
    """Neither the folders of sources and results, nor those of Python's modules, which traces of a program name."""
    traces = [str(ROOT).encode(), str(outputs[0].parent).encode(), b"site-packages", str(Path.home()).encode() + b"/"]
    for path in outputs[0].rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [trace for trace in traces if trace in content], path


def test_each_file_has_a_record(outputs):
    from graphkit.inspecting.provenance import history

    for path in sorted(outputs[0].rglob("*")):
        if path.is_file() and path.name not in ("inspect.json", "told.json"):
            found = history(path)
            assert found.record is not None, path
            expected = {"loops": ["loops.onnx"], "recurrent": ["recurrent.pt2"]}
            names = [file.name for file in found.record.files]
            assert names == expected[path.relative_to(outputs[0]).parts[0]], path
