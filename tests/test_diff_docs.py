"""The commands and the Python of docs/diff.md run as they stand there, and print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.cli import main
from graphkit.ir.params import set_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (Path(__file__).parent.parent / "docs" / "diff.md").read_text(encoding="utf-8")
NET = """
<ir_version: 10, opset_import: ["": 23]>
net (float[batch, 3, 8, 8] image, float[4, 3, 3, 3] weight1, float[4, 4, 3, 3] weight2)
=> (float[batch, 4, h, w] score)
{
    conv1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (image, weight1)
    act1 = Relu(conv1)
    pool1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (act1)
    conv2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (pool1, weight2)
    act2 = Relu(conv2)
    score = Sigmoid(act2)
}
"""
NAMES = {"weight1": "conv1.weight", "weight2": "conv2.weight"}


def net(text: str = NET) -> ir.Model:
    model = ir.from_onnx_text(text)
    rng = np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        model.graph.inputs.remove(value)
        value.name = NAMES[value.name or ""]
        array = rng.standard_normal(value.shape.numpy()).astype(np.float32)
        value.const_value = ir.tensor(array, name=value.name)
        set_kind(value, "parameter")
        model.graph.register_initializer(value)
    for node in model.graph:
        node.name = node.outputs[0].name
    return model


def edited() -> ir.Model:
    text = NET.replace("pads = [1, 1, 1, 1]> (image", "pads = [0, 0, 2, 2]> (image")
    text = text.replace("act2 = Relu", "act2 = LeakyRelu").replace("act1", "first_activation")
    text = text.replace("score = Sigmoid(act2)", "squashed = Tanh(act2) score = Sigmoid(squashed)")
    model = net(text)
    value = model.graph.initializers["conv2.weight"]
    array = value.const_value.numpy().copy()
    array[1, 2, 0, 0] += 0.25
    value.const_value = ir.tensor(array, name=value.name)
    return model


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for line in TEXT.splitlines()]
    return [line for line in lines if line.startswith("graphkit diff ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the page speaks of."""
    place = tmp_path_factory.mktemp("diff")
    ir.save(net(), place / "net.onnx")
    ir.save(edited(), place / "edited.onnx")
    graphkit.save(graphkit.load(place / "net.onnx"), place / "net", to="mxnet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("COLUMNS", raising=False)
        yield place


@pytest.mark.parametrize("command", commands())
def test_a_command_runs(command: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(shlex.split(command)[1:])
    out, err = capfd.readouterr()
    assert left.value.code == (0 if "net-symbol.json" in command else 1), out + err
    words = shlex.split(command)
    assert "-o" not in words or (folder / words[words.index("-o") + 1]).is_file()


@pytest.mark.usefixtures("folder")
def test_the_output_is_what_the_page_shows(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(shlex.split(commands()[0])[1:])
    shown = re.findall(r"^The first command prints\n\n```\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert capfd.readouterr().out == shown[0]


@pytest.mark.usefixtures("folder")
def test_the_code_runs(capfd: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    from graphkit.inspecting.difference.diff import diff

    exec(code.replace("graphkit.diff", "diff"), {"diff": diff})
    assert "conv1 pads: [1, 1, 1, 1] → [0, 0, 2, 2]" in capfd.readouterr().out
