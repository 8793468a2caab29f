"""MXNet's operators for GPUs only, against numpy: what their documentation says they compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mxgradients import read_node

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.passes.cast_floats import cast_floats

X = np.random.default_rng(6).standard_normal((3, 10))


def computed(op: str, feeds: dict[str, Any], **attrs: Any) -> Any:
    model = cast_floats(read_node(op, feeds, attrs), "float64")
    with runtimes()["reference"].open(model) as session:
        return session.forward(feeds)["node_output"]


def test_a_spectrum_is_pairs_of_real_and_imaginary_parts() -> None:
    spectrum = np.fft.fft(X)
    expected = np.stack([spectrum.real, spectrum.imag], axis=-1).reshape(3, 20)
    np.testing.assert_allclose(computed("_contrib_fft", {"x": X}), expected, atol=1e-12)


def test_the_inverse_gives_real_parts_and_is_not_divided() -> None:
    expected = np.fft.ifft(X[:, ::2] + 1j * X[:, 1::2]).real * 5
    np.testing.assert_allclose(computed("_contrib_ifft", {"x": X}), expected, atol=1e-12)


def test_a_sketch_adds_signed_elements_up() -> None:
    places, signs = np.array([[0, 3, 1, 3, 2, 0, 0, 1, 2, 3]]), np.array([[1, -1, 1, 1, -1, -1, 1, 1, -1, 1]])
    expected = np.zeros((3, 5))
    for column, (place, sign) in enumerate(zip(places[0], signs[0], strict=True)):
        expected[:, place] += sign * X[:, column]
    feeds = {"x": X, "h": places.astype(float), "s": signs.astype(float)}
    np.testing.assert_allclose(computed("_contrib_count_sketch", feeds, out_dim=5), expected, atol=1e-12)


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not pairs"):
        read_node("_contrib_ifft", {"x": X[:, :9]}, {})
