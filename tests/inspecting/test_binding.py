"""Sizes for free dimensions, and operators in the order of what they cost."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import InputError
from graphkit.inspecting.binding import bind_sizes, free_names
from graphkit.inspecting.nodes import ordered
from graphkit.inspecting.summary import inspect
from graphkit.ir.shapes import infer_shapes

TEXT = """<ir_version: 10, opset_import: ["": 23, "my.ops": 1]>
net (float[N, T, 4] x) => (float[M, 4] y, float[K, 4] z) <float[4, 4] w = {0}, int64[2] to = {0, 0}>
{
    [relu] a = Relu(x)
    [flat] b = Reshape(a, to)
    [mul] y = MatMul(b, w)
    [odd] c = my.ops.Frob(y)
    [blind] z = MatMul(c, w)
}"""


def _model() -> ir.Model:
    model = ir.from_onnx_text(TEXT)
    for name, array in (("w", np.eye(4, dtype=np.float32)), ("to", np.asarray([-1, 4]))):
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    infer_shapes(model)
    return model


def test_sizes_reach_every_shape_that_depends_on_them() -> None:
    model = _model()
    bind_sizes(model, {"N": 3, "T": 5})
    shapes = {value.name: value.shape for node in model.graph for value in node.outputs}
    assert [list(shapes[name]) for name in ("a", "b", "y")] == [[3, 5, 4], [15, 4], [15, 4]]
    assert "N" not in free_names(model)


def test_names_without_a_size_stay() -> None:
    model = _model()
    bind_sizes(model, {"N": 3})
    (node,) = (node for node in model.graph if node.name == "mul")
    assert str(node.outputs[0].shape[0]) == "3*T"


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"'N'.*'T'"):
        bind_sizes(_model(), {"batch": 3})


def test_a_given_model_keeps_its_free_dimensions() -> None:
    model = _model()
    before = free_names(model)
    macs = {node.name: node.macs for node in inspect(model, sizes={"N": 3, "T": 5}).nodes}
    assert macs["mul"] == 15 * 4 * 4
    assert free_names(model) == before


def test_operators_with_most_come_first_and_unknown_ones_before_them() -> None:
    nodes = inspect(_model(), sizes={"N": 3, "T": 5}).nodes
    assert [node.name for node in ordered(nodes, "macs")] == ["odd", "blind", "mul", "relu", "flat"]
    assert [node.name for node in ordered(nodes, "order")] == ["relu", "flat", "mul", "odd", "blind"]
    assert ordered(nodes, "bytes")[-1].name == "flat"
