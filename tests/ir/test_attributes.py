"""Attributes that operators do not define are refused with what is allowed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from graphkit.errors import FormatError
from graphkit.ir.canonical import canonical

X = np.zeros((2, 4, 5, 6), np.float32)


def model(op: str, *more: np.ndarray, **attrs: object) -> ir.Model:
    names = ["x", *(f"w{number}" for number in range(len(more)))]
    node = helper.make_node(op, names, ["y"], name="the node", **attrs)
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, (X, *more), strict=True)
    ]
    graph = helper.make_graph([node], "graph", inputs, [helper.make_tensor_value_info("y", 1, None)])
    return ir.serde.deserialize_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (model("ArgMax", keepdims=3), "has keepdims=3, which the operator does not define: it is 0 or 1."),
        (model("Softmax", axis=4), "has axis=4, which the operator does not define: it is between -4 and 3."),
        (model("Flatten", axis=5), "it is between -4 and 4"),
        (
            model("Gelu", approximate="erf"),
            "has approximate='erf', which the operator does not define: it is one of none or",
        ),
        (model("MaxPool", kernel_shape=[2, 2], strides=[1, 0]), "has strides=(1, 0), which"),
        (model("DepthToSpace", blocksize=2, mode="RCD"), "it is one of DCR or CRD"),
        (model("MeanVarianceNormalization", axes=[1, -3]), "it has axes between -4 and 3, each once"),
        (model("Transpose", perm=[0, 1, 1, 2]), "it has each of the 4 axes once"),
        (model("LpNormalization", p=3), "it is one of 1 or 2"),
        (model("Conv", np.zeros((6, 2, 1, 1), np.float32), group=3), "it divides the 4 channels"),
        (
            model("ScatterElements", np.zeros((1, 1, 1, 1), np.int64), X[:1, :1, :1, :1], reduction="mean"),
            "it is one of none, ",
        ),
    ],
    ids=lambda value: value.graph.node(0).op_type if isinstance(value, ir.Model) else "",
)
def test_the_error_names_node_operator_attribute_and_what_is_allowed(given: ir.Model, message: str) -> None:
    with pytest.raises(FormatError) as error:
        canonical(given)
    text = str(error.value)
    assert text.startswith("Node 'the node' (") or "(infer" in text, text
    assert message in text


def test_attributes_of_bodies_are_looked_at_too() -> None:
    inner = helper.make_node("Softmax", ["x"], ["inner"], name="inside", axis=7)
    branch = helper.make_graph([inner], "branch", [], [helper.make_tensor_value_info("inner", 1, None)])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    inputs = [helper.make_tensor_value_info("c", 9, []), helper.make_tensor_value_info("x", 1, [2, 3])]
    graph = helper.make_graph([node], "graph", inputs, [helper.make_tensor_value_info("y", 1, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    with pytest.raises(FormatError, match="'inside'"):
        canonical(ir.serde.deserialize_model(proto))
