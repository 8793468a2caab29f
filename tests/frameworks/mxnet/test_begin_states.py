"""Zeros of a size that only MXNet's shape inference knows."""

from __future__ import annotations

import numpy as np
import pytest
from mxsymbols import graph, op, var

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.begin_states import with_known_begin_states
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxGraph, MxModel, MxRef

pytestmark = pytest.mark.mxnet


def dense(name: str, data: MxRef, hidden: int) -> MxRef:
    return op("FullyConnected", name, data, var(f"{name}_weight"), no_bias=True, num_hidden=hidden)


def unrolled() -> MxGraph:
    """Two steps of a plain cell that also carries a running sum."""
    state, total = op("_zeros", "state", shape="(0, 2)"), op("_zeros", "total", shape="(0, 2)")
    weights = [var("i2h_weight"), var("h2h_weight")]
    steps = op("SliceChannel", "steps", var("x"), num_outputs=2, axis=1, squeeze_axis=True).node
    for step in range(2):
        parts = [MxRef(steps, step), state]
        products = [
            op("FullyConnected", f"p{step}{k}", part, weight, no_bias=True, num_hidden=2)
            for k, (part, weight) in enumerate(zip(parts, weights, strict=True))
        ]
        state = op("Activation", f"state{step}", op("elemwise_add", f"sum{step}", *products), act_type="tanh")
        total = op("elemwise_add", f"total{step}", total, state)
    return graph(state, total)


@pytest.mark.parametrize("batch", [1, 3])
def test_unrolled_cells_start_from_zeros_of_any_batch(batch: int) -> None:
    rng = np.random.default_rng(0)
    args = {
        name: rng.standard_normal((2, size)).astype(np.float32) for name, size in (("i2h_weight", 3), ("h2h_weight", 2))
    }
    mx = MxModel(unrolled(), args)
    model = canonical(from_symbol(mx, ReadOptions(inputs=(InputSpec("x", (2, 2, 3)),)), "cell"))
    set_source(model, Source("mxnet", "cell", mx))
    x = rng.standard_normal((batch, 2, 3)).astype(np.float32)
    with runtimes()["mxnet"].open(model) as session:
        expected = list(session.forward({"x": x}).values())
    for runtime in ("ort", "mxnet"):
        with runtimes()[runtime].open(model, native=False) as session:
            found = list(session.forward({"x": x}).values())
        for left, right in zip(found, expected, strict=True):
            assert left.shape == (batch, 2)
            np.testing.assert_allclose(left, right, atol=1e-6)


def test_the_symbol_itself_is_not_changed() -> None:
    symbol = unrolled()
    before = [(node.name, [ref.node.name for ref in node.inputs]) for node in symbol.nodes]
    found = with_known_begin_states(symbol)
    assert [(node.name, [ref.node.name for ref in node.inputs]) for node in symbol.nodes] == before
    assert [node.op for node in found.nodes if node.name in ("state", "total")] == ["broadcast_like"] * 2
    places = {id(node): place for place, node in enumerate(found.nodes)}
    assert all(places[id(ref.node)] < places[id(node)] for node in found.nodes for ref in node.inputs)


def test_a_symbol_without_such_arrays_is_the_same() -> None:
    symbol = graph(op("elemwise_add", "sum", var("x"), op("_zeros", "zeros", shape="(2, 2)")))
    assert with_known_begin_states(symbol) is symbol


def test_every_unknown_axis_is_found() -> None:
    """As in Gluon's ZoneoutCell, whose first previous output has no shape at all."""
    nothing = op("_zeros", "nothing", shape="(0, 0)")
    mask = op("ones_like", "mask", var("x"))
    mx = MxModel(graph(op("where", "kept", mask, var("x"), nothing)))
    model = canonical(from_symbol(mx, ReadOptions(inputs=(InputSpec("x", (2, 3)),)), "zoneout"))
    x = np.ones((4, 3), np.float32)
    with runtimes()["reference"].open(model) as session:
        (found,) = session.forward({"x": x}).values()
    np.testing.assert_array_equal(found, x)


def test_what_meets_nothing_is_refused_with_the_reason() -> None:
    symbol = graph(dense("top", op("_zeros", "lonely", shape="(0, 2)"), 3))
    mx = MxModel(symbol, {"top_weight": np.ones((3, 2), np.float32)})
    with pytest.raises(UnsupportedError, match="only known from what reads it"):
        from_symbol(mx, ReadOptions(), "lonely")
