"""Operators that put another gradient than the derivative on purpose: MXNet's own, to the last digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mxgradients import assert_gradients_are_mxnets

X = np.random.default_rng(1).standard_normal((3, 4)) * 3


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("_contrib_round_ste", {}),
        ("_contrib_sign_ste", {}),
        ("_contrib_gradientmultiplier", {"scalar": -0.3}),
        ("_contrib_gradientmultiplier", {"scalar": 0}),
        ("_contrib_gradientmultiplier", {}),
    ],
)
def test_the_gradient_is_mxnets(op: str, attrs: dict[str, Any]) -> None:
    assert_gradients_are_mxnets(op, {"x": X}, attrs)
