"""Distances between arrays, and verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.parity.metrics import compare, distance, magnitude
from graphkit.parity.tolerance import Bound
from graphkit.report.report import DECADES

RNG = np.random.default_rng(0)
LOOSE = Bound(0.5)


def judged(reference, found, bound=LOOSE):
    return compare("output", "y", ("left", "right"), np.asarray(reference), np.asarray(found), bound)


def test_a_difference_is_relative_to_the_largest_magnitude_of_the_reference():
    check = judged([1.0, -4.0], [1.0, -3.0], Bound(0.25))
    assert (check.max_abs, check.error, check.verdict) == (1.0, 0.25, "pass")


def test_an_element_beyond_the_bound_fails_and_is_counted():
    check = judged([1.0, 2.0, 4.0], [2.0, 2.0, 0.0], Bound(0.2))
    assert (check.verdict, check.bad, check.size) == ("fail", 2, 3)


def test_l2_and_cosine_agree_with_numpy():
    one, two = RNG.standard_normal(50), RNG.standard_normal(50)
    gap = distance(one, two)
    assert gap.l2 == pytest.approx(np.linalg.norm(one - two) / np.linalg.norm(one))
    assert gap.cosine == pytest.approx(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_tiny_and_huge_numbers_neither_underflow_nor_overflow(scale):
    one = RNG.standard_normal(50)
    gap = distance(one * scale, one * scale * 1.5)
    assert gap.l2 == pytest.approx(0.5)
    assert gap.cosine == pytest.approx(1.0)


def test_the_difference_of_half_precision_is_taken_in_double_precision():
    assert distance(np.float16([60000]), np.float16([-60000])).max_abs == 120000


@pytest.mark.parametrize("found", [np.zeros((2, 1)), np.zeros((1, 2)), np.zeros(())])
def test_another_shape_fails_even_where_it_would_broadcast(found):
    check = judged(np.zeros(2), found)
    assert check.verdict == "fail"
    assert "shape" in check.note


def test_another_dtype_fails_although_the_values_agree():
    check = judged(np.ones(2, np.float32), np.ones(2, np.float64))
    assert check.verdict == "fail"
    assert "right gives float64" in check.note


@pytest.mark.parametrize(("left", "right"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, -np.inf), (np.nan, np.inf)])
def test_an_element_that_is_not_finite_on_one_side_alone_fails(left, right):
    check = judged([left, 1.0], [right, 1.0])
    assert (check.verdict, check.bad) == ("fail", 1)


def test_equal_patterns_of_nan_and_infinity_pass_and_are_told():
    check = judged([np.nan, np.inf, -np.inf, 1.0], [np.nan, np.inf, -np.inf, 1.0])
    assert check.verdict == "pass"
    assert "3 of 4" in check.note


def test_a_reference_without_a_finite_element_proves_nothing():
    assert judged([np.nan, np.nan], [np.nan, np.nan]).verdict == "fail"


def test_zeros_are_judged_on_the_given_scale():
    assert judged([0.0, 0.0], [1e-12, 0.0], Bound(1e-9, scale=1.0)).verdict == "pass"
    assert judged([0.0, 0.0], [1e-6, 0.0], Bound(1e-9, scale=1.0)).verdict == "fail"


def test_zeros_without_a_scale_are_judged_absolutely():
    assert judged([0.0], [1e-3], Bound(1e-9)).verdict == "fail"
    assert judged([0.0], [0.0], Bound(1e-9)).verdict == "pass"


def test_integers_must_be_equal_whatever_the_bound():
    big = 2**60
    assert judged(np.int64([big]), np.int64([big + 1])).verdict == "fail"
    assert judged(np.int64([big]), np.int64([big])).verdict == "pass"
    assert judged([True, False], [True, True]).bad == 1


def test_text_and_complex_numbers_are_compared():
    assert judged(["a", "b"], ["a", "c"]).bad == 1
    assert judged(np.complex64([1 + 2j]), np.complex64([1 - 2j])).verdict == "fail"


def test_empty_tensors_pass():
    assert judged(np.zeros((0, 3)), np.zeros((0, 3))).verdict == "pass"


def test_magnitude_looks_at_finite_elements():
    assert magnitude(np.array([1.0, -3.0, np.inf, np.nan])) == 3.0
    assert magnitude(np.array([np.nan])) == 0.0


def test_units_in_the_last_place_are_counted_across_zero_and_binades() -> None:
    one = np.float32([1, 0.0, 1e-45, -2])
    two = np.float32([np.nextafter(np.float32(1), np.float32(2)), -0.0, -1e-45, -2])
    assert distance(one, two).ulps == 2
    assert distance(np.float16([1]), np.float16([1.001])).ulps == 1
    assert distance(np.float64([-1e300]), np.float64([1e300])).ulps > 2**62


def test_the_first_element_beyond_the_bound_is_named_with_both_numbers() -> None:
    one = np.zeros((300, 1000), np.float32)
    one[0, 0] = 1
    two = one.copy()
    two[211, 7] = 0.5
    two[299, 999] = 2
    check = compare("output", "y", ("a", "b"), one, two, Bound(0.1))
    assert (check.first, check.values, check.bad) == ((211, 7), (0.0, 0.5), 2)
    assert (check.histogram[0], sum(check.histogram)) == (one.size - 2, one.size)


def test_the_histogram_counts_shares_of_the_scale_by_decade() -> None:
    one = np.float64([1, 0, 0, 0])
    check = compare("output", "y", ("a", "b"), one, one + np.float64([0, 0.02, 1e-30, 1e9]), Bound(1.0))
    first, last = DECADES
    expected = [0] * (last - first + 3)
    expected[0] = expected[1] = expected[-1] = 1
    expected[2 + (-2 - first)] = 1
    assert list(check.histogram) == expected


def test_relative_differences_of_single_elements_leave_out_zeros() -> None:
    gap = distance(np.float64([0, 1, 100]), np.float64([5, 1.5, 100]))
    assert (gap.max_rel, gap.max_abs) == (0.5, 5.0)


def test_infinities_in_the_same_places_are_equal_and_counted() -> None:
    one = np.float32([np.inf, -np.inf, np.nan, 1])
    check = compare("output", "y", ("a", "b"), one, one, Bound(0.0))
    assert (check.verdict, check.nonfinite, check.first) == ("pass", (3, 3), None)
    other = compare("output", "y", ("a", "b"), one, one[[1, 0, 2, 3]], Bound(0.0))
    assert (other.verdict, other.bad, other.first) == ("fail", 2, (0,))


def test_floats_at_the_ends_of_their_range_do_not_overflow() -> None:
    top = np.finfo(np.float64).max
    gap = distance(np.float64([top]), np.float64([-top]))
    assert gap.max_abs == np.inf
    assert gap.cosine == -1
