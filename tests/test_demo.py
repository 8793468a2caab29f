"""The commands of tools/demo, on a small network."""

from __future__ import annotations

import shlex
from pathlib import Path
from string import Template

import pytest
from pages.shells import command
from realmxnet import mxnet

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[1]


@pytest.mark.long
@pytest.mark.mxnet
def test_the_demo_runs(tmp_path: Path) -> None:
    mxnet()
    given = {"network": "lenet", "out": str(tmp_path)}
    lines = (ROOT / "tools" / "demo").read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(Template(line[4:]).substitute(given)) for line in lines if line.startswith("run ")]
    assert len(commands) >= 9
    for words in commands:
        printed, status = command(shlex.join(words), ROOT)
        assert status == 0, f"{shlex.join(words)}\n{printed}"
    made = {path.name.removeprefix("lenet") for path in tmp_path.iterdir()}
    assert made == {".pt2", "-symbol.json", "-0000.params", "-grad.onnx", ".svg", ".html", ".dot"}
