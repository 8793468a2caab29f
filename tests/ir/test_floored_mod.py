"""Floored remainders of floats, new in opset 28, are said by truncated ones, with the same numbers."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import OPSET, canonical

NUMBERS = [0.0, -0.0, 1.0, -1.0, 2.5, -7.25, 3.0, -3.0, 1e-3, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("runtime", ["ort", "reference", "torch"])
@pytest.mark.parametrize("dtype", ["float", "float16", "double"])
def test_remainders_have_the_sign_of_the_divisor(dtype, runtime):
    text = (
        f'<ir_version: 13, opset_import: ["": 28]> g ({dtype}[n] x, {dtype}[n] y) => ({dtype}[n] z) {{ z = Mod(x, y) }}'
    )
    model = canonical(ir.from_onnx_text(text))
    assert model.opset_imports[""] == OPSET
    pairs = np.array(list(itertools.product(NUMBERS, NUMBERS)), model.graph.inputs[0].dtype.numpy()).T
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.mod(*pairs)
    with runtimes()[runtime].open(model) as session:
        np.testing.assert_array_equal(session.forward({"x": pairs[0], "y": pairs[1]})["z"], expected)
