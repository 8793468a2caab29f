"""ONNX's own suite of single nodes computes as torch source what the suite says."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx.backend.test.loader import load_model_tests

from graphkit.errors import ShapeNeededError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import OLDEST, OPSET, canonical

pytest.importorskip("torch")

RANDOM = re.compile("bernoulli|training_dropout")
"""Cases whose output is random, or follows training mode, which a canonical model leaves to the session."""
LEAST = 1150
"""Cases that have to be compared; the others are of operators that are refused, mostly for strings and sequences."""


def _same(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind not in "fcV":
        return np.array_equal(left, right)
    within = 1e-2 if left.dtype.itemsize < 4 else 1e-4
    if left.dtype.kind != "c":
        left, right = left.astype(np.float64), right.astype(np.float64)
    return np.allclose(left, right, rtol=within, atol=within, equal_nan=True)


def test_every_case_computes_the_same_or_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # divisions by zero inside the suite's own reference
        cases = load_model_tests(kind="node")
    compared = 0
    wrong = []
    for case in cases:
        inputs, outputs = case.data_sets[0] if case.data_sets else ((), ())
        opset = next((entry.version for entry in case.model.opset_import if not entry.domain), OPSET)
        tensors = all(isinstance(array, np.ndarray) or np.isscalar(array) for array in (*inputs, *outputs))
        if not tensors or len(inputs) != len(case.model.graph.input) or RANDOM.search(case.name) or opset < OLDEST:
            continue
        expected = [np.asarray(array) for array in outputs]
        feeds = {value.name: np.asarray(array) for value, array in zip(case.model.graph.input, inputs, strict=True)}
        try:
            model = canonical(ir.serde.deserialize_model(case.model))
            session = runtimes()["torch"].open(model, native=False)
        except (UnsupportedError, ShapeNeededError):
            continue
        with session:
            found = session.forward(feeds)
        compared += 1
        names = [value.name for value in case.model.graph.output]
        if list(found) != names or not all(map(_same, found.values(), expected)):
            wrong.append(case.name)
    assert wrong == []
    assert compared > LEAST
