"""N-grams are counted and weighted as ONNX Runtime does it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical

pytest.importorskip("torch")


def _model(shape: list[int], **attrs) -> ir.Model:
    helper = onnx.helper
    node = helper.make_node("TfIdfVectorizer", ["x"], ["y"], **attrs)
    kind = onnx.TensorProto.STRING if "pool_strings" in attrs else onnx.TensorProto.INT64
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    outputs = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "g", inputs, outputs)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    return canonical(ir.serde.deserialize_model(proto))


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("skips", [0, 1, 3])
@pytest.mark.parametrize("lengths", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("shape", [[12], [3, 12]])
def test_ngrams_are_counted_and_weighted(mode, skips, lengths, shape):
    grams = [[1], [2], [3], [1, 2], [2, 2], [3, 1], [1, 2, 3], [2, 1, 1]]
    attrs = {
        "mode": mode,
        "max_skip_count": skips,
        "min_gram_length": lengths[0],
        "max_gram_length": lengths[1],
        "ngram_counts": [0, 3, 9],
        "ngram_indexes": [3, 0, 1, 5, 2, 4, 7, 6],
        "pool_int64s": [token for gram in grams for token in gram],
        "weights": [0.5, 2.0, 3.0, 0.25, 1.5, 4.0, 0.1, 7.0],
    }
    feeds = {"x": np.random.default_rng(0).integers(1, 4, shape)}
    results = []
    for runtime in ("torch", "ort"):
        with runtimes()[runtime].open(_model(shape, **attrs), native=False) as session:
            results.append(session.forward(feeds)["y"])
    assert results[0].shape == results[1].shape
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


def test_strings_are_refused():
    attrs = {"mode": "TF", "max_skip_count": 0, "min_gram_length": 1, "max_gram_length": 1}
    model = _model([3], ngram_counts=[0], ngram_indexes=[0], pool_strings=["a"], **attrs)
    with pytest.raises(UnsupportedError, match="torch has no strings"):
        runtimes()["torch"].open(model, native=False)
