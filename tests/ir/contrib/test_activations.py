"""ONNX Runtime's fused activations compute the same out of ONNX's own operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from contribruns import assert_expanded_alike, contrib_model, expanded, run_expanded

RNG = np.random.default_rng(3)
X = RNG.standard_normal((2, 3, 8)).astype(np.float32) * 2
BIAS = RNG.standard_normal(8).astype(np.float32)
PLANES = RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("op", "inputs", "attrs"),
    [
        ("Gelu", [X], {}),
        ("BiasGelu", [X, BIAS], {}),
        ("FastGelu", [X], {}),
        ("FastGelu", [X, BIAS], {}),
        ("QuickGelu", [X], {}),
        ("QuickGelu", [X], {"alpha": 0.7}),
    ],
)
def test_activations(op: str, inputs: list[np.ndarray], attrs: dict[str, Any]) -> None:
    assert_expanded_alike(op, inputs, attrs)


@pytest.mark.parametrize(
    ("op", "inputs", "attrs"),
    [
        ("ScaledTanh", [X], {"alpha": 2.0, "beta": 0.3}),
        ("ParametricSoftplus", [X], {"alpha": 2.0, "beta": 0.3}),
        ("Affine", [X], {"alpha": 2.0, "beta": 0.3}),
        ("Scale", [X], {"scale": 0.3}),
        ("ImageScaler", [PLANES], {"scale": 0.3, "bias": [1.0, 2.0, 3.0]}),
    ],
)
def test_activations_that_onnx_dropped(op: str, inputs: list[np.ndarray], attrs: dict[str, Any]) -> None:
    assert_expanded_alike(op, inputs, attrs, domain="", opset=9)


@pytest.mark.parametrize(("bias", "inner", "axis"), [(PLANES[:, :1, :1], 1, 3), (PLANES[:1], 0, 2)])
def test_biased_softmax(bias: np.ndarray, inner: int, axis: int) -> None:
    """ONNX Runtime has a kernel on GPUs only."""
    model, feeds = contrib_model("BiasSoftmax", [PLANES, bias], {"axis": axis, "is_inner_broadcast": inner})
    (found,) = run_expanded(expanded(model), feeds, "ort").values()
    powers = np.exp(PLANES.astype(np.float64) + bias)
    right = powers / powers.sum(tuple(range(axis, 4)), keepdims=True)
    np.testing.assert_allclose(found, right, atol=1e-6)


def test_split_gelu_multiplies_the_halves() -> None:
    """ONNX Runtime has a kernel on GPUs only."""
    model, feeds = contrib_model("BiasSplitGelu", [X, BIAS])
    (found,) = run_expanded(expanded(model), feeds, "ort").values()
    left, right = np.split((X + BIAS).astype(np.float64), 2, axis=-1)
    gate = np.vectorize(math.erf)(right * math.sqrt(0.5))
    np.testing.assert_allclose(found, left * 0.5 * right * (1 + gate), rtol=0, atol=1e-5)


def test_bias_add_adds_both() -> None:
    """ONNX Runtime has a kernel on GPUs only."""
    model, feeds = contrib_model("BiasAdd", [X, BIAS, X])
    (found,) = run_expanded(expanded(model), feeds, "ort").values()
    np.testing.assert_allclose(found, X + BIAS + X, rtol=1e-6)


def test_bias_dropout_drops_nothing_in_inference() -> None:
    model, feeds = contrib_model("BiasDropout", [X, BIAS, X])
    (found,) = run_expanded(expanded(model), feeds, "torch").values()
    np.testing.assert_allclose(found, X + BIAS + X, rtol=1e-6)
