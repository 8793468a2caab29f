"""The canonical model does not depend on the mode in which a program was exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.frameworks.base import runtimes

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 -- after the check that there is one

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.:FutureWarning"  # torch's own run_decompositions does that
)
SHAPE = (4, 6, 5, 5)


class Everything(nn.Module):
    """Every module of torch's that behaves differently in training."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 1)
        self.bn = nn.BatchNorm2d(6, momentum=0.3)
        self.plain = nn.BatchNorm2d(6, affine=False)
        self.own = nn.BatchNorm2d(6, track_running_stats=False)
        self.instance = nn.InstanceNorm2d(6, track_running_stats=True)
        self.drop = nn.Dropout(0.3)
        self.drop_in_place = nn.Dropout(0.25, inplace=True)
        self.channels = nn.Dropout2d(0.2)
        self.rrelu = nn.RReLU()
        self.fc = nn.Linear(6, 8)
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.bn(self.conv(x)))
        x = self.instance(self.plain(self.drop_in_place(torch.relu(x))))
        x = self.rrelu(self.channels(self.own(x)))
        tokens = self.fc(x.flatten(2).transpose(1, 2))
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


@pytest.fixture(scope="module")
def everything() -> nn.Module:
    torch.manual_seed(0)
    module = Everything()
    for _ in range(3):
        module(torch.randn(SHAPE))
    return module


def export(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> Any:
    return torch.export.export(module, (torch.randn(shape),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))


def text(model: ir.Model) -> str:
    return str(ir.to_proto(model).graph)


def read(source: Any) -> tuple[ir.Model, list[str]]:
    told: list[str] = []
    return graphkit.load(source, warn=told.append), told


def outputs(model: ir.Model, x: np.ndarray, *, on: str = "torch", mode: Any = "eval") -> np.ndarray:
    with runtimes()[on].open(model, mode=mode) as session:
        return session.forward({"x" if model.graph.inputs[0].name == "x" else "input": x})["output"]


def test_a_program_exported_in_training_mode_reads_as_one_exported_in_evaluation_mode(everything: nn.Module) -> None:
    trained, _ = read(export(everything.train()))
    evaluated, _ = read(export(everything.eval()))
    assert text(trained) == text(evaluated)
    x = np.random.default_rng(0).normal(size=(3, *SHAPE[1:])).astype(np.float32)
    with torch.no_grad():
        wanted = everything(torch.from_numpy(x)).numpy()
    for model in (trained, evaluated):
        for on in ("torch", "ort"):
            assert np.allclose(outputs(model, x, on=on), wanted, atol=1e-5)


def test_batchnorm_and_dropout_survive_in_inference_form(everything: nn.Module) -> None:
    model, told = read(export(everything.eval()))
    nodes = {node.name: node for node in model.graph}
    assert nodes["bn"].op_type == "BatchNormalization"
    assert len(nodes["bn"].outputs) == 1
    assert nodes["bn"].attributes["momentum"].as_float() == pytest.approx(0.7)
    assert "training_mode" not in nodes["bn"].attributes
    ratios = {name: node.inputs[1] for name, node in nodes.items() if node.op_type == "Dropout"}
    found = {name: float(ratio.const_value.numpy()) for name, ratio in ratios.items() if ratio and ratio.const_value}
    assert found == pytest.approx({"drop": 0.3, "drop_in_place": 0.25, "channels": 0.2})
    assert all(len(nodes[name].inputs) == 2 for name in found)
    assert any("drops elements rather than channels" in message for message in told)


@pytest.mark.parametrize("start", ["train", "eval"])
def test_a_session_follows_its_own_mode(start: str) -> None:
    """Whatever mode the program was exported in."""
    module = nn.Sequential(nn.BatchNorm2d(6), nn.Dropout(0.5))
    program = export(module.train(start == "train"))
    model, _ = read(program)
    x = np.random.default_rng(0).normal(2, 3, size=SHAPE).astype(np.float32)
    resting = outputs(model, x)
    assert np.allclose(resting, x / np.sqrt(1 + 1e-5), atol=1e-5)
    training = outputs(model, x, mode="train")
    assert 0.4 < (training == 0).mean() < 0.6
    assert np.array_equal(outputs(model, x), resting)


def test_running_in_training_mode_leaves_the_statistics_of_the_program() -> None:
    module = nn.Sequential(nn.BatchNorm2d(6))
    model, _ = read(export(module.train()))
    x = np.random.default_rng(0).normal(2, 3, size=SHAPE).astype(np.float32)
    with runtimes()["torch"].open(model, mode="train") as session:
        first, second = session.forward({"input": x}), session.forward({"input": x})
    assert np.array_equal(first["output"], second["output"])
    assert np.allclose(outputs(model, x), x / np.sqrt(1 + 1e-5), atol=1e-5)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_decomposed_program_reads_like_the_whole_one(everything: nn.Module, mode: str) -> None:
    """Decomposing in evaluation mode loses dropouts, which then cannot come back."""
    program = export(nn.Sequential(everything.conv, everything.bn, nn.ReLU()).train(mode == "train"))
    whole, decomposed = read(program)[0], read(program.run_decompositions())[0]
    assert [node.op_type for node in decomposed.graph] == [node.op_type for node in whole.graph]
    x = np.random.default_rng(0).normal(size=(3, *SHAPE[1:])).astype(np.float32)
    assert np.allclose(outputs(whole, x), outputs(decomposed, x, on="ort"), atol=1e-5)
    first, second = (outputs(model, x, mode="train") for model in (whole, decomposed))
    assert np.allclose(first, second, atol=1e-5)
    assert not np.allclose(first, outputs(whole, x), atol=1e-2)


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * self.calls


def test_state_that_a_program_keeps_between_calls_is_told() -> None:
    model, told = read(export(Counts(), (2, 3)))
    assert len(told) == 1
    assert "calls" in told[0]
    x = np.ones((2, 3), np.float32)
    with runtimes()["torch"].open(model) as session:
        assert [session.forward({"x": x})["output"].max() for _ in range(2)] == [1, 1]
    assert outputs(model, x, on="ort").max() == 1


class Constants(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[Any, ...]:
        return 3, x * 2, None, x.shape[0]


def test_constants_among_the_outputs_are_left_out_and_told() -> None:
    model, told = read(export(Constants(), (2, 3)))
    assert [value.name for value in model.graph.outputs] == ["output_1", "output_3"]
    assert any("returns constants" in message and "3" in message for message in told)
    x = np.ones((4, 3), np.float32)
    for on in ("torch", "ort"):
        with runtimes()[on].open(model) as session:
            found = session.forward({"x": x})
        assert np.array_equal(found["output_1"], x * 2)
        assert found["output_3"] == 4


class Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> int:
        return 3 if x.ndim else 4


def test_a_program_without_tensors_among_its_outputs_is_refused() -> None:
    with pytest.raises(graphkit.errors.InputError, match="no tensor"):
        graphkit.load(Nothing(), inputs=["2x3"])


def in_place(function: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    class Module(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x)

    return Module()


def test_writes_through_views_are_kept() -> None:
    """In-place operators are only made ordinary ones where nobody can see the difference."""

    def through_a_view(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y[:, :2].add_(1).relu_()
        return y

    def seen_by_another(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        z = y.view(-1)
        y.relu_()
        return z.view_as(y) + y

    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    for function in (through_a_view, seen_by_another):
        module = in_place(function)
        model = graphkit.load(module, inputs=["2x4"])
        wanted = module(torch.from_numpy(x.copy())).numpy()
        assert all(np.array_equal(outputs(model, x, on=on), wanted) for on in ("ort", "torch"))
