"""Gradients of recurrent layers as graphs, against torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import graphkit
from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_kind
from graphkit.passes.cast_floats import cast_floats
from graphkit.passes.gradient.model import gradient_model

Arrays = dict[str, np.ndarray]
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


class Classifier(nn.Module):
    """Two recurrent layers, both ways, and what their outputs and last states say."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layers = getattr(nn, kind)(6, 8, 2, bidirectional=True, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, last = self.layers(x)
        states = last if isinstance(last, tuple) else (last,)
        ends = torch.stack(states).sum(0)
        return self.head(steps).sum(1) + self.head(torch.cat((ends[0], ends[3]), 1))


def of_torch(module: nn.Module, x: np.ndarray, seed: np.ndarray) -> Arrays:
    module = module.to(torch.float64 if x.dtype == np.float64 else torch.float32)
    module.zero_grad()
    data = torch.tensor(x, requires_grad=True)
    module(data).backward(torch.tensor(seed))
    found = {name: parameter.grad for name, parameter in module.named_parameters()}
    return {name: grad.numpy() for name, grad in {"x": data.grad, **found}.items() if grad is not None}


def backward(runtime: str, model: ir.Model, feeds: Arrays, seeds: Arrays) -> Arrays:
    with runtimes()[runtime].open(model, native=False) as session:
        return session.backward(feeds, seeds)


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.astype(np.float64) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_gradients_of_two_layers_both_ways_are_those_of_torch_for_any_batch(kind: str) -> None:
    torch.manual_seed(0)
    module = Classifier(kind).eval()
    model = graphkit.load(module, inputs=["?x5x6"])
    (output,) = (value.name or "" for value in model.graph.outputs)
    double = cast_floats(model, "float64")
    rng = np.random.default_rng(1)
    with runtimes()["ort"].open(model) as single, runtimes()["reference"].open(double) as exact:
        for batch in (2, 3):
            x, seed = rng.standard_normal((batch, 5, 6)), rng.standard_normal((batch, 3))
            expected = of_torch(module, x, seed)
            floats = x.astype(np.float32), seed.astype(np.float32)
            rounded = of_torch(module, *floats)
            found = exact.backward({"x": x}, {output: seed})
            halved = single.backward({"x": floats[0]}, {output: floats[1]})
            assert set(found) == set(halved) == set(expected)
            for name, gradient in expected.items():
                assert distance(found[name], gradient) < 1e-9
                assert distance(halved[name], gradient) < max(4 * distance(rounded[name], gradient), 1e-5)


def layer(kind: str, used: tuple[int, ...], **attrs: Any) -> ir.Model:
    """A layer both ways of free sizes from 3 features to a state of 4, with lengths and initial states."""
    rng, rows, states = np.random.default_rng(0), 4 * GATES[kind], 2 if kind == "LSTM" else 1
    shapes = [(2, rows, 3), (2, rows, 4), (2, 2 * rows)]
    weights = []
    for place, shape in enumerate(shapes):
        weights.append(
            ir.Value(name=f"w{place}", const_value=ir.tensor(rng.uniform(-0.5, 0.5, shape), name=f"w{place}"))
        )
        set_kind(weights[-1], "parameter")
    floats, ints = ir.TensorType(ir.DataType.DOUBLE), ir.TensorType(ir.DataType.INT32)
    x = ir.Value(name="x", type=floats, shape=ir.Shape(["T", "N", 3]))
    lengths = ir.Value(name="lengths", type=ints, shape=ir.Shape(["N"]))
    firsts = [ir.Value(name=f"s{n}", type=floats, shape=ir.Shape([2, "N", 4])) for n in range(states)]
    outputs = [ir.Value(name=f"y{n}" if n in used else "") for n in range(1 + states)]
    attrs = {"hidden_size": 4, "direction": "bidirectional", **attrs}
    node = ir.node(kind, [x, *weights, lengths, *firsts], attrs, outputs=outputs, name="layer")
    ends = [outputs[place] for place in used]
    graph = ir.Graph([x, lengths, *firsts], ends, nodes=[node], initializers=weights, opset_imports={"": 23})
    return canonical(ir.Model(graph, ir_version=10))


def sample(kind: str, steps: int, lengths: list[int]) -> Arrays:
    rng = np.random.default_rng(steps)
    states = {f"s{n}": rng.standard_normal((2, len(lengths), 4)) for n in range(2 if kind == "LSTM" else 1)}
    return {"x": rng.standard_normal((steps, len(lengths), 3)), "lengths": np.array(lengths, np.int32), **states}


@pytest.mark.parametrize(
    ("kind", "used", "attrs"),
    [
        ("LSTM", (0, 1, 2), {}),
        ("LSTM", (2,), {}),
        ("GRU", (0, 1), {"linear_before_reset": 1}),
        ("GRU", (1,), {"linear_before_reset": 0}),
        ("RNN", (0,), {}),
        ("RNN", (1,), {}),
    ],
)
def test_packed_sequences_of_any_number_and_length_have_the_gradients_of_torch(
    kind: str, used: tuple[int, ...], attrs: dict[str, Any]
) -> None:
    model, rng = layer(kind, used, **attrs), np.random.default_rng(2)
    single = cast_floats(model, "float32")
    for steps, lengths in ((5, [5, 2, 4]), (3, [1, 3])):
        feeds = sample(kind, steps, lengths)
        with runtimes()["reference"].open(model) as session:
            outputs = session.forward(feeds)
            seeds = {name: rng.standard_normal(array.shape) for name, array in outputs.items()}
            found = session.backward(feeds, seeds)
        expected = backward("torch", model, feeds, seeds)
        floats = [
            {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in given.items()}
            for given in (feeds, seeds)
        ]
        rounded = backward("ort", single, *floats)
        assert set(found) == set(expected) == set(rounded) >= {"x", "w0", "w1", "w2", "s0"}
        for name, gradient in expected.items():
            assert distance(found[name], gradient) < 1e-9
            assert distance(rounded[name], gradient) < 1e-5


def test_what_is_beyond_the_end_of_a_sequence_reaches_no_gradient() -> None:
    model = cast_floats(layer("LSTM", (0, 1)), "float32")
    feeds = {
        name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in sample("LSTM", 4, [2, 4]).items()
    }
    feeds["x"][2:, 0] = np.nan
    seeds = {"y0": np.ones((4, 2, 2, 4), np.float32), "y1": np.ones((2, 2, 4), np.float32)}
    found = backward("ort", model, feeds, seeds)
    assert all(np.isfinite(gradient).all() for gradient in found.values())
    assert not found["x"][2:, 0].any()
    assert found["x"][:2, 0].all()


@pytest.mark.parametrize("runtime", ["reference", "ort"])
def test_a_sequence_without_steps_has_no_gradient_as_its_last_state_is_zero(runtime: str) -> None:
    model = cast_floats(layer("RNN", (0, 1)), "float32")
    feeds = {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in sample("RNN", 3, [0, 3]).items()}
    with runtimes()[runtime].open(model) as session:
        assert not session.forward(feeds)["y1"][:, 0].any()
        found = session.backward(feeds, {"y0": np.ones((3, 2, 2, 4), np.float32), "y1": np.ones((2, 2, 4), np.float32)})
    assert not found["s0"][:, 0].any()
    assert not found["x"][:, 0].any()
    assert found["s0"][:, 1].all()


def test_a_layer_with_too_few_activations_is_refused() -> None:
    model = layer("RNN", (0,))
    node = next(node for node in model.graph if node.op_type == "RNN")
    node.attributes.add(ir.AttrStrings("activations", ["Tanh"]))
    with pytest.raises(UnsupportedError, match="it has 1 activations; 2 are needed"):
        gradient_model(model)
