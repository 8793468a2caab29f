"""Branches and loops as Python that a person would have written."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pytest
from torchtext import agree, model_of

from graphkit.errors import FeedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.write import to_source
from graphkit.frameworks.torch.write import formatted

if TYPE_CHECKING:
    import onnx_ir as ir


def forward_of(model: ir.Model) -> str:
    """What ``forward`` of a model's source does."""
    text = formatted(to_source(to_program(model), "Net").text)
    return textwrap.dedent(text.partition("def forward(")[2].partition("\n")[2]).strip()


def test_a_recurrent_layer_is_a_for_over_the_steps() -> None:
    model = model_of(
        "float[T, N, 4] x, float[N, 3] h",
        "float[T, N, 3] y",
        "last, y = Scan <num_scan_inputs = 1, body = step (float[N, 3] before, float[N, 4] row) => "
        "(float[N, 3] after, float[N, 3] out) { a = MatMul (row, w) b = MatMul (before, u) s = Add (a, b) "
        "after = Tanh (s) out = Identity (after) }> (h, x)",
        f"float[4, 3] w = {{{', '.join(['0.1'] * 12)}}}, float[3, 3] u = {{{', '.join(['0.2'] * 9)}}}",
    )
    assert (
        forward_of(model)
        == textwrap.dedent(
            """
        outputs = []
        for y in x:
            h = torch.tanh(self.matmul(y) + self.matmul_1(h))
            outputs.append(h)
        return torch.stack(outputs)
        """
        ).strip()
    )
    rng = np.random.default_rng(0)
    agree(model, rng.standard_normal((5, 2, 4)).astype(np.float32), np.zeros((2, 3), np.float32))


def test_what_is_carried_is_assigned_at_once() -> None:
    model = model_of(
        "float[3] x, float[3] z",
        "float[3] y",
        "p, y = Loop <body = turn (int64 i, bool c, float[3] a, float[3] b) => (bool d, float[3] e, float[3] f) "
        "{ d = Identity (c) e = Identity (b) f = Identity (a) }> (turns, , x, z)",
        "int64 turns = {7}",
    )
    assert forward_of(model).splitlines()[:2] == ["for _ in range(7):", "    x, z = z, x"]
    agree(model, np.float32([1, 2, 3]), np.float32([4, 5, 6]))


def test_a_loop_without_a_limit_is_a_while() -> None:
    model = model_of(
        "float[3] x, bool going",
        "float[3] y",
        "y = Loop <body = turn (int64 i, bool c, float[3] a) => (bool d, float[3] e) "
        "{ e = Add (a, a) s = ReduceSum <keepdims = 0> (e) d = Less (s, most) }> (, going, x)",
        "float most = {9.0}",
    )
    assert forward_of(model).splitlines() == [
        "while going:",
        "    x = x + x",
        "    going = x.sum() < 9",
        "return x",
    ]
    for going in (True, False):
        agree(model, np.float32([0.1, 0.2, 0.3]), np.bool_(going))


def test_a_condition_that_every_turn_computes_anew_stands_where_it_is_tested() -> None:
    body = (
        "s = ReduceSum <keepdims = 0> (x) first = Less (s, most) y = Loop <body = turn (int64 i, bool c, float[3] a) "
        "=> (bool d, float[3] e) {{ e = Add (a, x) t = ReduceSum <keepdims = 0> (e) d = Less (t, most) }}> "
        "({}, first, x)"
    )
    endless = model_of("float[3] x", "float[3] y", body.format(""), "float most = {9.0}")
    assert forward_of(endless).splitlines() == ["y = x", "while y.sum() < 9:", "    y = y + x", "return y"]
    limited = model_of("float[3] x", "float[3] y", body.format("turns"), "float most = {9.0}, int64 turns = {4}")
    assert forward_of(limited).splitlines() == [
        "y = x",
        "for _ in range(4):",
        "    if not y.sum() < 9:",
        "        break",
        "    y = y + x",
        "return y",
    ]
    for scale in (0.1, 1.0, 9.0):
        agree(endless, np.float32([1, 2, 3]) * np.float32(scale))
        agree(limited, np.float32([1, 2, 3]) * np.float32(scale))


def test_a_loop_that_may_end_early_breaks() -> None:
    model = model_of(
        "float[3] x",
        "float[3] y",
        "y = Loop <body = turn (int64 i, bool c, float[3] a) => (bool d, float[3] e) "
        "{ e = Add (a, a) s = ReduceSum <keepdims = 0> (e) d = Less (s, most) }> (turns, , x)",
        "float most = {9.0}, int64 turns = {20}",
    )
    assert forward_of(model).splitlines() == [
        "for _ in range(20):",
        "    x = x + x",
        "    if not x.sum() < 9:",
        "        break",
        "return x",
    ]
    agree(model, np.float32([0.1, 0.2, 0.3]))


def test_a_branch_of_two_expressions_is_a_conditional_expression() -> None:
    model = model_of(
        "float[3] x, bool flag",
        "float[3] y",
        "y = If (flag) <then_branch = a () => (float[3] p) { p = Tanh (x) }, "
        "else_branch = b () => (float[3] q) { d = Add (x, x) q = Mul (d, x) }>",
    )
    assert forward_of(model) == "return torch.tanh(x) if flag else (x + x) * x"
    for flag in (True, False):
        agree(model, np.float32([0.1, 0.2, 0.3]), np.bool_(flag))


def test_a_branch_of_more_is_an_if() -> None:
    model = model_of(
        "float[3] x, bool flag",
        "float[3] y, float[3] z",
        "y, z = If (flag) <then_branch = a () => (float[3] p, float[3] r) { p = Tanh (x) r = Exp (p) }, "
        "else_branch = b () => (float[3] q, float[3] s) { q = Sin (x) s = Identity (x) }>",
    )
    assert forward_of(model).splitlines() == [
        "if flag:",
        "    y = torch.tanh(x)",
        "    z = torch.exp(y)",
        "else:",
        "    y = torch.sin(x)",
        "    z = x",
        "return y, z",
    ]


def test_a_known_condition_leaves_its_branch_only() -> None:
    model = model_of(
        "float[3] x",
        "float[3] y",
        "y = If (flag) <then_branch = a () => (float[3] p) { p = Tanh (x) }, "
        "else_branch = b () => (float[3] q) { q = Exp (x) }>",
        "bool flag = {1}",
    )
    assert forward_of(model) == "return torch.tanh(x)"


def test_what_no_turn_collects_is_empty() -> None:
    model = model_of(
        "float[3] x, int64 turns",
        "float[K, 3] y",
        "last, y = Loop <body = turn (int64 i, bool c, float[3] a) => (bool d, float[3] e, float[3] f) "
        "{ d = Identity (c) e = Add (a, a) f = Mul (a, a) }> (turns, , x)",
    )
    with runtimes()["torch"].open(model, native=False) as session:
        for turns in (0, 3):
            found = session.forward({"x": np.float32([1, 2, 3]), "turns": np.int64(turns)})["y"]
            assert (found.shape, found.dtype) == ((turns, 3), np.float32)


def test_a_weight_that_only_a_body_reads_is_a_layer_and_trains() -> None:
    model = model_of(
        "float[2, 3] x",
        "float[2, 3] y",
        "y = Loop <body = turn (int64 i, bool c, float[2, 3] a) => (bool d, float[2, 3] e) "
        "{ d = Identity (c) m = MatMul (a, w) e = Tanh (m) }> (turns, , x)",
        f"float[3, 3] w = {{{', '.join(['0.2'] * 9)}}}, int64 turns = {{4}}",
    )
    assert "nn.Linear(3, 3, bias=False)" in to_source(to_program(model), "Net").text
    feeds = {"x": np.ones((2, 3), np.float32)}
    with runtimes()["torch"].open(model, native=False) as session:
        gradients = session.backward(feeds, {"y": np.ones((2, 3), np.float32)})
    state = np.ones((2, 3))
    states = []
    for _ in range(4):
        states.append(state)
        state = np.tanh(state @ np.full((3, 3), 0.2))
    slope, expected = np.ones((2, 3)), np.zeros((3, 3))
    for before, after in zip(states[::-1], [state, *states[:0:-1]], strict=True):
        slope = slope * (1 - after**2)
        expected += before.T @ slope
        slope = slope @ np.full((3, 3), 0.2).T
    np.testing.assert_allclose(gradients["w"], expected, rtol=1e-5)


def test_values_inside_a_body_are_not_tapped() -> None:
    model = model_of(
        "float[3] x, bool flag",
        "float[3] y",
        "y = If (flag) <then_branch = a () => (float[3] p) { d = Add (x, x) p = Tanh (d) }, "
        "else_branch = b () => (float[3] q) { q = Sin (x) }>",
    )
    with (
        runtimes()["torch"].open(model, native=False) as session,
        pytest.raises(FeedError, match="'d' is inside a body of If"),
    ):
        session.forward({"x": np.ones(3, np.float32), "flag": np.array(True)}, ["d"])
