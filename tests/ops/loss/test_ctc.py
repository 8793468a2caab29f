"""MXNet's CTCLoss, whose gradients are for float32 only, and blanks that it does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from mxgradients import assert_gradients_are_mxnets

from graphkit.errors import UnsupportedError
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.own import DOMAIN

DATA = np.random.default_rng(3).standard_normal((6, 3, 5))
FIRST = np.array([[1, 2, 2], [3, 0, 0], [4, 1, 0]])
LAST = np.array([[0, 1, 1], [2, -1, -1], [3, 0, -1]])


@pytest.mark.parametrize(
    ("labels", "lengths", "attrs"),
    [
        (FIRST, {}, {}),
        (LAST, {}, {"blank_label": "last"}),
        (FIRST, {"lengths": np.array([6, 4, 5])}, {"use_data_lengths": True}),
        (FIRST, {"counts": np.array([3, 1, 2])}, {"use_label_lengths": True}),
    ],
)
def test_the_gradient_is_mxnets(labels: Any, lengths: dict[str, Any], attrs: dict[str, Any]) -> None:
    feeds = {"data": DATA, "labels": labels, **lengths}
    assert_gradients_are_mxnets("CTCLoss", feeds, attrs, dtype="float32", tol=2e-6)


def test_a_blank_in_the_middle_is_refused() -> None:
    kinds = [ir.DataType.FLOAT, *[ir.DataType.INT64] * 3]
    shapes = [[6, 3, 5], [3, 3], [3], [3]]
    inputs = [
        ir.Value(name=f"x{number}", type=ir.TensorType(kind), shape=ir.Shape(shape))
        for number, (kind, shape) in enumerate(zip(kinds, shapes, strict=True))
    ]
    node = ir.node("CTCLoss", inputs, {"blank": 2}, domain=DOMAIN, name="node")
    graph = ir.Graph(inputs, node.outputs, nodes=[node], opset_imports={"": 23, DOMAIN: 1}, name="net")
    node.outputs[0].name = "y"
    with pytest.raises(UnsupportedError, match="class 2 stands for no label"):
        to_symbol(canonical(ir.Model(graph, ir_version=10)))
