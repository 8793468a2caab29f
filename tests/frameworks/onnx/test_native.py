"""ONNX Runtime runs the file that a model was read from, where it is asked to."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model

import graphkit
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


def test_a_model_whose_inputs_were_given_other_shapes_is_run_as_it_is(read):
    read.graph.inputs[0].shape = ir.Shape([2, 5])
    assert output(read).max() < 50


def test_values_inside_are_tapped_in_the_converted_model(read):
    inner = read.graph[0].outputs[0].name
    assert output(read, taps=(inner,)).max() < 50
