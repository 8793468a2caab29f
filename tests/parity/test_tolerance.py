"""Bounds."""

from __future__ import annotations

import pytest

from graphkit.parity.tolerance import (
    DOUBLE,
    OUTPUT,
    SINGLE_INSIDE,
    ULPS,
    double_bounds,
    single_bounds,
)


def test_float64_is_held_to_one_in_a_billion_except_behind_single_precision():
    bounds = double_bounds({"a": 1.0, "b": 1.0}, single={"b": "MXNet"})
    assert (bounds["a"].tol, bounds["b"].tol) == (DOUBLE, SINGLE_INSIDE)
    assert "float32" in bounds["b"].note


def test_float32_is_held_to_four_times_its_own_floor():
    bounds = single_bounds({"a": 2.0, "b": 1.0, "c": 1.0}, {"a": 2e-3, "b": 1e-5, "c": 1e-5}, gradients=False)
    assert bounds["a"].tol == pytest.approx(4e-3)
    assert bounds["a"].floor == pytest.approx(1e-3)


def test_an_output_whose_floor_is_small_by_luck_has_its_peers_median():
    bounds = single_bounds({"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 0.0, "b": 1e-3, "c": 2e-3}, gradients=False)
    assert bounds["a"].tol == pytest.approx(4e-3)
    assert bounds["c"].tol == pytest.approx(8e-3)


def test_a_kink_seen_in_one_gradient_is_allowed_in_all():
    bounds = single_bounds({"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 1e-7, "b": 1e-7, "c": 2e-3}, gradients=True)
    assert [bounds[name].tol for name in "abc"] == pytest.approx([8e-3] * 3)


def test_residue_does_not_widen_the_bounds_of_others():
    bounds = single_bounds({"a": 1.0, "b": 1.0, "dust": 1e-9}, {"a": 1e-6, "b": 1e-6, "dust": 1e-8}, gradients=True)
    assert bounds["a"].tol == pytest.approx(4e-6)


@pytest.mark.parametrize(("gradients", "least"), [(False, OUTPUT), (True, ULPS)])
def test_no_bound_is_below_what_elementary_functions_differ_by(gradients, least):
    assert single_bounds({"a": 1.0}, {"a": 1e-9}, gradients=gradients)["a"].tol == least


def test_zeros_take_the_scale_of_their_peers():
    peaks = {"dead": 0.0, "a": 1.0, "b": 3.0, "c": 100.0}
    for bounds in (double_bounds(peaks), single_bounds(peaks, {"a": 1e-7, "b": 1e-7, "c": 1e-7}, gradients=True)):
        assert bounds["dead"].scale == 3.0
        assert "zero" in bounds["dead"].note
        assert bounds["a"].scale == 0.0


def test_rounding_residue_takes_the_scale_of_its_peers():
    """A gradient that float32 cannot tell a digit of is what is left of a cancellation."""
    peaks = {"residue": 1e-17, "a": 1.0, "b": 2.0}
    floors = {"residue": 1e-8, "a": 1e-7, "b": 1e-7}
    assert double_bounds(peaks, floors)["residue"].scale == 1.5
    bound = single_bounds({**peaks, "residue": 1e-9}, floors, gradients=True)["residue"]
    assert bound.scale == 1.5
    assert 4 * 1e-8 / 1.5 < bound.tol < 1e-5


def test_a_small_gradient_that_float32_knows_keeps_its_own_scale():
    peaks = {"small": 1e-12, "a": 1.0}
    assert double_bounds(peaks, {"small": 1e-18, "a": 1e-7})["small"].scale == 0.0


def test_all_zeros_are_judged_absolutely():
    assert double_bounds({"a": 0.0})["a"].scale == 1.0


def test_what_a_runtime_computes_in_float32_may_be_as_far_off_as_in_float32():
    peaks, held = {"a": 2.0, "b": 2.0}, {"a": "MXNet"}
    assert double_bounds(peaks, None, held)["a"].tol == 1e-6
    measured = double_bounds(peaks, {"a": 2e-6, "b": 2e-6}, held)
    assert (measured["a"].tol, measured["b"].tol) == (4e-6, 1e-9)
    assert double_bounds(peaks, {"a": 0.1, "b": 2e-6}, held)["a"].tol == 1e-4


def test_a_gradient_that_cancels_may_be_off_by_what_inputs_that_hardly_move_move_it():
    peaks = {"cancels": 1e-3, "wild": 1.0, "usual": 1.0}
    bounds = double_bounds(peaks, sways={"cancels": 1e-11, "wild": 1.0, "usual": 1e-11})
    found = {name: bound.tol for name, bound in bounds.items()}
    assert found == pytest.approx({"cancels": 4e-8, "wild": 1e-6, "usual": 1e-9}, rel=1e-12)


def test_what_is_residue_on_the_side_under_test_may_be_what_rounding_makes_of_it():
    """Gradients of nothing, where all but one of the others are tiny."""
    peaks = {"gone": 0.0, "last": 4.0, "a": 1e-8, "b": 1e-8}
    floors = dict.fromkeys(peaks, 0.0)
    found = {limit: bounds["gone"].tol * bounds["gone"].scale for limit, bounds in _residual(peaks, floors)}
    assert found == pytest.approx({"noise": 4e-9, "single": 4e-4, "double": 4e-9, "usual": 1.9e-14}, rel=0.1)
    assert single_bounds(peaks, floors, gradients=True, residues={"a": 1.0})["a"].tol == ULPS


def _residual(peaks, floors):
    yield "noise", single_bounds(peaks, floors, gradients=True, residues={"gone": 1e-9})
    yield "single", single_bounds(peaks, floors, gradients=True, residues={"gone": 1.0})
    yield "double", double_bounds(peaks, floors, residues={"gone": 1.0})
    yield "usual", single_bounds(peaks, floors, gradients=True)
