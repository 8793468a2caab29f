"""ONNX Runtime runs the file that a model was read from, where it is asked to."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model

import graphkit
from graphkit.errors import ExecutionError
from graphkit.frameworks.base import runtimes
from graphkit.passes.cast_floats import cast_floats

pytest.importorskip("onnxruntime")
FEEDS = {"x": np.ones((2, 5), np.float32)}


@pytest.fixture
def read(tmp_path) -> ir.Model:
    """A model read from a file in which the bias has been replaced since, so that the two can be told apart."""
    ir.save(model(), tmp_path / "net.onnx")
    found = graphkit.load(tmp_path / "net.onnx")
    changed = model()
    changed.graph.initializers["b"].const_value = ir.tensor(np.full(3, 100, np.float32), name="b")
    ir.save(changed, tmp_path / "net.onnx")
    return found


def output(found: ir.Model, feeds: dict[str, np.ndarray] = FEEDS, taps: tuple[str, ...] = (), native: bool = True):
    with runtimes()["ort"].open(found, native=native) as session:
        return session.forward(feeds, taps)["y"]


def test_the_file_itself_is_run(read):
    assert output(read).min() > 50
    assert output(read, native=False).max() < 50


def test_a_model_that_was_cast_is_run_as_it_is(read):
    found = output(cast_floats(read, "float64"), {"x": np.ones((2, 5))})
    assert found.dtype == np.float64
    assert found.max() < 50


@pytest.mark.parametrize(("kind", "wanted"), [(1, "float64"), (10, "float32")], ids=["single", "half"])
def test_a_model_that_is_fed_integers_is_run_as_it_was_cast(kind, wanted, tmp_path):
    text = (
        '<ir_version: 10, opset_import: ["": 23]> g (int64[2] x) => (float[2, 2] y) '
        "<float[3, 2] w = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}> "
        f"{{ a = Gather (w, x) h = Cast <to = {kind}> (a) b = Mul (h, h) y = Cast <to = 1> (b) }}"
    )
    ir.save(ir.from_onnx_text(text), tmp_path / "rows.onnx")
    model = graphkit.load(tmp_path / "rows.onnx")
    found = output(cast_floats(model, wanted), {"x": np.array([0, 2])})
    assert found.dtype == np.dtype(wanted)
    rows = np.array([[0.1, 0.2], [0.5, 0.6]], np.float32)
    np.testing.assert_allclose(found, rows.astype(wanted) ** 2, rtol=1e-7)
    assert graphkit.verify(model, on=["ort", "torch"], dtype="float64").passed


def test_a_model_whose_inputs_were_given_other_shapes_is_run_as_it_is(read):
    read.graph.inputs[0].shape = ir.Shape([2, 5])
    assert output(read).max() < 50


def test_values_inside_are_tapped_in_the_converted_model(read):
    inner = read.graph[0].outputs[0].name
    assert output(read, taps=(inner,)).max() < 50


def test_a_file_that_is_newer_than_onnx_runtime_is_refused_with_what_to_do(tmp_path):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 21]> net (float[2] x) => (float[2] y) { y = Relu(x) }'
    )
    model.ir_version = 999
    ir.save(model, tmp_path / "net.onnx")
    with pytest.raises(ExecutionError) as refused:
        graphkit.run(tmp_path / "net.onnx", on="ort")
    assert "failed: Unsupported model IR version: 999" in str(refused.value)
    assert "graphkit convert --to onnx" in str(refused.value)
    graphkit.convert(tmp_path / "net.onnx", "onnx", tmp_path / "older.onnx")
    assert set(graphkit.run(tmp_path / "older.onnx", on="ort")) == {"y"}
