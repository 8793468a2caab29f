"""Weights that do not fit their operators are refused."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import ParameterError
from graphkit.ir.weights import check_weights


def one_node(op: str, data: tuple, *weights: tuple, **attributes) -> ir.Model:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(data))
    held = [
        ir.Value(name=f"w{index}", const_value=ir.tensor(np.zeros(shape, np.float32), name=f"w{index}"))
        for index, shape in enumerate(weights, 1)
    ]
    node = ir.node(op, [x, *held], attributes, name="node")
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=held, opset_imports={"": 23})
    return ir.Model(graph, ir_version=10)


@pytest.mark.parametrize(
    "model",
    [
        one_node("Gemm", ("batch", 4), (3, 4), (3,), transB=1),
        one_node("Gemm", ("batch", 4), (4, 3), (1,)),
        one_node("Gemm", (2, 4), (4, 3), (2, 3)),
        one_node("Gemm", (2, 4), (4, 3), (1, 3)),
        one_node("Gemm", (2, 4), (4, 3), ()),
        one_node("Conv", ("batch", 8, None, None), (6, 4, 3, 3), (6,), group=2, kernel_shape=[3, 3]),
        one_node("Conv", ("batch", None, 5), (6, 4, 3), (6,)),
        one_node("ConvTranspose", ("batch", 8, 5, 5), (8, 3, 2, 2), (6,), group=2),
        one_node("BatchNormalization", ("batch", 8, 5), (8,), (8,), (8,), (8,)),
        one_node("InstanceNormalization", ("batch", None, 5), (8,), (8,)),
    ],
)
def test_weights_that_fit_are_accepted(model):
    check_weights(model)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (one_node("Gemm", ("batch", 4), (3, 4), (5,), transB=1), "'w2' has shape 5, .* asks for 3"),
        (one_node("Gemm", (2, 4), (4, 3), (3, 3)), "'w2' has shape 3×3, .* asks for 2×3"),
        (one_node("Gemm", (2, 4), (4, 3, 1)), "'w1'"),
        (one_node("Conv", ("batch", 8, 5, 5), (6, 3, 3, 3)), "'w1' has shape 6×3×3×3, .* asks for [?]×8×3×3"),
        (one_node("Conv", ("batch", 8, 5, 5), (6, 8, 3, 3), kernel_shape=[5, 5]), "'w1'"),
        (one_node("Conv", ("batch", 8, 5, 5), (6, 8, 3, 3), (8,)), "'w2' has shape 8, .* asks for 6"),
        (one_node("ConvTranspose", ("batch", 8, 5, 5), (8, 3, 2, 2), (3,), group=2), "'w2' .* asks for 6"),
        (one_node("ConvTranspose", ("batch", 8, 5, 5), (4, 3, 2, 2)), "'w1'"),
        (one_node("BatchNormalization", ("batch", 8, 5), (8,), (8,), (7,), (8,)), "'w3'"),
        (one_node("BatchNormalization", ("batch", None), (8,), (8,), (8,), (8, 1)), "'w4'"),
    ],
)
def test_weights_that_do_not_fit_are_named_with_both_shapes(model, told):
    with pytest.raises(ParameterError, match=told):
        check_weights(model)
