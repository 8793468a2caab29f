"""A model cast to another precision computes the same function there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from opsetcases import text_of

from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source, source_of
from graphkit.ir.params import kind_of, set_exact, set_kind
from graphkit.passes.cast_floats import cast_floats

REFERENCE = FRAMEWORK.runtimes[2]
ORT = FRAMEWORK.runtimes[0]


def _model(body: str, inputs: str = 'float["n",4] x', outputs: str = "float y", **weights: np.ndarray) -> ir.Model:
    model = ir.from_onnx_text(text_of(body, inputs, outputs, 23))
    free = {value.name: value for node in model.graph for value in node.inputs if value and value.producer() is None}
    for name, array in weights.items():
        free[name].const_value = ir.tensor(array, name=name)
        model.graph.register_initializer(free[name])
        set_kind(free[name], "parameter")
    return canonical(model)


def _dtypes(model: ir.Model) -> set[str]:
    values = [
        *model.graph.inputs,
        *model.graph.initializers.values(),
        *(v for node in model.graph for v in node.outputs),
    ]
    return {value.dtype.name for value in values}


def test_everything_float_changes_and_the_original_stays():
    model = _model("a = MatMul(x, w) c = Cast<to=7>(a) d = Cast<to=1>(c) y = Add(a, d)", w=np.ones((4, 2), np.float32))
    before = ir.to_onnx_text(model)
    double = cast_floats(model, "float64")
    assert ir.to_onnx_text(model) == before
    assert _dtypes(double) == {"DOUBLE", "INT64"}
    onnx.checker.check_model(ir.to_proto(double), full_check=True)
    x = np.random.default_rng(0).normal(size=(3, 4))
    with ORT.open(double) as session:
        found = session.forward({"x": x})["y"]
    product = x @ np.ones((4, 2))
    np.testing.assert_allclose(found, product + np.trunc(product), rtol=1e-14)


def test_names_kinds_metadata_and_source_stay():
    model = _model("y = MatMul(x, w)", w=np.ones((4, 2), np.float32))
    model.metadata_props["author"] = "someone"
    source = Source("onnx", "x.onnx", None)
    set_source(model, source)
    double = cast_floats(model, "float64")
    assert source_of(double) == replace(source, dtype="float64", recast=True)
    assert source_of(model) is source
    assert double.metadata_props["author"] == "someone"
    assert {name: kind_of(value) for name, value in double.graph.initializers.items()} == {"w": "parameter"}
    assert [value.name for value in double.graph.inputs] == ["x"]


def test_constants_become_the_numbers_they_were_rounded_from():
    model = _model("y = Mul(x, c)", c=np.float32(0.1))
    value = model.graph.initializers["c"]
    set_exact(value, np.array(0.1))
    double = cast_floats(model, "float64")
    assert double.graph.initializers["c"].const_value.numpy() == 0.1
    assert cast_floats(double, "float32").graph.initializers["c"].const_value.numpy() == np.float32(0.1)
    assert cast_floats(model, "float16").graph.initializers["c"].const_value.numpy() == np.float16(0.1)


def test_attributes_that_name_a_type_follow():
    model = _model(
        "s = Shape(x) a = ConstantOfShape<value=float[1]{0.1}>(s) b = RandomNormalLike<dtype=1>(x) "
        "c = EyeLike<dtype=1>(x) d = Cast<to=10>(x) y = Concat<axis=0>(a, b, c)",
        outputs="float y, float16 d",
    )
    double = cast_floats(model, "float64")
    onnx.checker.check_model(ir.to_proto(double), full_check=True)
    assert _dtypes(double) == {"DOUBLE", "INT64"}
    filled = next(node for node in double.graph if node.op_type == "ConstantOfShape")
    assert filled.attributes["value"].as_tensor().numpy() == 0.1


def test_normalisations_compute_in_the_new_precision():
    x = np.random.default_rng(0).normal(size=(2, 4)) + 1e4
    model = _model("y = LayerNormalization<epsilon=0.0>(x, s)", s=np.ones(4, np.float32))
    centred = x - x.mean(1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(1, keepdims=True))
    for runtime in (ORT, REFERENCE):
        with runtime.open(cast_floats(model, "float64")) as session:
            np.testing.assert_allclose(session.forward({"x": x})["y"], expected, rtol=1e-9)


def test_inputs_that_onnx_keeps_in_float32_stay():
    scales = np.array([1, 1, 2, 2], np.float32)
    model = _model("a = Resize(x, , k) y = Mul(a, k)", "float[1,1,3,2] x", k=scales)
    double = cast_floats(model, "float64")
    resize, multiply = double.graph
    assert resize.inputs[2].dtype == ir.DataType.FLOAT
    assert multiply.inputs[1].dtype == ir.DataType.DOUBLE
    onnx.checker.check_model(ir.to_proto(double), full_check=True)
    alone = cast_floats(_model("y = Resize(x, , k)", "float[1,1,3,2] x", k=scales), "float64")
    assert list(alone.graph.initializers) == ["k"]
    assert alone.graph.initializers["k"].dtype == ir.DataType.FLOAT


def test_computed_inputs_that_onnx_keeps_in_float32_are_cast():
    model = _model("b = Relu(x) y = NonMaxSuppression(b, s)", "float[1,3,4] x, float[1,1,3] s", "int64 y")
    double = cast_floats(model, "float64")
    onnx.checker.check_model(ir.to_proto(double), full_check=True)
    assert [node.op_type for node in double.graph] == ["Relu", "Cast", "Cast", "NonMaxSuppression"]


def test_large_weights_are_converted_when_they_are_read():
    model = _model("y = MatMul(x, w)", w=np.ones((4, 5000), np.float32))
    tensor = cast_floats(model, "float64").graph.initializers["w"].const_value
    assert isinstance(tensor, ir.LazyTensor)
    assert tensor.dtype == ir.DataType.DOUBLE
    assert tensor.numpy().dtype == np.float64


def test_nested_graphs_follow():
    model = canonical(
        ir.from_onnx_text(
            """<ir_version: 10, opset_import: ["": 23]>
            g (float["n"] x, bool c) => (float y) {
              y = If(c) <then_branch = t () => (float p) { p = Relu(x) },
                         else_branch = e () => (float q) { q = Neg(x) }>
            }"""
        )
    )
    double = cast_floats(model, "float64")
    onnx.checker.check_model(ir.to_proto(double), full_check=True)
    with ORT.open(double) as session:
        assert session.forward({"x": np.array([-1.5]), "c": np.array(False)})["y"] == 1.5


def test_an_unknown_precision_is_an_error():
    with pytest.raises(ValueError, match="'float8' is not one of float16, float32, float64"):
        cast_floats(_model("y = Relu(x)"), "float8")
