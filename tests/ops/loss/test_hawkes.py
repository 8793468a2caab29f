"""The log likelihood of Hawkes processes: MXNet's own gradients, which it has for three of the operands."""

from __future__ import annotations

import numpy as np
from mxgradients import read_node
from realmxnet import mxnet

from graphkit.frameworks.base import runtimes
from graphkit.passes.cast_floats import cast_floats

RNG = np.random.default_rng(8)
FEEDS = {
    "base": RNG.uniform(0.5, 2, (2, 3)),
    "jump": RNG.uniform(0.1, 0.9, 3),
    "decay": RNG.uniform(0.5, 3, 3),
    "state": RNG.uniform(0, 1, (2, 3)),
    "lags": RNG.uniform(0.1, 1, (2, 4)),
    "marks": np.array([[0, 2, 0, 1], [1, 1, 2, 0]], np.int32),
    "lengths": np.array([4.0, 2.0]),
    "span": np.array([5.0, 3.5]),
}


def test_the_gradients_are_mxnets() -> None:
    mx = mxnet()
    arrays = {
        name: mx.nd.array(array, dtype="int32" if name == "marks" else "float64") for name, array in FEEDS.items()
    }
    for name in ("base", "jump", "decay"):
        arrays[name].attach_grad()
    with mx.autograd.record(train_mode=False):
        likelihood = mx.nd.contrib.hawkesll(*arrays.values())[0]
    likelihood.backward(mx.nd.array([0.3, -1.2], dtype="float64"), train_mode=False)
    model = cast_floats(read_node("_contrib_hawkesll", FEEDS, {}, outputs=1), "float64")
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.backward(FEEDS, {model.graph.outputs[0].name: np.array([0.3, -1.2])})
    for name in ("base", "jump", "decay"):
        np.testing.assert_allclose(found[name], arrays[name].grad.asnumpy(), rtol=1e-5)
