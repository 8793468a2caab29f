"""Python's numbers are doubles: a model in float64 computes with them, not with what float32 made of them."""

from __future__ import annotations

import numpy as np
import pytest

import graphkit
from graphkit.frameworks.base import runtimes
from graphkit.ir.params import exact
from graphkit.passes.cast_floats import cast_floats

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 -- after the check that there is one


class Numbers(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.14433756729740643 + 1 / 3


class More(nn.Module):
    """Numbers that torch.onnx derives, spreads over tensors, or writes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.table = torch.tensor([0.1, 0.2, 0.3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.softmax(x / 0.07, 1).clamp(0.01, 0.99) * self.scale + self.table
        x = torch.lerp(x, torch.full((3,), 0.1) + torch.linspace(0, 1, 3), 0.3)
        return torch.log2(torch.nn.functional.softplus(x, 0.3)) + torch.deg2rad(x) + x.var(1, keepdim=True)


@pytest.mark.parametrize("module", [Numbers(), More()])
def test_the_model_in_float64_agrees_with_the_module_in_float64(module: nn.Module) -> None:
    model = cast_floats(graphkit.load(module, inputs=["2x3"]), "float64")
    x = np.random.default_rng(0).normal(size=(5, 3))
    found = []
    for on in ("torch", "reference"):
        with runtimes()[on].open(model) as session:
            found.append(session.forward({"x": x})["output"])
    assert found[0].dtype == np.float64
    assert np.abs(found[0] - found[1]).max() <= 1e-9 * np.abs(found[0]).max()
    if isinstance(module, Numbers):
        assert np.array_equal(found[0], module(torch.from_numpy(x)).numpy())


def test_doubles_are_noted_on_the_constants() -> None:
    constants = graphkit.load(Numbers(), inputs=["2x3"]).graph.initializers
    noted = {name: float(doubles) for name, value in constants.items() if (doubles := exact(value)) is not None}
    assert noted == {"mul.b": 0.14433756729740643, "add.b": 1 / 3}


def test_constant_tensors_of_the_module_stay_what_they_are() -> None:
    """They are float32 already: a module in float64 would have them rounded, too."""
    value = graphkit.load(More(), inputs=["2x3"]).graph.initializers["table"]
    assert exact(value) is None
    assert value.const_value is not None
    assert np.array_equal(value.const_value.numpy(), np.float32([0.1, 0.2, 0.3]))


def test_a_model_of_doubles_stays_one() -> None:
    model = graphkit.load(nn.Linear(3, 2).double(), inputs=["1x3"])
    assert {value.dtype.name for value in model.graph.initializers.values() if value.dtype} == {"DOUBLE"}
    x = np.ones((2, 3))
    with runtimes()["torch"].open(model) as one, runtimes()["ort"].open(model) as other:
        left, right = one.forward({"input": x}), other.forward({"input": x})
    assert np.allclose(left["output"], right["output"], atol=1e-12)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_models_of_short_floats_keep_them(kind: str) -> None:
    import ml_dtypes

    module = nn.Linear(3, 2).to(getattr(torch, kind))
    model = graphkit.load(module, inputs=["1x3"])
    x = np.array([[1, 2, 3]], getattr(ml_dtypes, kind, kind))
    with runtimes()["torch"].open(model) as session:
        found = session.forward({"input": x})["output"]
        slopes = session.backward({"input": x}, {"output": np.ones_like(found)})
    assert found.dtype == slopes["input"].dtype == x.dtype
    wanted = x.astype(np.float64) @ module.weight.detach().double().numpy().T + module.bias.detach().double().numpy()
    assert np.allclose(found.astype(np.float64), wanted, rtol=0.02, atol=0.02)
    weight = model.graph.initializers["weight"].const_value
    assert weight is not None
    assert np.array_equal(weight.numpy().astype(np.float32), module.weight.detach().float().numpy())
