"""MXNet as a runtime: models by IR names, symbols as they are, and what it says when it cannot."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from mxsymbols import graph, op, var

from graphkit.errors import ExecutionError, FeedError, InputError, MissingError
from graphkit.frameworks.base import Batch, Execution, InputSpec, ReadOptions, Sgd
from graphkit.frameworks.mxnet import run
from graphkit.frameworks.mxnet.answers import as_declared
from graphkit.frameworks.mxnet.form import form_of
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.run import RUNTIME, MxRuntime
from graphkit.ir import params
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.layout import restore
from graphkit.ops.mxgraph import MxModel, MxRef
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from pathlib import Path

    from graphkit.ir.params import Kind

pytestmark = pytest.mark.mxnet

Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True, scope="module")
def _needs_mxnet() -> None:
    problem = RUNTIME.missing()
    if problem is not None:
        pytest.skip(problem)


def model_of(body: str, kinds: dict[str, Kind] | None = None, **arrays: np.ndarray) -> ir.Model:
    """A canonical model from ONNX text; the arrays are its initializers, parameters unless ``kinds`` says otherwise."""
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": 23]>\n{body}')
    for name, array in arrays.items():
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        placeholder = next(node for node in model.graph if any(x is not None and x.name == name for x in node.inputs))
        old = next(x for x in placeholder.inputs if x is not None and x.name == name)
        for node, position in tuple(old.uses()):
            node.replace_input_with(position, value)
        model.graph.inputs.remove(old)
        model.graph.register_initializer(value)
        params.set_kind(value, (kinds or {}).get(name, "parameter"))
    return canonical(model)


RNG = np.random.default_rng(0)
WEIGHTS = {
    "w1": RNG.standard_normal((4, 6)),
    "b1": RNG.standard_normal(6),
    "w2": RNG.standard_normal((3, 6)),
    "b2": RNG.standard_normal(3),
}
LAYERS = """
    layers (double[N, 4] x, double[4, 6] w1, double[6] b1, double[3, 6] w2, double[3] b2) => (double[N, 3] y) {
        h = Gemm(x, w1, b1)
        a = Sigmoid(h)
        y = Gemm<transB = 1>(a, w2, b2)
    }
"""


def layers() -> ir.Model:
    """Two layers, the weight of the first one stored the way that MXNet does not have it."""
    return model_of(LAYERS, **WEIGHTS)


def by_hand(x: np.ndarray, seed: np.ndarray) -> tuple[Arrays, Arrays]:
    h = x @ WEIGHTS["w1"] + WEIGHTS["b1"]
    a = 1 / (1 + np.exp(-h))
    y = a @ WEIGHTS["w2"].T + WEIGHTS["b2"]
    down = (seed @ WEIGHTS["w2"]) * a * (1 - a)
    gradients = {"x": down @ WEIGHTS["w1"].T, "w1": x.T @ down, "b1": down.sum(0), "w2": seed.T @ a, "b2": seed.sum(0)}
    return {"h": h, "a": a, "y": y}, gradients


def assert_close(found: Arrays, expected: Arrays) -> None:
    assert sorted(found) == sorted(expected)
    for name, right in expected.items():
        assert found[name].shape == right.shape
        assert found[name].dtype == right.dtype
        np.testing.assert_allclose(found[name], right, rtol=1e-11, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("batch", [1, 5])
def test_outputs_taps_and_gradients_come_by_ir_name_and_layout(batch: int) -> None:
    x, seed = RNG.standard_normal((batch, 4)), RNG.standard_normal((batch, 3))
    values, gradients = by_hand(x, seed)
    with RUNTIME.open(layers()) as session:
        assert_close(session.forward({"x": x}), {"y": values["y"]})
        tapped = session.forward({"x": x}, taps=["a", "x", "y", "w1"])
        assert_close(tapped, {"y": values["y"], "a": values["a"], "x": x, "w1": WEIGHTS["w1"]})
        assert_close(session.backward({"x": x}, {"y": seed}), gradients)


def test_the_gradient_of_a_parameter_in_another_layout_is_brought_back() -> None:
    weight = np.arange(24.0).reshape(2, 3, 4)
    layout = (("transpose", (2, 0, 1)), ("reshape", (4, -1)), ("transpose", (1, 0)))
    stored = weight.transpose(2, 0, 1).reshape(4, 6).transpose(1, 0)
    np.testing.assert_array_equal(restore(stored, layout, weight.shape), weight)


def test_a_parameter_that_no_output_needs_has_a_zero_gradient() -> None:
    model = layers()
    unused = ir.Value(name="unused", const_value=ir.tensor(np.ones((2, 3)), name="unused"))
    params.set_kind(unused, "parameter")
    model.graph.register_initializer(unused)
    with RUNTIME.open(model) as session:
        found = session.backward({"x": np.ones((1, 4))}, {"y": np.ones((1, 3))})
    np.testing.assert_array_equal(found["unused"], np.zeros((2, 3)))


def test_what_is_fed_is_checked() -> None:
    with RUNTIME.open(layers()) as session:
        x = np.ones((2, 4))
        for feeds, said in (
            ({}, "'x' is missing"),
            ({"x": x, "z": x}, "'z' is unknown"),
            ({"x": x.astype(np.float32)}, "dtype float32, the model asks for float64"),
            ({"x": np.ones((2, 5))}, "2×5"),
        ):
            with pytest.raises(FeedError, match=said):
                session.forward(feeds)
        with pytest.raises(FeedError, match="no value 'nothing'"):
            session.forward({"x": x}, taps=["nothing"])
        with pytest.raises(FeedError, match=r"cotangent has shape \(3, 3\), its output \(2, 3\)"):
            session.backward({"x": x}, {"y": np.ones((3, 3))})


def test_scalars_have_no_dimensions() -> None:
    model = model_of("total (double[N] x) => (double s) { s = ReduceSum<keepdims = 0>(x) }")
    with RUNTIME.open(model) as session:
        assert_close(session.forward({"x": np.arange(4.0)}), {"s": np.asarray(6.0)})
        assert_close(session.backward({"x": np.arange(4.0)}, {"s": np.asarray(2.0)}), {"x": np.full(4, 2.0)})


def test_an_integer_input_has_no_gradient() -> None:
    model = model_of("whole (int32[3] i, double[3] x) => (double[3] y, int32[3] j) { j = Neg(i) \n y = Neg(x) }")
    with RUNTIME.open(model) as session:
        feeds = {"i": np.array([1, 2, 3], np.int32), "x": np.ones(3)}
        assert_close(session.forward(feeds), {"y": -feeds["x"], "j": -feeds["i"]})
        assert_close(session.backward(feeds, {"y": np.ones(3)}), {"x": -np.ones(3)})


@pytest.mark.parametrize("kind", ["float64", "int64", "bool"])
def test_a_number_is_given_the_declared_dtype_only_where_it_keeps_its_value(kind: str) -> None:
    value = ir.Value(name="v", type=ir.TensorType(ir.DataType.from_numpy(np.dtype(kind))), shape=ir.Shape([2]))
    exact = as_declared(value, np.array([0, 1], np.float32))
    assert exact.dtype == (np.float32 if kind == "float64" else kind)
    assert as_declared(value, np.array([0.5, np.nan], np.float32)).dtype == np.float32


def read(mx: MxModel, **shapes: tuple[int, ...]) -> ir.Model:
    """A canonical model whose source is the symbol."""
    inputs = tuple(InputSpec(name, shape) for name, shape in shapes.items())
    model = from_symbol(mx, ReadOptions(inputs=inputs), "the symbol")
    set_source(model, Source("mxnet", "the symbol", mx))
    return canonical(model)


def classifier() -> tuple[ir.Model, Arrays]:
    """A dense layer under a SoftmaxOutput, in float32."""
    dense = op("FullyConnected", "dense", var("data"), var("w"), var("b"), num_hidden=3)
    arrays = {name: WEIGHTS[old].astype(np.float32) for name, old in {"w": "w2", "b": "b2"}.items()}
    head = op("SoftmaxOutput", "softmax", dense, var("softmax_label"), grad_scale=7)
    return read(MxModel(graph(head), arrays), data=(2, 6)), arrays


def test_a_symbol_is_run_as_it_is_and_its_loss_does_not_spoil_the_gradient() -> None:
    model, arrays = classifier()
    x = RNG.standard_normal((2, 6)).astype(np.float32)
    seed = RNG.standard_normal((2, 3)).astype(np.float32)
    logits = x @ arrays["w"].T + arrays["b"]
    soft = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    down = soft * (seed - (seed * soft).sum(1, keepdims=True))
    with RUNTIME.open(model) as session:
        for feeds in {"data": x}, {"data": x, "softmax_label": np.ones(2, np.float32)}:
            (found,) = session.forward(feeds).values()
            np.testing.assert_allclose(found, soft, rtol=1e-5)
            gradients = session.backward(feeds, {model.graph.outputs[0].name or "": seed})
            assert sorted(gradients) == ["b", "data", "w"]
            np.testing.assert_allclose(gradients["w"], down.T @ x, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(gradients["data"], down @ arrays["w"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("attrs", "shape", "axis"),
    [({"multi_output": True}, (2, 3, 4), 1), ({"preserve_shape": True}, (2, 3, 4), -1), ({}, (2, 12), -1)],
    ids=["channels", "last axis", "flattened"],
)
def test_softmax_outputs_are_differentiated_along_their_axis(attrs: Any, shape: tuple[int, ...], axis: int) -> None:
    head = op("SoftmaxOutput", "softmax", var("data"), var("label"), **attrs)
    model = read(MxModel(graph(op("square", "squared", head))), data=(2, 3, 4))
    x, seed = (RNG.standard_normal((2, 3, 4)).astype(np.float32) for _ in range(2))
    soft = np.exp(x).reshape(shape) / np.exp(x).reshape(shape).sum(axis, keepdims=True)
    inner = 2 * soft * seed.reshape(shape)
    expected = soft * (inner - (inner * soft).sum(axis, keepdims=True))
    with RUNTIME.open(model) as session:
        (output,) = session.forward({"data": x})
        found = session.backward({"data": x}, {output: seed})
    np.testing.assert_allclose(found["data"], expected.reshape(x.shape), rtol=1e-4, atol=1e-6)


def test_a_symbol_is_run_in_the_precision_that_the_model_was_cast_to() -> None:
    third = op("_full", "third", shape="(1,)", value=0.1)
    shifted = op("broadcast_add", "shifted", op("Cast", "cast", var("data"), dtype="float32"), third)
    mx = MxModel(graph(op("broadcast_mul", "scaled", shifted, var("w"))), {"w": np.float32([0.1, 0.2])})
    mx.graph.nodes[0].hidden["__dtype__"] = "0"
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        single (float[N, 2] data) => (float[N, 2] scaled_output) { scaled_output = Neg(data) }""")
    set_source(model, Source("mxnet", "the symbol", mx))
    x = RNG.standard_normal((3, 2))
    with RUNTIME.open(model) as single, RUNTIME.open(cast_floats(model, "float64")) as double:
        assert single.forward({"data": x.astype(np.float32)})["scaled_output"].dtype == np.float32
        found = double.forward({"data": x})["scaled_output"]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, (x + 0.1) * np.float32([0.1, 0.2]).astype(np.float64), rtol=1e-15)
    assert mx.graph.nodes[0].hidden == {"__dtype__": "0"}


def test_nothing_flows_back_into_indices_and_sparse_gradients_arrive_dense() -> None:
    index = op("_mul_scalar", "scaled", var("data"), scalar=1.0)
    rows = op("Embedding", "rows", index, var("table"), input_dim=4, output_dim=2, sparse_grad=True)
    mx = MxModel(graph(rows), {"table": np.zeros((4, 2), np.float32)})
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        rows (float[N] data) => (float[N, 2] y) <float[4, 2] table = {0, 0, 0, 0, 0, 0, 0, 0}> {
            i = Cast<to = 7>(data)
            y = Gather(table, i)
        }""")
    params.set_kind(model.graph.initializers["table"], "parameter")
    set_source(model, Source("mxnet", "the symbol", mx))
    with RUNTIME.open(model) as session:
        found = session.backward({"data": np.float32([2, 2])}, {"y": np.ones((2, 2), np.float32)})
    np.testing.assert_array_equal(found["data"], [0, 0])
    np.testing.assert_array_equal(found["table"], [[0, 0], [0, 0], [2, 2], [0, 0]])


@pytest.mark.parametrize("kind", ["SequenceLast", "SequenceMask", "SequenceReverse"])
def test_the_gradient_in_lengths_is_zero_and_not_what_memory_holds(kind: str) -> None:
    lengths = op("_mul_scalar", "scaled", var("data"), scalar=1.0)
    table = RNG.standard_normal((3, 2, 4)).astype(np.float32)
    masked = op(kind, "sequence", var("table"), lengths, use_sequence_length=True)
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        sequence (float[2] data) => (float y) { y = ReduceSum<keepdims = 0>(data) }""")
    set_source(model, Source("mxnet", "the symbol", MxModel(graph(op("sum", "total", masked)), {"table": table})))
    with RUNTIME.open(model) as session:
        for _ in range(3):
            found = session.backward({"data": np.float32([1, 3])}, {"y": np.float32(1)})
            np.testing.assert_array_equal(found["data"], [0, 0])


@pytest.mark.parametrize("native", [True, False], ids=["as it is", "converted"])
def test_the_gradient_of_a_prelus_slope_is_right_inside_of_a_graph(native: bool) -> None:
    slopes = np.float32([0.5, 0.25, 2])
    scaled = op("_mul_scalar", "scaled", var("data"), scalar=2)
    bent = op("LeakyReLU", "bent", scaled, var("slopes"), act_type="prelu")
    model = read(MxModel(graph(op("_mul_scalar", "again", bent, scalar=3)), {"slopes": slopes}), data=(2, 3, 4))
    x, seed = (RNG.standard_normal((2, 3, 4)).astype(np.float32) for _ in range(2))
    with RUNTIME.open(model, native=native) as session:
        (output,) = session.forward({"data": x})
        found = session.backward({"data": x}, {output: seed})
    np.testing.assert_allclose(found["slopes"], (6 * seed * np.minimum(x, 0)).sum((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(found["data"], 6 * seed * np.where(x < 0, slopes[:, None], 1), rtol=1e-5)


def test_heads_that_are_variables_or_appear_twice_are_outputs_like_others() -> None:
    x = var("data")
    twice = op("_plus_scalar", "plus", x, scalar=1.0)
    model = read(MxModel(graph(x, twice, twice)), data=(2, 3))
    feed = RNG.standard_normal((2, 3)).astype(np.float32)
    with RUNTIME.open(model) as session:
        found = session.forward({"data": feed})
        assert len(found) == 3
        for array, expected in zip(found.values(), (feed, feed + 1, feed + 1), strict=True):
            np.testing.assert_array_equal(array, expected)
        seeds = {name: np.full_like(feed, number + 1.0) for number, name in enumerate(found)}
        np.testing.assert_array_equal(session.backward({"data": feed}, seeds)["data"], np.full_like(feed, 6.0))


def test_inner_values_of_a_symbol_can_be_tapped_by_their_mxnet_name() -> None:
    model, arrays = classifier()
    x = RNG.standard_normal((2, 6)).astype(np.float32)
    with RUNTIME.open(model) as session:
        found = session.forward({"data": x}, taps=["dense_output"])["dense_output"]
    np.testing.assert_allclose(found, x @ arrays["w"].T + arrays["b"], rtol=1e-5)


def test_a_value_that_the_symbol_does_not_compute_cannot_be_tapped() -> None:
    head = op("SoftmaxOutput", "softmax", var("data"), var("label"))
    model = read(MxModel(graph(head)), data=(2, 3, 4))
    inner = next(name for node in model.graph for v in node.outputs if not v.is_graph_output() and (name := v.name))
    with RUNTIME.open(model) as session, pytest.raises(FeedError, match="does not compute"):
        session.forward({"data": np.zeros((2, 3, 4), np.float32)}, taps=[inner])


def test_the_converted_form_can_be_asked_for() -> None:
    model, _ = classifier()
    assert {node.op for node in form_of(model, native=True).nodes} >= {"SoftmaxOutput"}
    assert not {node.op for node in form_of(model, native=False).nodes} & {"SoftmaxOutput"}


def test_a_symbol_that_is_no_longer_the_models_is_refused() -> None:
    model = layers()
    twice = op("_copy", "same", var("x"))
    set_source(model, Source("mxnet", "other.json", MxModel(graph(twice, MxRef(twice.node)))))
    with pytest.raises(InputError, match=r"other\.json has 2 outputs and the model read from it 1"):
        RUNTIME.open(model)


def normed() -> tuple[ir.Model, Arrays]:
    names = ("gamma", "beta", "mean", "var")
    norm = op("BatchNorm", "norm", var("data"), *map(var, names), fix_gamma=False, eps=1e-3, momentum=0.75)
    arrays = {"gamma": np.float32([2, 3]), "beta": np.float32([0, 1])}
    states = {"mean": np.float32([1, 2]), "var": np.float32([3, 4])}
    return read(MxModel(graph(norm), arrays, states), data=(4, 2, 3)), {**arrays, **states}


def test_training_mode_uses_the_batch_and_tells_the_new_statistics() -> None:
    model, arrays = normed()
    x = RNG.standard_normal((4, 2, 3)).astype(np.float32)
    gamma, beta, mean, var_ = (arrays[name].reshape(1, 2, 1) for name in ("gamma", "beta", "mean", "var"))
    with RUNTIME.open(model) as session:
        ((output, found),) = session.forward({"data": x}).items()
        np.testing.assert_allclose(found, (x - mean) / np.sqrt(var_ + 1e-3) * gamma + beta, rtol=1e-4, atol=1e-5)
        assert session.states() == {}
    with RUNTIME.open(model, mode="train") as session:
        batch = x.mean((0, 2), keepdims=True), x.var((0, 2), keepdims=True)
        expected = (x - batch[0]) / np.sqrt(batch[1] + 1e-3) * gamma + beta
        np.testing.assert_allclose(session.forward({"data": x})[output], expected, rtol=1e-4, atol=1e-5)
        gradients = session.backward({"data": x}, {output: np.ones_like(x)})
        np.testing.assert_allclose(gradients["data"], np.zeros_like(x), atol=1e-5)
        states = session.states()
        np.testing.assert_allclose(states["mean"], 0.75 * arrays["mean"] + 0.25 * batch[0].ravel(), rtol=1e-5)
        np.testing.assert_allclose(states["var"], 0.75 * arrays["var"] + 0.25 * batch[1].ravel(), rtol=1e-5)


def test_sessions_go_on_in_a_new_process_when_theirs_has_died() -> None:
    with RUNTIME.open(layers()) as first, RUNTIME.open(layers()) as second:
        expected = second.forward({"x": np.ones((1, 4))})
        dying = RUNTIME.worker()
        os.kill(dying.pid, signal.SIGKILL)
        with pytest.raises(ExecutionError, match="SIGKILL"):
            dying.request("close", limit=60, model=0)
        assert_close(first.forward({"x": np.ones((1, 4))}), expected)
        assert_close(second.forward({"x": np.ones((1, 4))}), expected)


def test_a_process_that_died_unnoticed_is_replaced() -> None:
    dying = RUNTIME.worker()
    os.kill(dying.pid, signal.SIGKILL)
    while dying.alive:
        pass
    with RUNTIME.open(layers()) as session:
        assert session.forward({"x": np.ones((1, 4))})["y"].shape == (1, 3)


def test_closed_sessions_free_their_model() -> None:
    session = RUNTIME.open(layers())
    session.forward({"x": np.ones((1, 4))})
    number = session._number
    session.close()
    with pytest.raises(ExecutionError, match=f"KeyError.*{number}|{number}"):
        RUNTIME.worker().request("forward", limit=60, model=number, symbol="", fill=[], train=False, seed=0)


def test_a_session_computes_on_the_threads_and_as_fast_as_asked() -> None:
    with RUNTIME.open(layers(), execution=Execution(threads=1, fast=True)) as session:
        assert session._connected() is MxRuntime(fast=True, threads=1).worker()
        assert session._connected().info["fast"]
        session.forward({"x": np.ones((1, 4))})
    with RUNTIME.open(layers()) as session:
        assert session._connected() is RUNTIME.worker()


def test_a_run_beyond_the_time_limit_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_MXNET_TIMEOUT", "1.5")
    with RUNTIME.open(layers()) as session:
        session._ask("prepare", session._form.heads, {"x": np.ones((2, 4))}, wrt=[])
        with pytest.raises(ExecutionError, match=r"within 1\.5 seconds"):
            session._ask("measure", session._form.heads, {}, least=1e9, lead=False)


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan"])
def test_a_time_limit_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_MXNET_TIMEOUT", text)
    with pytest.raises(InputError, match="GRAPHKIT_MXNET_TIMEOUT is"):
        RUNTIME.open(layers())


def test_a_named_interpreter_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_MXNET_PYTHON", "/nowhere/python")
    assert "'/nowhere/python', which is no program" in (RUNTIME.missing() or "")
    with pytest.raises(MissingError, match="MXNet is not available: GRAPHKIT_MXNET_PYTHON is"):
        RUNTIME.open(layers())


def test_a_named_interpreter_without_mxnet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nshift 2; exec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setenv("GRAPHKIT_MXNET_PYTHON", str(bare))
    assert "No module named 'numpy'" in (RUNTIME.missing() or "")


def test_a_python_without_mxnet_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHKIT_MXNET_PYTHON", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    problem = RUNTIME.missing() or ""
    assert "pip install 'graphkit[mxnet]'" in problem
    assert "GRAPHKIT_MXNET_PYTHON" in problem


def test_the_version_is_told_for_this_and_for_another_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RUNTIME.version().startswith("mxnet 1.")
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {run.interpreter()} "$@"\n')
    other.chmod(0o755)
    monkeypatch.setenv("GRAPHKIT_MXNET_PYTHON", str(other))
    assert RUNTIME.version().startswith("mxnet 1.")
    assert str(other) in RUNTIME.version()
    RUNTIME.worker().close()


RULE = Sgd(lr=0.125, momentum=0.5, weight_decay=0.25)


def dense() -> tuple[ir.Model, Arrays]:
    arrays = {"w": RNG.standard_normal((4, 3)), "b": RNG.standard_normal(3), "scale": RNG.standard_normal(3)}
    body = "dense (double[batch, 4] x, double[4, 3] w, double[3] b, double[3] scale) => (double[batch, 3] y) "
    text = f"{body} {{ a = MatMul(x, w) s = Add(a, b) y = Mul(s, scale) }}"
    return model_of(text, {"scale": "constant"}, **arrays), arrays


def test_steps_of_training_are_those_of_sgd_and_leave_the_session_as_it_was() -> None:
    model, arrays = dense()
    draws = [(RNG.standard_normal((5, 4)), RNG.standard_normal((5, 3))) for _ in range(3)]
    batches = [Batch({"x": x}, {"y": target}, {"y": 0.5}, 4.0) for x, target in draws]
    with RUNTIME.open(model, mode="train-no-dropout", native=False) as session:
        before = session.forward({"x": draws[0][0]})
        steps = list(session.train(batches, RULE))
        assert_close(session.forward({"x": draws[0][0]}), before)
        assert [step.loss for step in session.train(iter(batches), RULE)] == [step.loss for step in steps]
    weights = {name: arrays[name] for name in ("w", "b")}
    velocity = {name: np.zeros_like(array) for name, array in weights.items()}
    for step, (x, target) in zip(steps, draws, strict=True):
        output = (x @ weights["w"] + weights["b"]) * arrays["scale"]
        gap = output * 0.5 - target
        inner = 4 * gap * 0.5 / gap.size * arrays["scale"]
        for name, gradient in {"w": x.T @ inner, "b": inner.sum(0)}.items():
            velocity[name] = RULE.momentum * velocity[name] + gradient + RULE.weight_decay * weights[name]
            weights[name] = weights[name] - RULE.lr * velocity[name]
        assert not step.unbiased
        np.testing.assert_allclose(step.loss, 2 * np.square(gap).mean(), rtol=1e-12)
        assert_close(step.outputs, {"y": output})
        assert_close(step.parameters, weights)


def test_what_is_fed_to_a_step_is_checked() -> None:
    model, _ = dense()
    x, target = np.ones((5, 4)), np.ones((5, 3))
    with RUNTIME.open(model, mode="train-no-dropout") as session:
        for feeds, targets, complaint in [
            ({}, {"y": target}, "Input 'x' is missing"),
            ({"x": x}, {}, "Target 'y' is missing"),
            ({"x": x}, {"y": target.astype(np.float32)}, "dtype float32"),
            ({"x": x}, {"y": np.ones((4, 3))}, "target has shape"),
        ]:
            with pytest.raises(FeedError, match=complaint):
                list(session.train([Batch(feeds, targets, {"y": 1.0})], RULE))
        assert len(list(session.train([Batch({"x": x}, {"y": target}, {"y": 1.0})], RULE))) == 1


@pytest.mark.parametrize(
    "layer", [("Dropout", {"p": 0.5}), ("LeakyReLU", {"act_type": "rrelu"})], ids=["dropout", "randomised ReLU"]
)
def test_training_without_dropout_draws_nothing(layer: tuple[str, dict[str, object]]) -> None:
    model = read(MxModel(graph(op(layer[0], "layer", var("data"), **layer[1]))), data=(4, 8))
    x = RNG.standard_normal((4, 8)).astype(np.float32)
    with RUNTIME.open(model) as evaluating, RUNTIME.open(model, mode="train-no-dropout") as training:
        ((name, expected),) = evaluating.forward({"data": x}).items()
        np.testing.assert_allclose(training.forward({"data": x})[name], expected, rtol=1e-6)
