"""MXNet's GridGenerator, which computes in float32 only: its own gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mxgradients import assert_gradients_are_mxnets

RNG = np.random.default_rng(9)


@pytest.mark.parametrize(
    ("feeds", "attrs"),
    [
        ({"theta": RNG.standard_normal((2, 6))}, {"transform_type": "affine", "target_shape": "(4, 3)"}),
        ({"flow": RNG.standard_normal((2, 2, 4, 3))}, {"transform_type": "warp"}),
    ],
)
def test_the_gradients_are_mxnets(feeds: dict[str, Any], attrs: dict[str, Any]) -> None:
    assert_gradients_are_mxnets("GridGenerator", feeds, attrs, dtype="float32", tol=2e-6)
