"""Interpolation matrices against torch, which defines them independently."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.ops.nn.interpolation import Axis, Method

torch = pytest.importorskip("torch")

COORDINATES = {False: "half_pixel", True: "align_corners"}


def resized(before: int, after: int, **how: object) -> np.ndarray:
    """What torch makes of each unit vector, as (elements after, elements before)."""
    units = torch.eye(before, dtype=torch.float64).reshape(before, 1, before, 1).repeat(1, 1, 1, 2)
    result = torch.nn.functional.interpolate(units, size=(after, 2), **how)
    return np.asarray(result[:, 0, :, 0].T)


@pytest.mark.parametrize("after", [1, 2, 4, 5, 9, 13])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(("mode", "name"), [("linear", "bilinear"), ("cubic", "bicubic")])
def test_matrices_are_torchs(mode: str, name: str, aligned: bool, after: int) -> None:
    axis = Axis(5, after, after / 5)
    found = Method(mode, COORDINATES[aligned]).matrix(axis)
    np.testing.assert_allclose(found, resized(5, after, mode=name, align_corners=aligned), rtol=0, atol=1e-12)


@pytest.mark.parametrize("after", [2, 3, 7, 12])
@pytest.mark.parametrize(("mode", "name", "a"), [("linear", "bilinear", -0.75), ("cubic", "bicubic", -0.5)])
def test_antialiased_matrices_are_torchs(mode: str, name: str, a: float, after: int) -> None:
    found = Method(mode, cubic=a, antialias=True, exclude_outside=True).matrix(Axis(7, after, after / 7))
    expected = resized(7, after, mode=name, align_corners=False, antialias=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("before", "after"), [(5, 10), (5, 7), (6, 10), (7, 3), (10, 6), (3, 3)])
@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("nearest", Method("nearest", "asymmetric", "floor")),
        ("nearest-exact", Method("nearest", "half_pixel", "round_prefer_ceil")),
    ],
)
def test_nearest_elements_are_torchs(name: str, method: Method, before: int, after: int) -> None:
    found = method.indices(Axis(before, after, after / before))
    np.testing.assert_array_equal(np.eye(before)[found], resized(before, after, mode=name))


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"])
def test_weights_add_up_to_one(mode: str, coordinates: str) -> None:
    found = Method(mode, coordinates).matrix(Axis(5, 8, 1.7))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)


def test_a_scale_given_in_decimals_is_taken_at_its_word() -> None:
    """3 / 0.6 is 5, although the float32 nearest to 0.6 is a little more."""
    assert Method("nearest", "asymmetric", "floor").indices(Axis(7, 4, 0.6)).tolist() == [0, 1, 3, 5]
