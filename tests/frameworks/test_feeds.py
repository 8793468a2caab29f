"""What a session is fed is checked in one place, with an error that says what to feed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import text_of

from graphkit.errors import FeedError
from graphkit.frameworks.feeds import check_feeds, check_seeds, check_taps
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
