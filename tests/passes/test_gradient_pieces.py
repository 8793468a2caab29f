"""Pieces of one value, taken by one node for the sake of gradients."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.passes.gradient.model import gradient_model
from graphkit.passes.gradient.pieces import join_pieces


def model_of(text: str) -> ir.Model:
    return canonical(ir.from_proto(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 23]> g {text}')))


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


STEPS = """(float[2,4] x) => (float[2] y, float[2,2] last)
<int64 first = {0}, int64 end = {-1}, int64[1] from = {-4}, int64[1] to = {-2}, int64[1] axis = {1}> {
    a = Gather <axis = 1> (x, first)
    last = Slice(x, from, to, axis)
    c = Gather <axis = 1> (x, end)
    p = Mul(a, c)
    y = Mul(p, a)
}"""


def test_pieces_that_share_nothing_become_one_split_and_keep_their_names() -> None:
    model = model_of(STEPS.replace("{-4}", "{-3}").replace("{-2}", "{-1}"))
    before = {value.name for node in model.graph for value in node.outputs}
    join_pieces(model)
    assert sorted(kinds(model)) == ["Mul", "Mul", "Split", "Squeeze", "Squeeze"]
    assert before <= {value.name for node in model.graph for value in node.outputs}
    assert {value.const_value.numpy().tolist().__str__() for value in model.graph.initializers.values()} == {
        "[1, 2, 1]",
        "[1]",
    }


def test_a_piece_that_shares_elements_with_another_stays() -> None:
    model = model_of(STEPS)
    join_pieces(model)
    assert sorted(kinds(model)) == ["Mul", "Mul", "Slice", "Split", "Squeeze", "Squeeze"]


def test_gradients_of_pieces_are_joined_rather_than_added() -> None:
    for text in (STEPS, STEPS.replace("{-4}", "{-3}").replace("{-2}", "{-1}")):
        model = gradient_model(model_of(text))
        rng = np.random.default_rng(0)
        x, dy, dlast = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 4), 2, (2, 2)))
        with runtimes()["ort"].open(model) as session:
            found = session.forward({"x": x, "y.grad": dy, "last.grad": dlast})
        expected = np.zeros_like(x)
        expected[:, 0] += 2 * x[:, 0] * x[:, 3] * dy
        expected[:, 3] += x[:, 0] ** 2 * dy
        start = 1 if "{-3}" in text else 0
        expected[:, start : start + 2] += dlast
        np.testing.assert_allclose(found["x.grad"], expected, rtol=1e-5)
        assert ("Pad" in kinds(model)) == (start == 0)


def test_pieces_of_a_piece_are_joined_too() -> None:
    """Rotary positions that turn a part of each head take its halves."""
    model = model_of("""(float[2,6] x) => (float[2,2] y, float[2,2] rest)
    <int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4}, int64[1] end = {6}, int64[1] axis = {1}> {
        turned = Slice(x, zero, four, axis)
        rest = Slice(x, four, end, axis)
        first = Slice(turned, zero, two, axis)
        second = Slice(turned, two, four, axis)
        y = Mul(first, second)
    }""")
    join_pieces(model)
    assert sorted(kinds(model)) == ["Mul", "Split", "Split"]
    x, dy, rest = (
        np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in ((2, 6), (2, 2), (2, 2))
    )
    with runtimes()["ort"].open(gradient_model(model)) as session:
        found = session.forward({"x": x, "y.grad": dy, "rest.grad": rest})
    np.testing.assert_allclose(found["x.grad"], np.concatenate([dy * x[:, 2:4], dy * x[:, :2], rest], 1), rtol=1e-6)


def test_pieces_of_unknown_sizes_or_with_steps_stay() -> None:
    for shape, step in (("float[2,N]", 1), ("float[2,4]", 2)):
        text = f"""({shape} x) => (float[2,A] y) <int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[1] four = {{4}},
            int64[1] axis = {{1}}, int64[1] step = {{{step}}}> {{
            a = Slice(x, zero, two, axis, step)
            b = Slice(x, two, four, axis, step)
            y = Mul(a, b)
        }}"""
        model = model_of(text)
        join_pieces(model)
        assert kinds(model).count("Slice") == 2
