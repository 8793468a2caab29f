"""Detections and proposals give their inputs no gradient: MXNet's operators have none to give."""

from __future__ import annotations

import numpy as np
import pytest
from mxsymbols import graph, op, var

from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxModel, MxRef

RNG = np.random.default_rng(3)
CORNERS = np.sort(RNG.random((1, 9, 2, 2)), axis=2).reshape(1, 9, 4)
FEEDS = {
    "_contrib_MultiBoxDetection": {
        "scores": RNG.random((2, 4, 9)),
        "offsets": RNG.standard_normal((2, 36)),
        "anchors": CORNERS,
    },
    "_contrib_Proposal": {
        "scores": RNG.random((1, 6, 4, 4)),
        "offsets": RNG.standard_normal((1, 12, 4, 4)) / 10,
        "info": np.array([[16.0, 16.0, 1.0]]),
    },
}
ATTRS = {
    "_contrib_MultiBoxDetection": {},
    "_contrib_Proposal": {
        "rpn_pre_nms_top_n": 20,
        "rpn_post_nms_top_n": 5,
        "scales": "(2, 4, 8)",
        "ratios": "(1,)",
        "feature_stride": 4,
        "rpn_min_size": 1,
        "output_score": True,
    },
}


@pytest.mark.mxnet
@pytest.mark.parametrize("operator", FEEDS)
def test_only_what_is_beside_it_is_trained(operator: str) -> None:
    feeds = {name: array.astype(np.float32) for name, array in FEEDS[operator].items()}
    fed = [var(name) for name in feeds]
    found = op(operator, "found", *fed, **ATTRS[operator])
    heads = [found, MxRef(found.node, 1)] if ATTRS[operator] else [found]
    mx = MxModel(graph(*heads, op("square", "beside", fed[0])))
    inputs = tuple(InputSpec(name, array.shape) for name, array in feeds.items())
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=False), "found"))
    set_source(model, Source("mxnet", "found", mx))
    results = []
    for runtime, native in (("mxnet", True), ("mxnet", False), ("torch", False), ("reference", False)):
        with runtimes()[runtime].open(model, native=native) as session:
            seeds = {name: np.ones_like(array) for name, array in session.forward(feeds).items()}
            results.append(session.backward(feeds, seeds))
    for gradients in results:
        np.testing.assert_allclose(gradients["scores"], 2 * feeds["scores"], rtol=1e-6)
        assert all(not gradients[name].any() for name in feeds if name != "scores")
