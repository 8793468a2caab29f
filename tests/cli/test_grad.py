"""``graphkit grad``: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any

import fakes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

import graphkit
from graphkit.cli import main
from graphkit.errors import InputError
from graphkit.frameworks.base import Sgd
from graphkit.ir.training import gradients_of, is_backward

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Net(torch.nn.Module):
    """A convolution with BatchNorm, Dropout and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.bn, self.fc = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 5)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(self.drop(torch.relu(self.bn(self.conv(image))).mean((2, 3))))
        return out


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as an ONNX file."""
    path = tmp_path_factory.mktemp("exported") / "net.onnx"
    graphkit.save(graphkit.load(Net(), inputs=[(4, 3, 6, 6)]), path, to="onnx")
    return path


@pytest.fixture
def net(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``net.onnx`` and ``plain.onnx``."""
    shutil.copy(exported, tmp_path)
    ir.save(fakes.model(), tmp_path / "plain.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(net: Path, capfd: pytest.CaptureFixture[str]) -> Any:  # noqa: ARG001  # its folder
    """Run the command line beside ``net.onnx``; gives (status, stdout, stderr)."""

    def run(*arguments: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["grad", *arguments])
        logging.disable(logging.NOTSET)
        return left.value.code, *capfd.readouterr()

    return run


def opened(path: Path) -> Callable[..., dict[str, Any]]:
    """An ONNX file in ONNX Runtime as it comes: feeds -> outputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    names = [output.name for output in session.get_outputs()]
    return lambda **feeds: dict(zip(names, session.run(names, feeds), strict=True))


def test_it_says_what_it_wrote(run: Any) -> None:
    status, out, err = run("plain.onnx")
    assert (status, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith("Wrote plain.grad.onnx (")
    assert "3 nodes forward, " in first
    assert rest == ["inputs: x batch×5, y.grad batch×3", "outputs: y batch×3, x.grad batch×5, w.grad 5×3, b.grad 3"]


def test_the_file_is_plain_onnx_and_takes_cotangents(run: Any, net: Path) -> None:
    run("plain.onnx", "-o", "g.onnx")
    onnx.checker.check_model(onnx.load(net / "g.onnx"), full_check=True)
    x, seed = np.ones((2, 5), np.float32), np.full((2, 3), 0.5, np.float32)
    found = opened(net / "g.onnx")(x=x, **{"y.grad": seed})
    live = seed * (found["y"] > 0)
    np.testing.assert_allclose(found["b.grad"], live.sum(0), rtol=1e-6)
    np.testing.assert_allclose(found["w.grad"], x.T @ live, rtol=1e-6)
    again = graphkit.load(net / "g.onnx")
    assert gradients_of(again) == {"x": "x.grad", "w": "w.grad", "b": "b.grad"}
    assert {is_backward(node) for node in again.graph} == {True, False}


def test_a_loss_has_targets_and_patterns_choose_what_to_differentiate_in(run: Any, net: Path) -> None:
    run("net.onnx", "-o", "g.onnx", "--loss", "cross-entropy", "--wrt", "fc.*,image", "--freeze", "*.bias")
    image = np.ones((2, 3, 6, 6), np.float32)
    found = opened(net / "g.onnx")(image=image, **{"output.target": np.array([1, 4])})
    assert list(found) == ["output", "loss", "image.grad", "fc.weight.grad"]
    loss = torch.nn.functional.cross_entropy(torch.tensor(found["output"]), torch.tensor([1, 4]))
    np.testing.assert_allclose(found["loss"], loss.item(), rtol=1e-6)


def test_a_step_has_defaults_and_drops_while_it_trains(run: Any, net: Path) -> None:
    status, out, _ = run("net.onnx", "--step", "sgd", "--loss", "mse", "--lr", "0.5")
    assert status == 0
    assert "inputs with a default: conv.weight 4×3×3×3" in out
    image = np.random.default_rng(0).standard_normal((6, 3, 6, 6)).astype(np.float32)
    fed = {"image": image, "output.target": np.zeros((6, 5), np.float32)}
    step = opened(net / "net.step.onnx")
    assert step(**fed)["loss"] != step(**fed)["loss"]
    run("net.onnx", "--step", "sgd", "--loss", "mse", "--no-dropout", "-o", "calm.onnx")
    calm = opened(net / "calm.onnx")
    assert calm(**fed)["loss"] == calm(**fed)["loss"]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--loss", "mse", "--mode", "train", "--no-dropout", "--wrt", "bn.*"),
        ("--step", "sgd", "--loss", "cross-entropy", "--momentum", "0.9", "--no-dropout", "--opset", "18"),
        ("--step", "adam", "--loss", "mse", "--mode", "eval", "--weight-decay", "0.1"),
    ],
    ids=" ".join,
)
def test_the_file_is_compared_with_the_source(run: Any, options: tuple[str, ...]) -> None:
    status, out, err = run("net.onnx", "-o", "g.onnx", "--verify", *options)
    assert (status, err) == (0, "")
    assert "| file" in out
    assert "In parity" in out


def test_a_file_that_computes_something_else_is_told_by_status_1(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphkit.frameworks.onnx.plain import PlainFile

    right = PlainFile.run
    monkeypatch.setattr(PlainFile, "run", lambda *a: {n: y * (1 + 1e-3) for n, y in right(*a).items()})
    status, out, _ = run("plain.onnx", "--verify")
    assert status == 1
    assert "Not in parity: 4 of 4 checks failed." in out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--wrt", "conv.wieght"), r"'conv.wieght' is the name of nothing .* did you mean 'conv.weight'"),
        (("--wrt", "layer*"), r"'layer\*' matches nothing .* there are 'image', 'conv.weight'"),
        (("--outputs", "logit"), r"no output 'logit'"),
        (("--freeze", "*"), r"nothing to differentiate in: all of it is frozen"),
        (("--loss", "given"), r"no losses of its own"),
        (("--step", "sgd"), r"Choose the loss mse or cross-entropy"),
        (("--step", "sgd", "--loss", "mse", "--wrt", "image"), r"'image' is an input, which is nothing to train"),
        (("--step", "sgd", "--loss", "mse", "--beta1", "0.5"), r"--step sgd has no --beta1"),
        (("--step", "adam", "--loss", "mse", "--beta2", "1"), r"must be below 1"),
        (("--momentum", "0.9"), r"--momentum is a number of an optimizer"),
        (("--dropout",), r"Dropout drops in training only"),
        (("--mode", "train", "--verify"), r"--no-dropout"),
        (("--opset", "7"), r"cannot be converted to opset 7"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    run: Any, net: Path, options: tuple[str, ...], told: str
) -> None:
    status, out, err = run("net.onnx", "-o", "bad.onnx", *options)
    assert (status, out) == (2, "")
    assert not (net / "bad.onnx").exists()
    with pytest.raises(InputError, match=told):
        raise InputError(" ".join(err.split()))


def test_integers_and_outputs_of_integers_have_no_gradient(run: Any, net: Path) -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]> net (int64[n] ids, float[9,4] table) => (y, k) '
        "{ y = Gather(table, ids) k = ArgMax(y) }"
    )
    ir.save(ir.from_onnx_text(text), net / "ids.onnx")
    assert "'ids' is of int64 numbers" in " ".join(run("ids.onnx", "--wrt", "ids")[2].split())
    assert "Output 'k' is of int64 numbers" in " ".join(run("ids.onnx", "--outputs", "k")[2].split())
    assert run("ids.onnx")[0] == 0


def test_the_function_takes_models_and_optimizers() -> None:
    made = graphkit.grad(fakes.model(), loss="mse", step=Sgd(0.1, 0.0, 0.0), freeze=["b"])
    assert [value.name for value in made.graph.outputs] == ["y", "loss", "w.next"]
    with pytest.raises(InputError, match="params"):
        graphkit.grad(fakes.model(), params="x")
    with pytest.raises(InputError, match="No loss is called 'l1'"):
        graphkit.grad(fakes.model(), loss="l1")  # type: ignore[arg-type]  # that is the point
