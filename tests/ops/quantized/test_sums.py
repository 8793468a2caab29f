"""Sums of quantized numbers without calibration are those of MXNet to the 24 bits of a float32."""

from __future__ import annotations

import numpy as np

from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef

RNG = np.random.default_rng(29)


def test_uncalibrated_sums() -> None:
    feeds = {name: RNG.integers(-127, 128, (2, 3, 4, 5)).astype(np.int8) for name in ("left", "right")}
    ranges = {"low": -1.1, "high": 1.3, "low2": -0.5, "high2": 0.4}
    stored = {name: np.array([end], np.float32) for name, end in ranges.items()}
    variables = [MxNode(VARIABLE, name) for name in (*feeds, *stored)]
    node = MxNode("_contrib_quantized_elemwise_add", "sum", {}, [MxRef(variable) for variable in variables])
    mx = MxModel(MxGraph([*variables, node], [MxRef(node, number) for number in range(3)]), stored)
    heard: list[str] = []
    inputs = tuple(InputSpec(name, array.shape, "int8") for name, array in feeds.items())
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=False, warn=heard.append), "sum"))
    set_source(model, Source("mxnet", "sum", mx))
    assert any("24 bits of float32" in message for message in heard)
    found: list[list[np.ndarray]] = []
    for runtime, native in (("mxnet", True), ("ort", False), ("torch", False)):
        with runtimes()[runtime].open(model, native=native) as session:
            found.append(list(session.forward(feeds).values()))
    right = found[0]
    for sums, low, high in found[1:]:
        assert sums.dtype == np.int32
        assert np.abs(sums.astype(np.int64) - right[0]).max() <= 2**31 / 2**22
        np.testing.assert_allclose([low, high], right[1:], rtol=1e-6)
