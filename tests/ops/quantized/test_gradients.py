"""Gradients of quantized numbers pass to scales alone, as torch has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.passes.gradient.model import gradient_model

if TYPE_CHECKING:
    from collections.abc import Mapping

RNG = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def codes(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def model(text: str) -> ir.Model:
    head = '<ir_version: 10, opset_import: ["": 23]> g '
    return canonical(ir.serde.deserialize_model(onnx.parser.parse_model(head + text)))


LIKE_TORCH: dict[str, tuple[str, Mapping[str, np.ndarray]]] = {
    "scales of columns": (
        "(uint8[N,M] x, float[M] s, uint8[M] z) => (float[N,M] y) { y = DequantizeLinear(x, s, z) }",
        {"x": codes(4, 3), "s": floats(3), "z": codes(3)},
    ),
    "scales of rows": (
        "(uint8[N,M] x, float[N] s) => (float[N,M] y) { y = DequantizeLinear<axis=0>(x, s) }",
        {"x": codes(4, 3), "s": floats(4)},
    ),
    "scales of blocks, the last one shorter": (
        (
            "(uint8[N,5] x, float[N,3] s, uint8[N,3] z) => (float[N,5] y) "
            "{ y = DequantizeLinear<axis=1, block_size=2>(x, s, z) }"
        ),
        {"x": codes(4, 5), "s": floats(4, 3), "z": codes(4, 3)},
    ),
    "there and back": (
        "(float[N,M] x, float s) => (float[N,M] y) { q = QuantizeLinear(x, s) y = DequantizeLinear(q, s) }",
        {"x": floats(4, 3), "s": np.array(0.25, np.float32)},
    ),
    "there and back in steps of their own range": (
        "(float[N,M] x) => (float[N,M] y) { q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z) }",
        {"x": floats(4, 3)},
    ),
    "the range of positive numbers": (
        "(float[N,M] x) => (float s) { q, s, z = DynamicQuantizeLinear(x) }",
        {"x": np.abs(floats(4, 3)).repeat(2, 1)},
    ),
}


@pytest.mark.parametrize("name", LIKE_TORCH)
def test_gradients_are_torchs(name: str) -> None:
    text, feeds = LIKE_TORCH[name]
    found = {}
    for runtime in ("ort", "torch"):
        with runtimes()[runtime].open(model(text), native=False) as session:
            outputs = session.forward(feeds)
            seeds = {
                key: np.ones_like(array) + np.arange(array.size).reshape(array.shape) for key, array in outputs.items()
            }
            seeds = {key: seed.astype(np.float32) for key, seed in seeds.items()}
            found[runtime] = session.backward(feeds, seeds)
    assert any(gradient.any() for gradient in found["torch"].values())
    for key, expected in found["torch"].items():
        np.testing.assert_allclose(found["ort"][key], expected, atol=1e-5 * np.abs(expected).max(initial=1), rtol=0)


def test_numbers_in_eight_bits_hold_no_gradient() -> None:
    text = (
        "(float[N] x, float s, float8e4m3fn z) => (float[N] y) "
        "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }"
    )
    with pytest.raises(UnsupportedError, match="hold no gradient"):
        gradient_model(model(text), ["x"])
