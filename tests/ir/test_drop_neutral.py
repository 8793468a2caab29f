"""Nodes that change nothing go; all others stay."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import feeds_of, run_original, text_of

from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_kind

ORT = FRAMEWORK.runtimes[0]
X = "float[2,3,4,5] x"
FREE = 'float["n",3,4,5] x'


@pytest.mark.parametrize(
    ("body", "inputs", "ops"),
    [
        ("a = Cast<to=1>(x) y = Relu(a)", X, ["Relu"]),
        ("a = Cast<to=11>(x) y = Relu(a)", X, ["Cast", "Relu"]),
        ("a = Transpose<perm=[0,1,2,3]>(x) y = Relu(a)", X, ["Relu"]),
        ("a = Transpose<perm=[0,2,3,1]>(x) y = Transpose<perm=[0,3,1,2]>(a)", X, ["Identity"]),
        ("a = Transpose<perm=[0,2,3,1]>(x) y = Transpose<perm=[1,0,2,3]>(a)", X, ["Transpose"]),
        ("a = Reshape(x, @int64[4]{0,3,4,5}) y = Relu(a)", FREE, ["Relu"]),
        ("a = Reshape(x, @int64[2]{0,-1}) y = Reshape(a, @int64[3]{0,12,5})", FREE, ["Reshape"]),
        ("a = Reshape(x, @int64[1]{-1}) y = Reshape(a, @int64[4]{-1,3,4,5})", FREE, ["Identity"]),
        ("a = Flatten(x) y = Reshape(a, @int64[3]{0,-1,5})", FREE, ["Reshape"]),
        ("a = Slice(x, @int64[1]{0}, @int64[1]{99}, @int64[1]{2}) y = Relu(a)", FREE, ["Relu"]),
        ("y = Slice(x, @int64[1]{-1}, @int64[1]{-99}, @int64[1]{2}, @int64[1]{-1})", FREE, ["Slice"]),
        ("a = Concat<axis=1>(x) y = Relu(a)", FREE, ["Relu"]),
        ("a, b = Split<axis=3>(x, @int64[2]{5,0}) c = Concat<axis=3>(a, b) y = Relu(c)", FREE, ["Split", "Relu"]),
        ("a = Sum(x) b = Max(a) c = Min(b) d = Mean(c) y = Relu(d)", FREE, ["Relu"]),
        ("a = Pad(x, @int64[8]{0,0,0,0,0,0,0,0}) y = Relu(a)", FREE, ["Relu"]),
        ("a = Tile(x, @int64[4]{1,1,1,1}) y = Relu(a)", FREE, ["Relu"]),
        ("a = Unsqueeze(x, @int64[1]{1}) y = Squeeze(a, @int64[1]{1})", FREE, ["Identity"]),
        ("a = Unsqueeze(x, @int64[1]{0}) y = Squeeze(a, @int64[1]{2})", "float[3,1] x", ["Unsqueeze", "Squeeze"]),
        ("a = Dropout(x) y = Relu(a)", FREE, ["Dropout", "Relu"]),
    ],
)  # fmt: skip
def test_only_what_changes_something_stays(body, inputs, ops):
    text = text_of(body, inputs, "double y" if "to=11" in body else "float y", 23)
    model = canonical(ir.from_onnx_text(text))
    assert [node.op_type for node in model.graph] == ops
    proto = ir.to_proto(ir.from_onnx_text(text))
    feeds = feeds_of(proto)
    with ORT.open(model) as session:
        np.testing.assert_array_equal(session.forward(feeds)["y"], run_original(proto, feeds)["y"])


@pytest.mark.parametrize(("kind", "inputs"), [("constant", 2), ("parameter", 3)])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_bias_of_zeros_goes_unless_it_is_trained(op, kind, inputs):
    model = ir.from_onnx_text(text_of(f"y = {op}(x, w, b)", 'float["n",3,5] x, float[3,3,2] w', "float y", 23))
    bias = model.graph[0].inputs[2]
    bias.const_value = ir.tensor(np.zeros(3, np.float32), name="b")
    model.graph.register_initializer(bias)
    set_kind(bias, kind)
    assert len(canonical(model).graph[0].inputs) == inputs
