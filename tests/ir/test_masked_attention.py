"""What opsets 24 and 25 added to Attention is said by a mask, with the numbers of ONNX's reference."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import OPSET, canonical

ORT = FRAMEWORK.runtimes[0]
CASES = {
    "padded keys": ("", ", , , n", []),
    "padded keys, causal": ("is_causal=1", ", , , n", []),
    "padded keys and a mask": ("is_causal=1", "m, , , n", ["m"]),
    "padded keys and truths": ("", "t, , , n", ["t"]),
    "a window": ("left_window_size=1, right_window_size=2", "", []),
    "a causal window after a past": ("is_causal=1, left_window_size=2", ", pk, pv", ["pk", "pv"]),
    "a window over padded keys": ("left_window_size=2", "m, , , n", ["m"]),
}
SHAPES = {
    "m": "float[b,1,q,k] m",
    "t": "bool[q,k] t",
    "pk": "float[b,2,p,4] pk",
    "pv": "float[b,2,p,4] pv",
}
SIZES = {"b": 2, "q": 3, "k": 5, "p": 2}


def _proto(attributes: str, more: str, given: list[str]) -> onnx.ModelProto:
    inputs = ["float[b,2,q,4] x", "float[b,2,k,4] y", "int64[b] n", *(SHAPES[name] for name in given)]
    outputs = "o, nk, nv" if "pk" in given else "o"
    results = "float[b,2,q,4] o" + (", float[b,2,t,4] nk, float[b,2,t,4] nv" if "pk" in given else "")
    settings = f"<{attributes}>" if attributes else ""
    operands = f"x, y, y{', ' if more else ''}{more}"
    body = f"{outputs} = Attention{settings}({operands})"
    text = f'<ir_version: 11, opset_import: ["": 25]> g ({", ".join(inputs)}) => ({results}) {{ {body} }}'
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize("name", CASES)
def test_lengths_and_windows_become_a_mask(name):
    proto = _proto(*CASES[name])
    model = canonical(ir.serde.deserialize_model(proto))
    assert model.opset_imports[""] == OPSET
    assert [node.op_type for node in model.graph].count("Attention") == 1
    assert "Softmax" not in [node.op_type for node in model.graph]
    rng = np.random.default_rng(0)
    feeds = {"n": np.array([5, 4])}
    for value in proto.graph.input:
        sizes = [dim.dim_value or SIZES[dim.dim_param] for dim in value.type.tensor_type.shape.dim]
        if value.name not in feeds:
            feeds[value.name] = rng.normal(size=sizes).astype(np.float32)
    if "t" in feeds:
        feeds["t"] = feeds["t"] > -1
    expected = ReferenceEvaluator(proto).run(None, feeds)
    with ORT.open(model) as session:
        found = session.forward(feeds)
    for left, right in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_a_mask_that_may_end_before_the_keys_takes_the_operators_body():
    proto = _proto("", "m, , , n", ["m"])
    proto.graph.input[3].type.tensor_type.shape.dim[3].dim_param = "w"
    model = canonical(ir.serde.deserialize_model(proto))
    assert "Softmax" in [node.op_type for node in model.graph]
