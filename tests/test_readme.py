"""Every command and every line of Python in the README runs as it stands there."""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from realmxnet import mxnet

import graphkit
from graphkit.cli import main
from graphkit.render.viewer.server import PageServer

if TYPE_CHECKING:
    from collections.abc import Iterator

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")

NETS = """
from torch import nn

def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
"""


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for block in blocks("") for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith("graphkit ")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the README speaks of."""
    place = tmp_path_factory.mktemp("readme")
    (place / "mypackage").mkdir()
    (place / "mypackage" / "nets.py").write_text(textwrap.dedent(NETS), encoding="utf-8")
    (place / "out").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.syspath_prepend(str(place))
        nets = __import__("mypackage.nets", fromlist=["resnet"])

        class Net(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = nets.resnet()
                self.fc = torch.nn.Linear(2, 2)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.fc(self.body(x))

        net = Net().eval()
        batch = ({0: torch.export.Dim.DYNAMIC},)
        program = torch.export.export(net, (torch.randn(2, 3, 16, 16),), dynamic_shapes=batch, strict=False)
        torch.export.save(program, "model.pt2")
        graphkit.convert("model.pt2", "mxnet", "out/model")
        symbol = mxnet().sym
        data = symbol.Convolution(symbol.var("data"), kernel=(3, 3), num_filter=4, name="conv")
        data.save("net-symbol.json")
        shapes = dict(zip(data.list_arguments(), data.infer_shape(data=(1, 3, 224, 224))[0], strict=True))
        weights = {f"arg:{name}": mxnet().nd.ones(shape) for name, shape in shapes.items() if name != "data"}
        mxnet().nd.save("net-0000.params", weights)
        yield place
        sys.modules.pop("mypackage.nets", None)


def test_there_are_commands_and_code_to_run() -> None:
    assert len(commands()) >= 8
    assert blocks("python")


@pytest.mark.mxnet
@pytest.mark.parametrize("command", commands())
def test_a_command_runs(
    command: str, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.is_dir()
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    monkeypatch.setattr(PageServer, "serve", _interrupted)
    with pytest.raises(SystemExit) as left:
        main(shlex.split(command)[1:])
    assert left.value.code in ((0, 1) if " diff " in command else (0,)), capfd.readouterr()
    assert bool(opened) == (" view " in command)


def _interrupted(_server: object) -> None:
    """What Ctrl-C does to a command that serves until then."""
    raise KeyboardInterrupt


@pytest.mark.mxnet
@pytest.mark.filterwarnings("ignore:Cannot decide type:UserWarning")  # Gluon says so of any symbol's inputs
def test_the_converted_checkpoint_loads_as_shown(folder: Path) -> None:
    graphkit.convert(str(folder / "model.pt2"), "mxnet", folder / "out" / "model")
    for code in blocks("python"):
        names = {"mx": mxnet()}
        exec(code, names)
        assert names["net"](mxnet().nd.ones((3, 3, 16, 16))).shape == (3, 2)
