"""Sequences are lists and optional values may be None, in torch source and in what sessions take and give."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphkit.errors import FeedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.source.flat import flat
from graphkit.frameworks.torch.source.program import to_program
from graphkit.ir.canonical import canonical

pytest.importorskip("torch")

PARTS = [np.float32([1, 2]), np.float32([3, 4]), np.float32([5, 6])]


def _model(inputs: str, body: str, outputs: str) -> ir.Model:
    text = f'<ir_version: 10, opset_import: ["": 18]> g ({inputs}) => ({outputs}) {{ {body} }}'
    return canonical(ir.serde.deserialize_model(onnx.parser.parse_model(text)))


def _run(model: ir.Model, feeds: dict, runtime: str = "torch") -> dict:
    with runtimes()[runtime].open(model, native=False) as session:
        return session.forward(feeds)


BODIES = {
    "inserted": "y = SequenceInsert(s, x, i)",
    "appended": "y = SequenceInsert(s, x)",
    "erased": "y = SequenceErase(s, i)",
    "last erased": "y = SequenceErase(s)",
    "erased twice": "a = SequenceErase(s, i) y = SequenceErase(a, i)",
    "made": "a = SequenceConstruct(x, x) b = SequenceInsert(a, x) y = SequenceInsert(b, x, i)",
    "empty": "a = SequenceEmpty() y = SequenceInsert(a, x)",
    "split": "y = SplitToSequence<axis=0, keepdims=0>(x)",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("place", [0, 1, -1])
def test_sequences_become_the_lists_that_onnx_runtime_gives(name, place):
    model = _model("seq(float[2]) s, float[2] x, int64 i", BODIES[name], "seq(float[]) y")
    feeds = {"s": PARTS, "x": np.float32([7, 8]), "i": np.array(place)}
    found, expected = (_run(model, feeds, runtime)["y"] for runtime in ("torch", "ort"))
    assert isinstance(found, list)
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("new", [0, 1])
def test_sequences_are_joined_and_measured(axis, new):
    body = f"y = ConcatFromSequence<axis={axis}, new_axis={new}>(s) n = SequenceLength(s) a = SequenceAt(s, n1)"
    model = _model("seq(float[2,2]) s, int64 n1", body, "float[a,b] y, int64 n, float[2,2] a")
    parts = [np.full((2, 2), k, np.float32) for k in range(3)]
    found = _run(model, {"s": parts, "n1": np.array(-1)})
    np.testing.assert_array_equal(found["y"], (np.stack if new else np.concatenate)(parts, axis))
    assert found["n"] == 3
    np.testing.assert_array_equal(found["a"], parts[-1])


def test_lists_are_written_as_one_writes_them():
    model = _model(
        "seq(float[2]) s, float[2] x", "a = SequenceInsert(s, x) y = ConcatFromSequence<axis=0>(a)", "float[n] y"
    )
    assert "torch.cat(v2)" in flat(to_program(model), ()).text
    assert "v0 + [v1]" in flat(to_program(model), ()).text


def test_an_absent_value_is_none():
    body = "h = OptionalHasElement(o)"
    model = _model("optional(float[2]) o", body, "bool h")
    assert not _run(model, {"o": None})["h"]
    assert _run(model, {"o": PARTS[0]})["h"]


def test_wrong_feeds_of_sequences_name_the_input():
    model = _model("seq(float[2]) s, float[2] x", "y = SequenceInsert(s, x)", "seq(float[2]) y")
    with pytest.raises(FeedError, match="'s' is a sequence: feed a list of arrays"):
        _run(model, {"s": PARTS[0], "x": PARTS[0]})
    with pytest.raises(FeedError, match="'s' has dtype int64"):
        _run(model, {"s": [np.array([1, 2])], "x": PARTS[0]})
