"""Recurrent layers one above the other are written as one, where that computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mxsymbols import graph, op, var

from graphkit.frameworks.base import InputSpec, ReadOptions, frameworks, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.write import to_source
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import MxModel, MxRef
from graphkit.ops.recurrent.gates import KINDS, span

STEPS, BATCH, INPUTS, HIDDEN = 4, 2, 3, 5


def recurrent(
    name: str, data: MxRef, states: list[MxRef], mode: str, layers: int, *, both: bool = False, **attrs: object
) -> list[MxRef]:
    given = {"mode": mode, "num_layers": layers, "state_size": HIDDEN, "bidirectional": both, **attrs}
    node = op("RNN", name, data, var(f"{name}_flat"), *states, **given).node
    return [MxRef(node, k) for k in range(1 + KINDS[mode].states)]


def zeros(mode: str, layers: int, *, both: bool = False) -> list[MxRef]:
    shape = f"({layers * (1 + both)}, 0, {HIDDEN})"
    return [op("_zeros", f"zeros{k}_{layers}{both}", shape=shape) for k in range(KINDS[mode].states)]


def flat(mode: str, layers: int, inputs: int = INPUTS, *, both: bool = False) -> np.ndarray:
    size = span(KINDS[mode].gates, layers, 1 + both, inputs, HIDDEN)
    return np.random.default_rng(layers).uniform(-0.5, 0.5, size).astype(np.float32)


def model_of(heads: list[MxRef], args: dict[str, np.ndarray], **shapes: tuple[int, ...]) -> Any:
    specs = tuple(InputSpec(name, shape) for name, shape in shapes.items())
    return canonical(from_symbol(MxModel(graph(*heads), args), ReadOptions(inputs=specs, dynamic_batch=False), "m"))


def source(model: Any) -> str:
    """The source, once it is seen to compute what ONNX Runtime does."""
    rng = np.random.default_rng(5)
    feeds = {x.name: rng.standard_normal(tuple(x.shape.numpy())).astype(np.float32) for x in model.graph.inputs}
    found = {}
    for runtime in ("torch", "ort"):
        with runtimes()[runtime].open(model, native=False) as session:
            found[runtime] = session.forward(feeds)
    for name, right in found["ort"].items():
        np.testing.assert_allclose(found["torch"][name], right, atol=1e-6)
    return to_source(to_program(model), "Model").text


@pytest.mark.parametrize("mode", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize(("both", "p"), [(False, 0.25), (True, 0.25), (True, 0.5)])
def test_layers_from_zeros_are_one(mode: str, both: bool, p: float) -> None:
    heads = recurrent("rnn", var("x"), zeros(mode, 3, both=both), mode, 3, both=both, p=p)[:1]
    text = source(model_of(heads, {"rnn_flat": flat(mode, 3, both=both)}, x=(STEPS, BATCH, INPUTS)))
    assert text.count("nn.") - text.count("nn.Module") == 1
    assert "num_layers=3" in text
    assert f"dropout={p}" in text


@pytest.mark.parametrize("mode", ["lstm", "gru"])
@pytest.mark.parametrize("both", [False, True])
def test_states_that_are_taken_apart_and_joined_stay_whole(mode: str, both: bool) -> None:
    kind, shape = KINDS[mode], (2 * (1 + both), BATCH, HIDDEN)
    states = [var(f"s{k}") for k in range(kind.states)]
    heads = recurrent("rnn", var("x"), states, mode, 2, both=both, state_outputs=True)
    shapes = {"x": (STEPS, BATCH, INPUTS), **{f"s{k}": shape for k in range(kind.states)}}
    text = source(model_of(heads, {"rnn_flat": flat(mode, 2, both=both)}, **shapes))
    assert "num_layers=2" in text
    assert "torch.cat" not in text
    assert "[" not in text


def test_layers_whose_outputs_others_read_stay_apart() -> None:
    lower = recurrent("a", var("x"), zeros("gru", 1), "gru", 1)[0]
    upper = recurrent("b", lower, zeros("gru", 1), "gru", 1)[0]
    args = {"a_flat": flat("gru", 1), "b_flat": flat("gru", 1, HIDDEN)}
    assert "num_layers" not in source(model_of([upper, lower], args, x=(STEPS, BATCH, INPUTS)))
    assert "num_layers=2" in source(model_of([upper], args, x=(STEPS, BATCH, INPUTS)))


def test_a_state_that_is_read_by_itself_keeps_layers_apart() -> None:
    lower = recurrent("a", var("x"), zeros("gru", 1), "gru", 1)[0]
    upper = recurrent("b", lower, zeros("gru", 1), "gru", 1, state_outputs=True)
    args = {"a_flat": flat("gru", 1), "b_flat": flat("gru", 1, HIDDEN)}
    assert "num_layers" not in source(model_of(upper, args, x=(STEPS, BATCH, INPUTS)))


def test_states_in_another_order_keep_layers_apart() -> None:
    parts = [op("slice_axis", f"part{k}", var("s"), axis=0, begin=k, end=k + 1) for k in range(2)]
    lower = recurrent("a", var("x"), [parts[1]], "gru", 1)[0]
    upper = recurrent("b", lower, [parts[0]], "gru", 1)[:1]
    args = {"a_flat": flat("gru", 1), "b_flat": flat("gru", 1, HIDDEN)}
    shapes = {"x": (STEPS, BATCH, INPUTS), "s": (2, BATCH, HIDDEN)}
    assert "num_layers" not in source(model_of(upper, args, **shapes))


def test_layers_of_different_kinds_stay_apart() -> None:
    lower = recurrent("a", var("x"), zeros("rnn_tanh", 1), "rnn_tanh", 1)[0]
    upper = recurrent("b", lower, zeros("rnn_tanh", 1), "rnn_relu", 1)[:1]
    args = {"a_flat": flat("rnn_tanh", 1), "b_flat": flat("rnn_relu", 1, HIDDEN)}
    assert "num_layers" not in source(model_of(upper, args, x=(STEPS, BATCH, INPUTS)))


@pytest.mark.parametrize(
    "layer",
    [torch.nn.LSTM(3, 5, 2), torch.nn.GRU(3, 5, 2, bidirectional=True), torch.nn.LSTM(3, 5, 3, bidirectional=True)],
)
def test_torchs_own_layers_come_back_as_they_were(layer: torch.nn.RNNBase) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            steps: torch.Tensor = self.layer(x)[0]
            return steps.sin()

    options = ReadOptions(inputs=(InputSpec("x", (STEPS, BATCH, INPUTS)),), dynamic_batch=False)
    model = frameworks()["torch"].read(Net().eval(), options)
    assert f"self.layer = nn.{type(layer).__name__}(3, 5, num_layers={layer.num_layers}" in source(model)
    tensors = to_source(to_program(model), "Net").tensors
    assert {key: tensor.layout for key, tensor in tensors.items()} == dict.fromkeys(Net().state_dict(), ())
