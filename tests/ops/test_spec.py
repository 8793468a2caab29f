"""How numbers of attributes are taken."""

from __future__ import annotations

import numpy as np

from graphkit.ops.spec import decimal


def test_decimals_round_to_the_number_and_are_not_larger_than_the_largest() -> None:
    largest = float(np.finfo(np.float32).max)
    assert [decimal(number) for number in (-largest, float(np.float32(1e-5)), np.inf)] == [-largest, 1e-5, np.inf]
