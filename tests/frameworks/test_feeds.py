"""What a session is fed is checked in one place, with an error that says what to feed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import text_of

from graphkit.errors import FeedError
from graphkit.frameworks.feeds import (
    check_feeds,
    check_gradient_taps,
    check_seeds,
    check_taps,
    check_targets,
    inner_tensors,
)
from graphkit.ir.canonical import canonical

X = np.zeros((2, 3), np.float32)
IDS = np.zeros(2, np.int64)


@pytest.fixture(scope="module")
def model() -> ir.Model:
    text = text_of("a = Gather(x, i) y = Relu(a) z = Shape(a)", 'float["n",3] x, int64["n"] i', "float y, int64 z", 23)
    return canonical(ir.from_onnx_text(text))


def test_feeds_come_in_the_order_of_the_inputs_and_contiguous(model):
    found = check_feeds(model, {"i": IDS, "x": np.zeros((3, 2), np.float32).T})
    assert list(found) == ["x", "i"]
    assert found["x"].flags.c_contiguous


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"x": X}, "Input 'i' is missing; the model's are 'x', 'i'"),
        ({"x": X, "i": IDS, "k": IDS}, "Input 'k' is unknown"),
        ({"w": X}, "'x', 'i' are missing and 'w' is unknown"),
        ({"x": X.astype(np.float64), "i": IDS}, "Input 'x' has dtype float64, the model asks for float32"),
        ({"x": X[:, :2], "i": IDS}, "Input 'x' has shape 2×2, the model asks for n×3"),
        ({"x": X[0], "i": IDS}, "Input 'x' has shape 3, the model asks for n×3"),
        ({"x": X, "i": IDS[:1]}, "Input 'i' has shape 1, the model asks for n, where n is 2 by 'x'"),
    ],
)
def test_wrong_feeds_are_told(model, feeds, message):
    with pytest.raises(FeedError) as raised:
        check_feeds(model, feeds)
    assert message in str(raised.value)


def test_only_float_outputs_have_cotangents(model):
    assert list(check_seeds(model, {"y": X})) == ["y"]
    with pytest.raises(FeedError, match="Cotangent 'z' is unknown"):
        check_seeds(model, {"y": X, "z": IDS})


def test_cotangents_have_the_shape_of_their_output(model):
    with pytest.raises(FeedError, match=r"shape \(2, 3\), the output it belongs to \(4, 3\)"):
        check_seeds(model, {"y": X}, {"y": np.zeros((4, 3), np.float32)})


def test_taps_name_values(model):
    assert [value.name for value in check_taps(model, ["a", "x"])] == ["a", "x"]
    with pytest.raises(FeedError, match="no value 'nowhere'"):
        check_taps(model, ["nowhere"])


def test_gradients_are_taken_in_float_values_that_are_computed(model):
    assert [value.name for value in check_gradient_taps(model, ["y", "a", "y"], {"a", "y", "z"})] == ["y", "a"]
    for name, complaint in [
        ("nowhere", "no value 'nowhere'"),
        ("x", "no gradient in 'x' here: the runtime's form"),
        ("z", "'z', which has elements of int64"),
    ]:
        with pytest.raises(FeedError, match=complaint):
            check_gradient_taps(model, [name], {"a", "y", "z"})


def test_tensors_that_nodes_compute_are_known_by_name(model):
    assert list(inner_tensors(model)) == ["a", "y", "z"]


def test_targets_are_as_their_outputs_or_classes_of_them():
    text = text_of(
        "y = Relu(x) m = ReduceMax<keepdims = 0>(x, o)", 'float["n",3,5] x, int64[2] o', "float y, float m", 23
    )
    model = canonical(ir.from_onnx_text(text))
    y, m = np.zeros((2, 3, 5), np.float32), np.zeros(2, np.float32)
    model.graph.outputs[0].shape = ir.Shape(["n", 3, 5])
    model.graph.outputs[1].shape = ir.Shape(["n"])
    assert list(check_targets(model, {"m": m, "y": y})) == ["y", "m"]
    classes = np.array([[0, 1, 2, 0, 1]] * 2)
    assert list(check_targets(model, {"y": classes}, "cross-entropy")) == ["y"]
    for targets, complaint in [
        ({"y": y}, "dtype float32, the model asks for int64"),
        ({"y": classes.T}, "shape 5×2"),
        ({"y": classes + 1}, "holds 3, which is no class, of which the output has 3"),
        ({"y": classes - 1}, "holds -1, which is no class"),
        ({"y": classes, "m": m}, "'m' is unknown"),
    ]:
        with pytest.raises(FeedError, match=complaint):
            check_targets(model, targets, "cross-entropy")
    del model.graph.outputs[0]
    with pytest.raises(FeedError, match="no float output of two axes or more to train"):
        check_targets(model, {}, "cross-entropy")
