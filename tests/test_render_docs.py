"""The commands and the Python of docs/render.md run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import graphkit
from graphkit.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

TEXT = (Path(__file__).parent.parent / "docs" / "render.md").read_text(encoding="utf-8")


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 3, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(torch.relu(self.conv1(x)))


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = torch.nn.Sequential(Block(), Block())
        self.fc = torch.nn.Linear(48, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer1(x).flatten(1))


def commands() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("graphkit ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the page speaks of."""
    place = tmp_path_factory.mktemp("render")
    torch.manual_seed(0)
    batch = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(Net().eval(), (torch.randn(2, 3, 4, 4),), dynamic_shapes=batch, strict=False)
    torch.export.save(program, place / "net.pt2")
    model = graphkit.load(program)
    model.graph.outputs[0].name = "logits"
    graphkit.save(model, place / "net.onnx", to="onnx")
    graphkit.save(model, place / "net", to="mxnet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        yield place


def test_the_commands_run_one_after_another(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = commands()
    assert len(found) >= 14
    for command in found:
        if "logs/" in command:
            pytest.importorskip("tensorboard", reason="tensorboard is not installed")
        with pytest.raises(SystemExit) as left:
            main(shlex.split(command)[1:])
        told = capfd.readouterr()
        assert left.value.code == 0, (command, told)
        if " render " in command:
            assert re.match(r"Wrote \S+ \(", told.out), command
            assert "warning" not in told.err, command
    assert not list(folder.glob(".*"))


def test_the_code_runs(folder: Path) -> None:
    names: dict[str, object] = {}
    model = graphkit.load("net.onnx")
    for code in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(code, names)
        names["model"] = model  # whose output has the name that the page speaks of
    assert (folder / "part.svg").is_file()
