"""ONNX's own suite of single nodes computes as torch source what the suite says."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from nodesuite import node_cases

from graphkit.errors import ShapeNeededError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical

pytest.importorskip("torch")

LEAST = 1150
"""Cases that have to be compared; the others are of operators that are refused, mostly for strings and sequences."""


def _same(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind not in "fcV":
        return np.array_equal(left, right)
    within = 1e-2 if left.dtype.itemsize < 4 else 1e-4  # the suite rounds what it expects of RoiAlign and some pools
    if left.dtype.kind != "c":
        left, right = left.astype(np.float64), right.astype(np.float64)
    return np.allclose(left, right, rtol=within, atol=within, equal_nan=True)


def test_every_case_computes_the_same_or_is_refused() -> None:
    compared = 0
    wrong = []
    for case in node_cases():
        try:
            model = canonical(ir.serde.deserialize_model(case.model))
            session = runtimes()["torch"].open(model, native=False)
        except (UnsupportedError, ShapeNeededError):
            continue
        with session:
            found = session.forward(case.feeds)
        compared += 1
        if list(found) != case.outputs or not all(map(_same, found.values(), case.expected)):
            wrong.append(case.name)
    assert wrong == []
    assert compared > LEAST
