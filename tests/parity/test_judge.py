"""Bounds that the user gives, as they decide over tensors."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fakes import Fake, model

from graphkit.parity.verify import verify

RIGHT = Fake("right")


def off(by, name="y"):
    def spoil(found):
        return {each: array * array.dtype.type(1 + by) if each == name else array for each, array in found.items()}

    return Fake("off", outputs=spoil)


def check_of(*tolerances, by=1e-3, name="y", **more):
    report = verify(model(), on=[RIGHT, off(by)], tolerances=tolerances, **more)
    return next(check for check in report.checks if check.name == name)


@pytest.mark.parametrize(
    ("tolerance", "verdict"),
    [("1e-2", "pass"), ("output=1e-2", "pass"), ("y=1e-2", "pass"), ("1e-4", "fail"), ("gradient=1e-2", "fail")],
)
def test_a_bound_that_is_given_decides(tolerance, verdict):
    assert check_of(tolerance).verdict == verdict


def test_a_bound_that_is_given_is_told():
    found = check_of("y=1e-2")
    assert found.tol == 1e-2
    assert "bound given as y=0.01" in found.note


def test_a_bound_may_be_tighter_than_the_usual_one_and_zero_asks_for_equality():
    assert check_of(by=3e-6).verdict == "pass"
    assert check_of("1e-7", by=3e-6).verdict == "fail"
    assert check_of("0", by=3e-6).verdict == "fail"
    assert check_of("0", by=0).verdict == "pass"


def test_a_multiple_of_the_noise_floor_follows_the_floor():
    found = check_of("output=3x")
    assert found.floor > 0
    assert found.tol == pytest.approx(3 * found.floor)
    assert check_of("output=1000000000x").verdict == "pass"


def test_where_there_is_no_floor_multiples_of_it_leave_the_bound_as_it_is():
    assert check_of("8x", dtype="float64").tol == check_of(dtype="float64").tol
    assert "given" not in check_of("8x", dtype="float64").note


def test_a_bound_for_an_element_type_holds_in_it_alone():
    tolerances = ("float64:output=1e-2", "float32:output=1e-1")
    assert check_of(*tolerances).tol == 1e-1
    assert check_of(*tolerances, dtype="float64").tol == 1e-2


def test_the_bound_of_a_tensor_wins_over_that_of_its_kind():
    tolerances = ("y=1e-2", "output=1e-5", "1e-6")
    assert check_of(*tolerances).tol == 1e-2
    assert check_of(*reversed(tolerances)).tol == 1e-2


def test_gradients_are_bound_on_their_own():
    wrong = Fake("off", gradients=lambda found: {**found, "w": found["w"] * found["w"].dtype.type(1.001)})
    found = verify(model(), on=[RIGHT, wrong], backward=True, tolerances=["parameter gradient=1e-2"])
    assert found.passed
    assert {check.name for check in found.checks if "given" in check.note} == {"w", "b"}
    assert not verify(model(), on=[RIGHT, wrong], backward=True, tolerances=["input gradient=1e-2"]).passed


def test_values_are_bound_by_name():
    report = verify(model(), on=[RIGHT, off(1e-3, "sum")], taps=True, tolerances=["su*=1e-2"])
    assert report.passed
    assert not verify(model(), on=[RIGHT, off(1e-3, "sum")], taps=True, tolerances=["pro*=1e-2"]).passed


def test_a_name_that_met_nothing_is_warned_of_with_what_may_be_meant():
    report = verify(model(), on=[RIGHT, Fake("other")], backward=True, tolerances=["wx=1e-3", "layer4.*=8x", "w=1"])
    assert len(report.warnings) == 2
    assert "'wx=0.001' is about no tensor" in report.warnings[0]
    assert "layer4.*=8x" in report.warnings[1]


def test_no_bound_makes_what_is_not_finite_on_one_side_right():
    wrong = Fake("nan", outputs=lambda found: {"y": np.full_like(found["y"], np.nan)})
    assert not verify(model(), on=[RIGHT, wrong], tolerances=["1e30"]).passed


def test_no_bound_makes_up_for_another_shape_or_type():
    for spoil in (lambda y: y[:1], lambda y: y.astype(np.float16)):
        wrong = Fake("other", outputs=lambda found, spoil=spoil: {"y": spoil(found["y"])})
        assert not verify(model(), on=[RIGHT, wrong], tolerances=["1e30"]).passed


def test_integers_have_to_be_equal_whatever_bound_is_given():
    found = model()
    argmax = ir.node("ArgMax", [found.graph.outputs[0]], {"axis": 1}, name="argmax")
    argmax.outputs[0].name, argmax.outputs[0].type = "index", ir.TensorType(ir.DataType.INT64)
    found.graph.append(argmax)
    found.graph.outputs.append(argmax.outputs[0])
    sides = [
        Fake(name, outputs=lambda y, at=at: {**y, "index": np.array([[100], [at]])})
        for name, at in (("a", 50), ("b", 51))
    ]
    report = verify(found, on=sides, tolerances=["1", "index=1"])
    checks = {check.name: check for check in report.checks}
    assert (checks["y"].verdict, checks["index"].verdict) == ("pass", "fail")
    assert "given" not in checks["index"].note
