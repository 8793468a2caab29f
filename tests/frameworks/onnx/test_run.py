"""ONNX Runtime and the reference evaluator as runtimes."""

from __future__ import annotations

import sys

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import text_of

from graphkit.errors import ExecutionError, FeedError, MissingError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.onnx.proto import weightless_proto
from graphkit.frameworks.onnx.run import OrtRuntime
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_kind
from graphkit.passes.cast_floats import cast_floats

BOTH = pytest.mark.parametrize("name", ["ort", "reference"])
X = np.array([[1, -2, 3]], np.float32)


def _model(body: str, inputs: str = 'float["n",3] x', outputs: str = "float y", **weights: np.ndarray) -> ir.Model:
    model = ir.from_onnx_text(text_of(body, inputs, outputs, 23))
    free = {value.name: value for node in model.graph for value in node.inputs if value and value.producer() is None}
    for name, array in weights.items():
        free[name].const_value = ir.tensor(array, name=name)
        model.graph.register_initializer(free[name])
        set_kind(free[name], "parameter")
    return canonical(model)


@BOTH
def test_outputs_and_taps_are_keyed_by_name(name):
    model = _model("a = MatMul(x, w) y = Relu(a) z = Neg(y)", outputs="float y, float z", w=np.eye(3, dtype=np.float32))
    with runtimes()[name].open(model) as session:
        found = session.forward({"x": X}, taps=["a", "x", "w", "z"])
        assert list(session.forward({"x": X})) == ["y", "z"]
    assert list(found) == ["y", "z", "a", "x", "w"]
    np.testing.assert_array_equal(found["a"], X)
    np.testing.assert_array_equal(found["w"], np.eye(3))
    np.testing.assert_array_equal(found["z"], -np.maximum(X, 0))


@BOTH
def test_wrong_feeds_and_taps_are_refused(name):
    with runtimes()[name].open(_model("y = Relu(x)")) as session:
        with pytest.raises(FeedError, match="'x' is missing"):
            session.forward({})
        with pytest.raises(FeedError, match="no value 'q'"):
            session.forward({"x": X}, taps=["q"])


@BOTH
def test_a_failing_operator_is_told(name):
    model = _model("y = Gather<axis=1>(x, i)", 'float["n",3] x, int64[1] i')
    with runtimes()[name].open(model) as session, pytest.raises(ExecutionError, match=r"(failed|refused).*"):
        session.forward({"x": X, "i": np.array([7])})


def test_a_missing_float64_kernel_is_told_with_the_node():
    model = cast_floats(_model("y = Conv(x, w)", "float[1,1,4] x", w=np.ones((1, 1, 2), np.float32)), "float64")
    (node,) = model.graph
    with pytest.raises(ExecutionError, match=rf"Conv.*{node.name}.*no float64 kernel.*float32"):
        runtimes()["ort"].open(model)


def test_operators_without_a_kernel_in_the_newest_opset_run_in_an_older_one():
    model = _model("y = GlobalLpPool(x)", "float[1,2,3,4] x")
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)
    with runtimes()["ort"].open(model) as session:
        found = session.forward({"x": x})["y"]
    np.testing.assert_allclose(found, np.sqrt((x**2).sum((2, 3), keepdims=True)), rtol=1e-6)


def test_weights_are_given_to_the_runtime_and_not_serialised():
    weight = np.random.default_rng(0).normal(size=(3, 5000)).astype(np.float32)
    model = _model("y = MatMul(x, w)", w=weight)
    proto, weights = weightless_proto(model)
    assert list(weights) == ["w"]
    assert proto.ByteSize() < 1000
    with runtimes()["ort"].open(model) as session:
        np.testing.assert_allclose(session.forward({"x": X})["y"], X @ weight, rtol=1e-4)


def test_the_same_feeds_give_the_same_bits():
    weight = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(64, 300)).astype(np.float32)
    model = _model("a = MatMul(x, w) b = Softmax(a) y = MatMul(b, w)", 'float["n",300] x', w=weight)
    with runtimes()["ort"].open(model) as first, runtimes()["ort"].open(model) as second:
        np.testing.assert_array_equal(first.forward({"x": x})["y"], second.forward({"x": x})["y"])


def test_bfloat16_goes_in_and_out():
    import ml_dtypes

    model = _model("y = Cast<to=1>(x)", "bfloat16[2] x")
    with runtimes()["ort"].open(model) as session:
        found = session.forward({"x": np.array([1.5, -2], ml_dtypes.bfloat16)})["y"]
    np.testing.assert_array_equal(found, np.array([1.5, -2], np.float32))


def test_a_missing_provider_says_what_to_install():
    import onnxruntime

    runtime = runtimes()["ort-cuda"]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has the CUDA provider")
    assert "pip install 'graphkit[ort-cuda]'" in runtime.missing()
    with pytest.raises(MissingError, match="has no CUDAExecutionProvider"):
        runtime.open(_model("y = Relu(x)"))


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert runtimes()["ort"].missing() == "ONNX Runtime is not installed; run: pip install 'graphkit[ort]'"


def test_a_silent_fall_back_is_an_error(monkeypatch):
    """ONNX Runtime warns and uses the CPU when a provider does not start; that is not what was asked for."""
    monkeypatch.setattr(OrtRuntime, "missing", lambda _self: None)
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(ExecutionError, match="fell back to CPUExecutionProvider"),
    ):
        runtimes()["ort-cuda"].open(_model("y = Relu(x)"))


def test_the_reference_evaluator_computes_in_float64():
    model = cast_floats(_model("y = Erf(x)"), "float64")
    with runtimes()["reference"].open(model) as session:
        found = session.forward({"x": np.array([[0.5, 1, 2]])})["y"]
    np.testing.assert_allclose(found, [[0.5204998778130465, 0.8427007929497149, 0.9953222650189527]], rtol=1e-14)


def test_products_of_transposed_halves_do_not_end_the_process():
    body = "u = Unsqueeze(x, a) v = Softsign(u) s = Squeeze(v, a) t = Transpose<perm = [1, 0, 2]>(s) y = MatMul(t, w)"
    weights = {"a": np.array([1]), "w": np.full((12, 4), 2, np.float16)}
    with runtimes()["ort"].open(_model(body, "float16[2,5,12] x", "float16 y", **weights)) as session:
        (found,) = session.forward({"x": np.ones((2, 5, 12), np.float16)}).values()
    np.testing.assert_array_equal(found, np.full((5, 2, 4), 12, np.float16))
