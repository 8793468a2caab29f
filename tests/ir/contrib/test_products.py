"""ONNX Runtime's fused products and convolutions compute the same out of ONNX's own operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contribruns import assert_expanded_alike, contrib_model, expanded, kernel, run_expanded

RNG = np.random.default_rng(5)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


IMAGE, FILTERS, BIAS = floats(2, 3, 6, 7), floats(4, 3, 3, 3), floats(4)


@pytest.mark.parametrize(
    ("op", "inputs", "attrs"),
    [
        ("FusedMatMul", [floats(3, 4), floats(4, 5)], {}),
        ("FusedMatMul", [floats(2, 3, 4), floats(2, 5, 4)], {"transB": 1, "alpha": 0.3}),
        ("FusedMatMul", [floats(2, 4, 3), floats(2, 4, 5)], {"transA": 1}),
        ("FusedMatMul", [floats(3, 2, 4), floats(2, 4, 5)], {"transBatchA": 1}),
        ("FusedMatMul", [floats(2, 3, 5, 4), floats(4, 2, 3, 5)], {"transBatchB": 1}),
        ("FusedMatMul", [floats(2, 3, 4, 5), floats(6, 2, 3, 5)], {"transBatchB": 1, "transB": 1}),
        ("TransposeMatMul", [floats(4, 3), floats(5, 4)], {"transA": 1, "transB": 1, "alpha": 2.0}),
        ("FusedGemm", [floats(3, 4), floats(4, 5), floats(5)], {"activation": "Relu", "alpha": 0.5}),
        (
            "FusedGemm",
            [floats(3, 4), floats(4, 5), floats(5)],
            {"activation": "LeakyRelu", "activation_alpha": 0.3, "beta": 0.5},
        ),
        ("FusedConv", [IMAGE, FILTERS, BIAS], {"activation": "Relu", "pads": [1, 1, 1, 1]}),
        ("FusedConv", [IMAGE, FILTERS], {"activation": "LeakyRelu", "activation_params": [0.3], "strides": [2, 1]}),
        ("FusedConv", [IMAGE, FILTERS, BIAS], {"activation": "Clip", "activation_params": [-1.0, 2.0]}),
        ("FusedConv", [IMAGE, FILTERS, BIAS], {"activation": "HardSigmoid", "activation_params": [0.3, 0.4]}),
        ("FusedConv", [IMAGE, FILTERS, BIAS, floats(2, 4, 4, 5)], {"activation": "Tanh"}),
    ],
)
def test_products(op: str, inputs: list[np.ndarray], attrs: dict[str, Any]) -> None:
    assert_expanded_alike(op, inputs, attrs, const=range(1, len(inputs)) if "Conv" in op or "Gemm" in op else ())


def test_images_with_channels_last() -> None:
    """ONNX Runtime has no kernel of NhwcConv for floats on CPUs; its Conv computes the same of turned images."""
    turned = np.ascontiguousarray(IMAGE.transpose(0, 2, 3, 1))
    model, feeds = contrib_model("NhwcConv", [turned, FILTERS, BIAS], {"pads": [1, 0, 1, 0]}, const=(1, 2))
    (found,) = run_expanded(expanded(model), feeds, "ort").values()
    plain, plain_feeds = contrib_model("Conv", [IMAGE, FILTERS, BIAS], {"pads": [1, 0, 1, 0]}, const=(1, 2), domain="")
    (right,) = kernel(plain, plain_feeds).values()
    np.testing.assert_allclose(found, right.transpose(0, 2, 3, 1), atol=1e-5)


def test_pooling_with_channels_last() -> None:
    image = RNG.integers(0, 255, (2, 6, 7, 3)).astype(np.uint8)
    attrs = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    assert_expanded_alike("NhwcMaxPool", [image], attrs, outputs=(np.uint8,), on=("ort",))
