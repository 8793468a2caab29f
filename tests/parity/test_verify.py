"""Verification, on runtimes that are right or wrong in a known way."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fakes import Fake, model

from graphkit.errors import ExecutionError, InputError, MissingError, UnsupportedError, UnsupportedNode
from graphkit.frameworks import base
from graphkit.frameworks.base import InputSpec
from graphkit.parity.sample import Sampler
from graphkit.parity.verify import verify

RIGHT = Fake("right")


def spoilt(**arrays):
    """A hook that replaces arrays by what the given functions make of them; a function of None drops it."""

    def spoil(found):
        changed = {name: array if name not in arrays else arrays[name](array) for name, array in found.items()}
        return {name: array for name, array in changed.items() if array is not None}

    return spoil


def by_name(report):
    return {check.name: check for check in report.checks}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_right_runtimes_are_in_parity_in_outputs_and_every_gradient(dtype):
    report = verify(model(), on=[RIGHT, Fake("other")], backward=True, dtype=dtype)
    assert report.passed
    assert {check.what for check in report.checks} == {
        "output y",
        "input gradient x",
        "parameter gradient w",
        "parameter gradient b",
    }
    assert {(check.left, check.right, check.dtype) for check in report.checks} == {("right", "other", dtype)}
    assert by_name(report)["w"].shape == (5, 3)
    assert by_name(report)["w"].size == 15


def test_gradients_are_not_asked_for_without_backward():
    report = verify(model(), on=[RIGHT, Fake("other")])
    assert [check.what for check in report.checks] == ["output y"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda y: y + np.float32(1e-3), ""),
        (lambda y: y * np.float32(1.001), ""),
        (lambda y: y[::-1], ""),
        (lambda y: np.where(np.arange(3) == 1, np.float32(np.nan), y), "on one side only"),
        (lambda y: y[:1], "shape 1×3"),
        (lambda y: y[:, :, None], "shape 2×3×1"),
        (lambda y: y.astype(np.float16), "float16"),
        (lambda y: None, "not returned by wrong"),  # noqa: ARG005  # dropped
    ],
)
def test_an_output_that_is_wrong_fails(spoil, told):
    report = verify(model(), on=[RIGHT, Fake("wrong", outputs=spoilt(y=spoil))])
    assert not report.passed
    assert by_name(report)["y"].verdict == "fail"
    assert told in by_name(report)["y"].note


def test_an_output_that_nobody_asked_for_fails():
    report = verify(model(), on=[RIGHT, Fake("wrong", outputs=lambda found: {**found, "z": found["y"]})])
    assert by_name(report)["z"].verdict == "fail"
    assert by_name(report)["y"].verdict == "pass"


@pytest.mark.parametrize("name", ["x", "w", "b"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda array: array * array.dtype.type(1.001),
        lambda array: -array,
        lambda array: np.zeros_like(array),
        lambda array: array.T[None],
        lambda array: None,  # noqa: ARG005  # dropped
        lambda array: np.full_like(array, np.nan),
    ],
)
def test_a_gradient_that_is_wrong_fails_and_the_others_pass(name, spoil):
    report = verify(model(), on=[RIGHT, Fake("wrong", gradients=spoilt(**{name: spoil}))], backward=True)
    assert {check.name for check in report.checks if check.verdict == "fail"} == {name}


def test_a_gradient_that_nobody_asked_for_fails():
    report = verify(model(), on=[RIGHT, Fake("wrong", gradients=lambda g: {**g, "c": g["b"]})], backward=True)
    assert by_name(report)["c"].verdict == "fail"


def test_float64_sees_what_float32_cannot():
    slightly = Fake("slightly", outputs=lambda found: {"y": found["y"] * (1 + found["y"].dtype.type(1e-8))})
    assert verify(model(), on=[RIGHT, slightly]).passed
    assert not verify(model(), on=[RIGHT, slightly], dtype="float64").passed


def test_nan_on_both_sides_is_told_and_nothing_but_nan_is_no_proof():
    def nan(part):
        return lambda found: {"y": np.where(np.arange(3) < part, np.float32(np.nan), found["y"])}

    some = by_name(verify(model(), on=[Fake("a", outputs=nan(1)), Fake("b", outputs=nan(1))]))["y"]
    assert some.verdict == "pass"
    assert "2 of 6 elements are NaN" in some.note
    assert not verify(model(), on=[Fake("a", outputs=nan(3)), Fake("b", outputs=nan(3))]).passed


def test_a_gradient_beyond_its_bound_in_a_minority_of_samples_is_a_kink():
    calls = []

    def kinked(found):
        calls.append(1)
        return {**found, "x": found["x"] * np.float32(1.01 if len(calls) == 1 else 1)}

    check = by_name(verify(model(), on=[RIGHT, Fake("kinked", gradients=kinked)], backward=True, batches=[8]))["x"]
    assert len(calls) == 7  # four samples, and three runs that measure it against itself
    assert check.verdict == "pass"
    assert "in 1 of 4 samples" in check.note
    assert check.error < 1e-5


def test_a_gradient_beyond_its_bound_in_two_samples_of_three_fails():
    calls = []

    def wrong(found):
        calls.append(1)
        return {**found, "x": found["x"] * np.float32(1.01 if len(calls) != 2 else 1)}

    report = verify(model(), on=[RIGHT, Fake("wrong", gradients=wrong)], backward=True, batches=[8])
    assert by_name(report)["x"].verdict == "fail"


def test_a_sample_whose_gradient_is_zero_does_not_vote():
    calls = []

    def wrong(found):
        calls.append(1)
        return {**found, "x": found["x"] * np.float32(1.01 if len(calls) == 1 else 1)}

    def dead(found):
        return {**found, "x": found["x"] * 0} if calls else found

    sides = [
        Fake("a", gradients=dead),
        Fake("b", gradients=lambda found: dead(wrong(found)) if calls else wrong(found)),
    ]
    assert by_name(verify(model(), on=sides, backward=True, batches=[8]))["x"].verdict == "fail"


def test_a_runtime_that_adds_up_in_a_rougher_order_is_measured_against_itself():
    def rough(found):
        return {
            name: array * np.float32(1 + 1e-5) if array.dtype == np.float32 else array for name, array in found.items()
        }

    assert verify(model(), on=[Fake("a"), Fake("b", gradients=rough)], backward=True).passed
    alone = Fake("b", gradients=rough, doubles=False)
    assert not verify(model(), on=[Fake("a"), alone], backward=True).passed


def test_a_mistake_in_float32_alone_is_too_large_for_roughness():
    def wrong(found):
        return {
            name: array * np.float32(1.001) if array.dtype == np.float32 else array for name, array in found.items()
        }

    assert not verify(model(), on=[Fake("a"), Fake("b", gradients=wrong)], backward=True).passed


def test_a_mistake_in_both_precisions_is_none_of_roughness():
    def wrong(found):
        return {name: array * array.dtype.type(1 + 1e-5) for name, array in found.items()}

    assert not verify(model(), on=[Fake("a"), Fake("b", gradients=wrong)], backward=True).passed


def test_float64_gradients_are_decided_by_one_sample():
    calls = []

    def wrong(found):
        calls.append(1)
        return {**found, "x": found["x"] * (1.01 if len(calls) == 1 else 1)}

    report = verify(model(), on=[RIGHT, Fake("wrong", gradients=wrong)], backward=True, dtype="float64")
    assert by_name(report)["x"].verdict == "fail"
    assert len(calls) == 1


@pytest.mark.parametrize(("moves", "verdict"), [(True, "pass"), (False, "fail")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gradient_of_nothing_may_be_residue_but_nothing_that_stays(moves, verdict, dtype):
    rng = np.random.default_rng(0)

    def right(found):
        return {**found, "w": found["w"] * 0, "x": found["x"] * found["x"].dtype.type(1e-9)}

    def rounding(found):
        most = np.abs(found["b"]).max() * (1e-5 if found["b"].dtype == np.float32 else 0.8e-9)
        dust = rng.choice([-most, most], found["w"].shape) if moves else np.full(found["w"].shape, most)
        return {**right(found), "w": dust.astype(found["w"].dtype)}

    sides = [Fake("right", gradients=right), Fake("rounding", gradients=rounding)]
    assert by_name(verify(model(), on=sides, backward=True, dtype=dtype))["w"].verdict == verdict


def test_a_runtime_without_float64_is_compared_in_float32_and_says_so():
    report = verify(model(), on=[RIGHT, Fake("single", doubles=False)], backward=True, dtype="float64")
    assert report.passed
    assert all("as float64 is refused" in check.note and check.floor > 0 for check in report.checks)
    assert by_name(report)["y"].tol == 1e-5


def test_a_wrong_runtime_without_float64_fails_in_float32():
    wrong = Fake("single", doubles=False, outputs=lambda found: {"y": found["y"] * np.float32(1.001)})
    assert not verify(model(), on=[RIGHT, wrong], dtype="float64").passed


def test_without_float64_anywhere_the_floor_is_the_spread_of_float32(monkeypatch):
    monkeypatch.setattr("graphkit.parity.floor.runtimes", dict)
    report = verify(model(), on=[Fake("one", doubles=False), Fake("two", doubles=False)], backward=True)
    assert report.passed
    assert "noise floor" in report.warnings[0]
    assert by_name(report)["w"].floor > 0


def test_a_runtime_that_computes_no_gradients_is_shown_as_not_available_and_not_as_passed():
    forward = Fake("forward", can=frozenset({"forward"}))
    report = verify(model(), on=[RIGHT, Fake("other"), forward], backward=True)
    absent = [check for check in report.checks if check.verdict == "unavailable"]
    assert [(check.kind, check.right) for check in absent] == [("backward", "forward")]
    assert report.passed
    assert sum(check.right == "forward" and check.verdict == "pass" for check in report.checks) == 1


def test_gradients_are_compared_with_the_first_runtime_that_has_them():
    forward = Fake("forward", can=frozenset({"forward"}))
    report = verify(model(), on=[forward, RIGHT, Fake("other")], backward=True)
    assert {(check.left, check.right) for check in report.checks if check.kind.endswith("gradient")} == {
        ("right", "other")
    }


def test_asking_for_gradients_that_nothing_can_be_compared_with_is_an_error():
    forward = Fake("forward", can=frozenset({"forward"}))
    with pytest.raises(InputError, match="only right gives gradients"):
        verify(model(), on=[RIGHT, forward], backward=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("g (float[2] x) => (int64[2] y) { y = Cast<to = 7>(x) }", "no float output"),
        ("g (int64[2] x) => (float[2] y) { y = Cast<to = 1>(x) }", "no float input and no parameter"),
    ],
)
def test_asking_for_gradients_of_a_model_that_has_none_is_an_error(text, told):
    found = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": 23]> {text}')
    with pytest.raises(InputError, match=told):
        verify(found, on=["reference", "ort"], backward=True)


def test_one_runtime_alone_is_an_error():
    with pytest.raises(InputError, match="only right gives outputs"):
        verify(model(), on=[RIGHT])


def test_a_named_runtime_that_is_not_installed_is_an_error():
    with pytest.raises(MissingError, match="run: pip install it"):
        verify(model(), on=[RIGHT, Fake("gone", absent="it is not installed; run: pip install it")])


def test_a_default_runtime_that_is_not_installed_is_shown_as_not_available(monkeypatch):
    known = {"torch": RIGHT, "mxnet": Fake("mxnet"), "ort": Fake("ort", absent="run: pip install it")}
    monkeypatch.setattr(base, "runtimes", lambda: known)
    report = verify(model())
    assert report.passed
    assert [(check.right, check.note) for check in report.checks if check.verdict == "unavailable"] == [
        ("ort", "run: pip install it")
    ]


UNSUPPORTED = UnsupportedError("it", [UnsupportedNode("Relu", "node", "there is none")])


@pytest.mark.parametrize("problem", [UNSUPPORTED, ExecutionError("it crashed")])
def test_a_named_runtime_that_cannot_run_the_model_is_an_error(problem):
    with pytest.raises(type(problem)):
        verify(model(), on=[RIGHT, Fake("other"), Fake("third", fails=problem)])


@pytest.mark.parametrize(("problem", "verdict"), [(UNSUPPORTED, "unavailable"), (ExecutionError("crash"), "fail")])
def test_a_default_runtime_that_cannot_run_the_model_is_not_available_and_one_that_crashes_fails(
    monkeypatch, problem, verdict
):
    known = {"torch": RIGHT, "mxnet": Fake("mxnet"), "ort": Fake("ort", fails=problem)}
    monkeypatch.setattr(base, "runtimes", lambda: known)
    report = verify(model())
    assert {check.right: check.verdict for check in report.checks} == {"mxnet": "pass", "ort": verdict}
    assert report.passed == (verdict == "unavailable")


def test_an_unknown_runtime_is_an_error_that_lists_the_known_ones():
    with pytest.raises(InputError, match=r"No runtime is called 'tensorflow'; there are .*ort"):
        verify(model(), on=["tensorflow"])


def test_every_runtime_is_fed_the_same(monkeypatch):
    fed = []
    feeds = Sampler.feeds

    def recorded(self, seed):
        fed.append(feeds(self, seed))
        return fed[-1]

    monkeypatch.setattr(Sampler, "feeds", recorded)
    verify(model(), on=[RIGHT, Fake("other")], batches=[5], seeds=[7])
    assert {array["x"].shape for array in fed} == {(5, 5)}
    assert all(np.array_equal(array["x"], fed[0]["x"]) for array in fed)


def test_the_title_and_the_environment_say_what_ran():
    report = verify(model(), on=[RIGHT, Fake("other")], inputs=[InputSpec("x", (4, 5))], seeds=[3])
    assert report.title == "layer in float32: x 4×5, seed 3"
    assert report.environment["right"] == "1.0"
    assert {"graphkit", "Python", "numpy", "platform", "processors"} <= set(report.environment)


def test_onnx_models_are_compared_with_an_onnx_runtime_first():
    from graphkit.ir.origin import Source, set_source

    found = model()
    set_source(found, Source("onnx", "net.onnx", None))
    report = verify(found, on=[RIGHT, "reference"])
    assert {(check.left, check.right) for check in report.checks} == {("reference", "right")}
    assert report.passed


def test_integer_outputs_are_compared_and_get_no_cotangent():
    found = model()
    argmax = ir.node("ArgMax", [found.graph.outputs[0]], {"axis": 1}, name="argmax")
    argmax.outputs[0].name, argmax.outputs[0].type = "index", ir.TensorType(ir.DataType.INT64)
    found.graph.append(argmax)
    found.graph.outputs.append(argmax.outputs[0])

    def indexed(found):
        return {**found, "index": found["y"].argmax(1, keepdims=True)}

    def off(found):
        return {**found, "index": found["y"].argmin(1, keepdims=True)}

    right, other = Fake("a", outputs=indexed), Fake("b", outputs=indexed)
    assert verify(found, on=[right, other], backward=True).passed
    report = verify(found, on=[right, Fake("c", outputs=off)], backward=True)
    assert by_name(report)["index"].verdict == "fail"
