"""MXNet's fused recurrent operator where reading it needs more than a case can say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mxsymbols import graph, op, var

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import MxModel, MxRef
from graphkit.ops.recurrent.gates import KINDS, input_size, pieces, span

LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN}


def read(mx: MxModel, *specs: InputSpec) -> Any:
    return canonical(from_symbol(mx, ReadOptions(inputs=specs), "model"))


def fused(flat: MxRef, *more: MxRef, **attrs: object) -> MxRef:
    states = [op("_zeros", f"begin{n}", shape="(1, 0, 5)") for n in range(2)]
    return op(
        "RNN", "rnn", var("x"), flat, *states, *more, **{"state_size": 5, "num_layers": 1, "mode": "lstm", **attrs}
    )


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.5, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize("mode", LAYERS)
def test_lengths_mean_what_they_do_in_torch(mode: str) -> None:
    """MXNet itself has them on GPUs only."""
    kind = KINDS[mode]
    flat = random(span(kind.gates, 2, 2, 3, 5))
    states = [op("_zeros", f"begin{n}", shape="(4, 0, 5)") for n in range(kind.states)]
    attrs = {"state_size": 5, "num_layers": 2, "bidirectional": True, "use_sequence_length": True}
    node = op("RNN", "rnn", var("x"), var("flat"), *states, var("n"), mode=mode, state_outputs=True, **attrs).node
    mx = MxModel(graph(*(MxRef(node, k) for k in range(1 + kind.states))), {"flat": flat})
    model = read(mx, InputSpec("x", (4, 3, 3)), InputSpec("n", (3,)))
    x, lengths = random(4, 3, 3), np.array([4, 2, 3], np.float32)
    layer = LAYERS[mode](3, 5, 2, bidirectional=True)
    with torch.no_grad():
        names = [name for name, _ in layer.named_parameters()]
        ordered = sorted(names, key=lambda name: "bias" in name)
        for name, piece in zip(ordered, pieces(kind.gates, 2, 2, 3, 5), strict=True):
            layer.get_parameter(name).copy_(torch.tensor(flat[piece.start : piece.stop].reshape(piece.shape)))
        packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), torch.tensor([4, 2, 3]), enforce_sorted=False)
        steps, last = layer(packed)
        steps, _ = torch.nn.utils.rnn.pad_packed_sequence(steps, total_length=4)
    expected = [steps, *(last if isinstance(last, tuple) else [last])]
    for runtime in ("ort", "reference", "torch"):
        with runtimes()[runtime].open(model, native=False) as session:
            found = session.forward({"x": x, "n": lengths})
        for left, right in zip(found.values(), expected, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-6)


def test_the_arrays_that_gluon_joins_are_used_one_by_one() -> None:
    shapes = {"a_weight": (20, 3), "b_weight": (20, 5), "a_bias": (20,), "b_bias": (20,)}
    flats = [op("Reshape", f"flat_{name}", var(name), shape="-1") for name in shapes]
    flat = op("_rnn_param_concat", "joined", *flats, num_args=4, dim=0)
    mx = MxModel(graph(fused(flat)), {name: random(*shape) for name, shape in shapes.items()})
    model = read(mx, InputSpec("x", (4, 2, 3)))
    assert set(model.graph.initializers) >= set(shapes)
    assert not [node for node in model.graph if node.op_type == "Slice"]
    again = to_symbol(model)
    assert {name: again.args[name].shape for name in shapes} == shapes
    assert again.derived == {}


def test_a_packed_vector_comes_back_as_it_was() -> None:
    model = read(MxModel(graph(fused(var("flat"))), {"flat": random(span(4, 1, 1, 3, 5))}), InputSpec("x", (4, 2, 3)))
    again = to_symbol(model)
    (node,) = (node for node in again.graph.nodes if node.op == "RNN")
    assert node.inputs[1].node.name == "flat"
    assert again.derived == {}


def test_zeros_of_an_unknown_batch_are_what_a_layer_starts_from_anyway() -> None:
    model = read(
        MxModel(graph(fused(var("flat"))), {"flat": random(span(4, 1, 1, 3, 5))}), InputSpec("x", (4, None, 3))
    )
    (layer,) = (node for node in model.graph if node.op_type == "LSTM")
    assert len(layer.inputs) == 4
    for batch in (1, 3):
        with runtimes()["ort"].open(model) as session:
            (found,) = session.forward({"x": random(4, batch, 3)}).values()
        assert found.shape == (4, batch, 5)


@pytest.mark.parametrize(
    ("attrs", "why"),
    [
        ({"lstm_state_clip_min": "-1", "lstm_state_clip_max": "1"}, "clips the state"),
        ({"mode": "gru", "projection_size": 2}, "for LSTMs only"),
    ],
)
def test_what_onnx_lacks_is_refused(attrs: dict[str, object], why: str) -> None:
    node = fused(var("flat"), **attrs).node
    if attrs.get("mode") == "gru":
        node.inputs.pop()
    with pytest.raises(UnsupportedError, match=why):
        read(MxModel(graph(MxRef(node))), InputSpec("x", (4, 2, 3)), InputSpec("flat", (200,)))


@pytest.mark.parametrize("projection", [0, 2])
@pytest.mark.parametrize("directions", [1, 2])
def test_a_packed_vector_tells_the_size_of_what_its_layer_reads(directions: int, projection: int) -> None:
    length = span(4, 3, directions, 7, 5, projection)
    assert input_size(length, 4, 3, directions, 5, projection) == 7
    assert input_size(length + 1, 4, 3, directions, 5, projection) is None
    assert input_size(1, 4, 3, directions, 5, projection) is None
