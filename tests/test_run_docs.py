"""The commands and the Python of docs/run.md run as they stand there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
image = pytest.importorskip("PIL.Image")

TEXT = (Path(__file__).parent.parent / "docs" / "run.md").read_text(encoding="utf-8")
BERT = """
<ir_version: 10, opset_import: ["": 23]>
g (int64[batch, length] ids, float[batch, length] mask) => (float[batch, length] y)
<float[7] table = {0, 1, 2, 3, 4, 5, 6}>
{ hidden = Gather(table, ids) y = Mul(hidden, mask) }
"""


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for line in TEXT.splitlines()]
    return [line for line in lines if line.startswith("graphkit run ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the page speaks of."""
    place = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.Flatten(), torch.nn.Linear(196, 12)).eval()
    batch = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(net, (torch.randn(2, 3, 16, 16),), dynamic_shapes=batch, strict=False)
    torch.export.save(program, place / "net.pt2")
    model = graphkit.load(program)
    model.graph.inputs[0].name = "images"
    graphkit.save(model, place / "net.onnx", to="onnx")
    ir.save(ir.from_onnx_text(BERT), place / "bert.onnx")
    np.save(place / "batch.npy", np.zeros((5, 3, 16, 16), np.float32))
    image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(place / "photo.jpg")
    (place / "both.json").write_text(json.dumps({"ids": [[1, 2, 3]], "mask": [[1, 1, 0]]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        yield place


@pytest.mark.parametrize("command", commands())
def test_a_command_runs(command: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(shlex.split(command)[1:])
    assert left.value.code == 0, capfd.readouterr()
    assert ("-o" in shlex.split(command)) <= (folder / "out.npz").is_file()


def test_the_code_runs(folder: Path) -> None:
    names = {"graphkit": graphkit, "batch": np.load(folder / "batch.npy")}
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(code, names)
    (output,) = names["outputs"].values()
    assert output.shape == (5, 12)


def test_the_settings_of_each_runtime_are_those_it_follows() -> None:
    from graphkit.frameworks.base import Setting, runtimes

    said = dict(re.findall(r"^\| `(\w[\w-]*)`.*\| ([^|]*) \|$", TEXT, re.MULTILINE))
    assert set(said) == set(runtimes())
    spelled = {"threads": "--threads", "fast": "--fast"}
    for name, runtime in runtimes().items():
        told = {"all below": set(get_args(Setting)), "none": set()}.get(said[name])
        if told is None:
            told = {setting for setting, option in spelled.items() if f"`{option}`" in said[name]}
        assert runtime.follows == told
