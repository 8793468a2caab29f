"""Models that compute a model's gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import InputError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_kind
from graphkit.ir.training import cotangents_of, gradients_of, is_backward
from graphkit.passes.gradient.model import gradient_model

if TYPE_CHECKING:
    Arrays = dict[str, np.ndarray[Any, Any]]

HEAD = '<ir_version: 10, opset_import: ["": 23]>'


def read(text: str) -> ir.Model:
    model = canonical(ir.from_onnx_text(f"{HEAD} {text}"))
    for value in model.graph.initializers.values():
        set_kind(value, "parameter")
    return model


def run(model: ir.Model, feeds: Arrays) -> Arrays:
    with runtimes()["reference"].open(model) as session:
        return session.forward(feeds)


def cube(x: Any) -> Arrays:
    return {"x": np.asarray(x, np.float64)}


CUBE = "cube (double[N] x) => (double[N] y) { square = Mul(x, x)  y = Mul(square, x) }"


def test_outputs_and_gradients_are_called_after_what_they_are_of():
    model = gradient_model(read("net (float[N, 3] x) => (float[N, 3] y) <float[3] w = {1, 2, 3}> { y = Mul(x, w) }"))
    assert [value.name for value in model.graph.inputs] == ["x", "y.grad"]
    assert [value.name for value in model.graph.outputs] == ["y", "x.grad", "w.grad"]
    assert cotangents_of(model) == {"y": "y.grad"}
    assert gradients_of(model) == {"x": "x.grad", "w": "w.grad"}
    assert {is_backward(node) for node in model.graph} == {False, True}


def test_a_model_of_gradients_has_gradients_itself():
    first = gradient_model(read(CUBE))
    second = gradient_model(first, ["x"], ["x.grad"])
    assert cotangents_of(second) == {"x.grad": "x.grad.grad"}
    found = run(second, {**cube([1, 2]), "y.grad": np.ones(2), "x.grad.grad": np.ones(2)})
    np.testing.assert_allclose(found[gradients_of(second)["x"]], [6, 12])


def test_a_name_that_is_taken_is_followed_by_a_number():
    first = gradient_model(read(CUBE))
    second = gradient_model(first)
    ends = cotangents_of(second)
    assert ends == {"y": "y.grad_2", "x.grad": "x.grad.grad"}
    seeds = {"y.grad": np.full(2, 5.0), ends["y"]: np.full(2, 7.0), ends["x.grad"]: np.zeros(2)}
    found = run(second, {**cube([1, 2]), **seeds})
    np.testing.assert_allclose(found["x.grad"], 5 * 3 * np.array([1, 4]))
    np.testing.assert_allclose(found[gradients_of(second)["x"]], 7 * 3 * np.array([1, 4]))


def test_an_output_that_is_an_input_hands_its_cotangent_on():
    model = gradient_model(read("net (double[N] x) => (double[N] y, double[N] z) { y = Identity(x)  z = Exp(x) }"))
    found = run(model, {**cube([0.5]), "y.grad": np.array([2.0]), "z.grad": np.array([3.0])})
    np.testing.assert_allclose(found["x.grad"], 2 + 3 * np.exp([0.5]))


def test_the_gradient_in_what_nothing_depends_on_is_zero():
    model = gradient_model(read("net (double[N] x, double[M] u) => (double[N] y) { y = Exp(x) }"))
    found = run(model, {**cube([0.5]), "u": np.ones(3), "y.grad": np.ones(1)})
    np.testing.assert_array_equal(found["u.grad"], np.zeros(3))


def test_sizes_that_are_free_may_turn_out_to_be_stretched():
    model = gradient_model(read("net (double[A, B] x, double[C, D] u) => (double[E, F] y) { y = Mul(x, u) }"))
    rng = np.random.default_rng(0)
    for left, right in (((2, 3), (2, 3)), ((1, 3), (2, 3)), ((2, 1), (1, 3)), ((1, 1), (2, 3))):
        x, u = rng.standard_normal(left), rng.standard_normal(right)
        seed = rng.standard_normal(np.broadcast_shapes(left, right))
        found = run(model, {"x": x, "u": u, "y.grad": seed})
        axes = tuple(axis for axis in (0, 1) if left[axis] < seed.shape[axis])
        np.testing.assert_allclose(found["x.grad"], (seed * u).sum(axes, keepdims=True), rtol=1e-12)


def test_what_no_gradient_needs_is_not_computed():
    model = gradient_model(read("net (double[N] x, double[N] u) => (double[N] y) { y = Mul(x, u) }"), ["x"])
    assert [node.op_type for node in model.graph if is_backward(node)] == ["Mul"]


def test_the_model_itself_stays_as_it_is():
    model = read(CUBE)
    before = ir.serde.serialize_model(model)
    gradient_model(model)
    assert ir.serde.serialize_model(model) == before


@pytest.mark.parametrize(
    ("text", "wrt", "outputs", "told"),
    [
        ("net (int64[N] x) => (int64[N] y) { y = Neg(x) }", None, None, "no floats"),
        ("net (double[N] x) => (double[N] y) { y = Exp(x) }", ["u"], None, "no value 'u'"),
        ("net (double[N] x) => (double[N] y) { y = Exp(x) }", None, ["u"], "no output 'u'"),
        (
            "net (double[N] x, int64[1] i) => (double[1] y) { y = Gather(x, i) }",
            ["i"],
            None,
            "int64 numbers",
        ),
        ("net (double[N] x) => (int64 y, double[N] z) { y = ArgMax<keepdims=0>(x)  z = Exp(x) }", None, ["y"], "int64"),
    ],
)
def test_what_has_no_gradient_is_refused(text, wrt, outputs, told):
    with pytest.raises(InputError, match=told):
        gradient_model(read(text), wrt, outputs)


def test_all_nodes_that_no_gradient_passes_are_named():
    text = """
    net (float[N] x, int64 turns) => (float[M] y, float[K] z) {
        none = SequenceEmpty ()
        [first] a = Loop (turns, , none) <
            body = step (int64 turn, bool going, seq(float[m]) s) => (bool on, seq(float[n]) t) {
                on = Identity (going)  t = SequenceInsert (s, x)
            }
        >
        [second] b = Loop (turns, , none) <
            body = stride (int64 turn2, bool going2, seq(float[m2]) s2) => (bool on2, seq(float[n2]) t2) {
                on2 = Identity (going2)  t2 = SequenceInsert (s2, x)
            }
        >
        y = ConcatFromSequence <axis = 0> (a)
        z = ConcatFromSequence <axis = 0> (b)
    }
    """
    with pytest.raises(UnsupportedError, match="gradients in ONNX operators") as refused:
        gradient_model(read(text))
    assert [node.name for node in refused.value.nodes] == ["first", "second"]
