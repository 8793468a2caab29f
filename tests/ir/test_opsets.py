"""Raising a model to the canonical opset keeps its meaning, as ONNX Runtime running the original shows."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from opsetcases import CASES, Case, feeds_of, proto_of, run_original

from graphkit.errors import UnsupportedError
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import OPSET, canonical

ORT = FRAMEWORK.runtimes[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_raised_models_give_the_same_numbers(case):
    for opset in case.opsets:
        proto = proto_of(case, opset)
        feeds = feeds_of(proto)
        expected = run_original(proto, feeds)
        model = canonical(ir.serde.deserialize_model(proto))
        assert model.opset_imports[""] == OPSET
        raised = ir.serde.serialize_model(model)
        onnx.checker.check_model(raised, full_check=True)
        with ORT.open(model) as session:
            found = session.forward(feeds)
        assert list(found) == list(expected)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6, err_msg=f"opset {opset}")


def _canonical(opset: int, body: str, inputs: str = "float[2,3,4,5] x", outputs: str = "float y") -> ir.Model:
    return canonical(ir.serde.deserialize_model(proto_of(Case("", range(0), inputs, body, outputs), opset)))


def test_a_float_mask_of_dropout_is_all_ones():
    """Before opset 12 ONNX left open what the mask is in inference; from then on nothing is masked."""
    model = _canonical(7, "a, y = Dropout(x)")
    with ORT.open(model) as session:
        found = session.forward({"x": np.zeros((2, 3, 4, 5), np.float32)})["y"]
    np.testing.assert_array_equal(found, np.ones((2, 3, 4, 5), np.float32))


def test_all_nodes_without_an_equal_are_listed():
    body = (
        'a = Resize<coordinate_transformation_mode="tf_half_pixel_for_nn">(x, @float[0]{}, @float[4]{1,1,2,2}) '
        "b = Frobnicate(x) y = Add(a, b)"
    )
    with pytest.raises(UnsupportedError) as raised:
        _canonical(11, body)
    assert [node.op for node in raised.value.nodes] == ["Resize (opset 11)", "Frobnicate (opset 11)"]


def test_a_newer_opset_is_accepted_where_it_says_nothing_new():
    model = _canonical(25, "y = Cast<to=10, saturate=1>(x)", outputs="float16 y")
    assert [node.op_type for node in model.graph] == ["Cast"]
    assert model.opset_imports[""] == OPSET


def test_operators_that_came_later_are_said_by_their_function_bodies():
    assert {node.op_type for node in _canonical(24, "y = Swish(x)").graph} == {"Sigmoid", "Mul"}
    model = _canonical(28, "y = SwiGLU<alpha=2.0>(x, x)")
    assert model.opset_imports[""] == OPSET
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    with ORT.open(model) as session:
        np.testing.assert_allclose(session.forward({"x": x})["y"], x * x / (1 + np.exp(-2 * x)), rtol=1e-5)


def test_what_came_later_and_has_no_body_raises_the_opset():
    model = _canonical(28, "y = CumProd(x, @int64{0})")
    assert model.opset_imports[""] == 26
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    with ORT.open(model) as session:
        np.testing.assert_allclose(session.forward({"x": x})["y"], x.cumprod(0), rtol=1e-6)
    assert _canonical(28, "y = Celu(x)", "float16[2] x", "float16 y").opset_imports[""] == 28
    with pytest.raises(UnsupportedError, match="no such operator"):
        _canonical(28, "y = Frobnicate<mode=1>(x)")
