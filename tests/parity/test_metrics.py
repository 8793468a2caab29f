"""Distances between arrays, and verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.parity.metrics import compare, distance, magnitude
from graphkit.parity.tolerance import Bound

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
