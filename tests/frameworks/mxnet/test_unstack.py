"""Recurrent operators of several layers are differentiated layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
from mxsymbols import graph, op, var

from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.unstack import is_stacked, unstacked
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxModel, MxRef
from graphkit.ops.recurrent.gates import KINDS, span
from graphkit.passes.cast_floats import cast_floats

pytestmark = pytest.mark.mxnet


def network(mode: str, layers: int, *, both: bool, p: float = 0.0) -> MxModel:
    """Recurrent layers on one-hot data, which has no gradient, from zeros of an unknown batch."""
    kind, directions = KINDS[mode], 1 + both
    data = op("one_hot", "data", var("ids"), depth=3)
    states = [op("_zeros", f"begin{k}", shape=f"({layers * directions}, 0, 4)") for k in range(kind.states)]
    attrs = {"mode": mode, "num_layers": layers, "state_size": 4, "bidirectional": both, "p": p}
    node = op("RNN", "rnn", data, var("flat"), *states, state_outputs=True, **attrs).node
    flat = np.random.default_rng(1).uniform(-0.5, 0.5, span(kind.gates, layers, directions, 3, 4)).astype(np.float32)
    return MxModel(graph(*(MxRef(node, k) for k in range(1 + kind.states))), {"flat": flat})


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("mode", ["lstm", "gru", "rnn_tanh"])
def test_mxnets_gradients_are_torchs_where_the_data_has_none(mode: str, layers: int, both: bool) -> None:
    mx = network(mode, layers, both=both, p=0.5)
    options = ReadOptions(inputs=(InputSpec("ids", (4, 2), "int32"),), dynamic_batch=False)
    model = canonical(from_symbol(mx, options, "network"))
    set_source(model, Source("mxnet", "network", mx))
    model = cast_floats(model, "float64")
    feeds = {"ids": np.array([[0, 1], [2, 2], [1, 0], [0, 2]], np.int32)}
    gradients = {}
    for runtime in ("mxnet", "torch"):
        with runtimes()[runtime].open(model) as session:
            seeds = {name: np.cos(np.arange(y.size)).reshape(y.shape) for name, y in session.forward(feeds).items()}
            gradients[runtime] = session.backward(feeds, seeds)["flat"]
    np.testing.assert_allclose(gradients["mxnet"], gradients["torch"], atol=1e-12)


def test_every_layer_becomes_an_operator_with_dropout_between() -> None:
    (node,) = (node for node in network("gru", 3, both=True, p=0.25).graph.nodes if node.op == "RNN")
    assert is_stacked(node)
    made, outputs = unstacked(node, node.inputs, "plain")
    layers = [one for one in made if one.op == "RNN"]
    assert [one.attrs["num_layers"] for one in layers] == ["1"] * 3
    assert not any(map(is_stacked, layers))
    assert [one.attrs["p"] for one in made if one.op == "Dropout"] == ["0.25"] * 2
    assert [one.attrs["shape"] for one in made if one.op == "_zeros"] == ["(2, 0, 4)"] * 3
    assert [ref.node.op for ref in outputs] == ["RNN", "Concat"]
