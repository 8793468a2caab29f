"""ONNX Runtime's fused normalizations compute the same out of ONNX's own operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contribruns import assert_expanded_alike, contrib_model, expanded, run_expanded

RNG = np.random.default_rng(7)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


X, SKIP, GAMMA, BETA, BIAS = floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8), floats(8)
WORDS, SEGMENTS = RNG.integers(0, 9, (2, 5)).astype(np.int32), RNG.integers(0, 2, (2, 5)).astype(np.int32)
TABLES = [floats(9, 8), floats(7, 8), floats(2, 8), GAMMA, BETA]
MASK = (np.arange(5) < np.array([[3], [5]])).astype(np.int32)


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "outputs"),
    [
        ("SkipLayerNormalization", [X, SKIP, GAMMA, BETA], {}, 1),
        ("SkipLayerNormalization", [X, SKIP, GAMMA, BETA, BIAS], {"epsilon": 1e-5}, 4),
        ("SkipLayerNormalization", [X, SKIP[:1], GAMMA], {"epsilon": 1e-5}, 1),
        ("SkipLayerNormalization", [X, SKIP[0], GAMMA, BETA], {"epsilon": 1e-5}, 1),
        ("SkipSimplifiedLayerNormalization", [X, SKIP, GAMMA], {"epsilon": 1e-6}, 1),
        ("SkipSimplifiedLayerNormalization", [X, SKIP, GAMMA, BIAS], {"epsilon": 1e-6}, 4),
    ],
)
def test_layer_normalizations(op: str, inputs: list[np.ndarray], attrs: dict[str, Any], outputs: int) -> None:
    given = (np.float32,) if outputs == 1 else (np.float32, None, None, np.float32)
    assert_expanded_alike(op, inputs, attrs, outputs=given, const=range(2, len(inputs)))


def test_rms_normalization_of_the_default_domain() -> None:
    attrs = {"axis": -1, "epsilon": 1e-6, "stash_type": 1}
    assert_expanded_alike("SimplifiedLayerNormalization", [X, GAMMA], attrs, domain="", const=(1,))


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([WORDS, SEGMENTS, *TABLES], (np.float32, np.int32)),
        ([WORDS, SEGMENTS, *TABLES, MASK], (np.float32, np.int32, np.float32)),
        ([WORDS, None, *TABLES[:2], None, GAMMA, BETA], (np.float32, np.int32)),
        ([WORDS, SEGMENTS, *TABLES, None, SEGMENTS + 2], (np.float32, np.int32)),
    ],
)
def test_embeddings(inputs: list[np.ndarray | None], outputs: tuple[type, ...]) -> None:
    assert_expanded_alike("EmbedLayerNormalization", inputs, outputs=outputs, const=range(2, 7))


@pytest.mark.parametrize("masked", [False, True])
def test_quantized_embeddings(masked: bool) -> None:
    tables = [RNG.integers(0, 256, (rows, 8)).astype(np.uint8) for rows in (9, 7, 2)]
    tables += [RNG.integers(0, 256, 8).astype(np.uint8) for _ in range(2)]
    scales = [np.array(0.01 * (1 + k), np.float32) for k in range(5)]
    zeros = [np.array(100 + k, np.uint8) for k in range(5)]
    inputs = [WORDS, SEGMENTS, *tables, MASK if masked else None, *scales, *zeros]
    assert_expanded_alike(
        "QEmbedLayerNormalization",
        inputs,
        {"epsilon": 1e-6},
        outputs=(np.float32, np.int32),
        const=[*range(2, 7), *range(8, 18)],
    )


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("skip", ["none", "planes", "rows"])
def test_group_norm(last: int, skip: str) -> None:
    """ONNX Runtime has kernels on GPUs only; the right numbers are computed here."""
    x, gamma, beta, bias = floats(2, 6, 3, 4), floats(6), floats(6), floats(6)
    total = x.astype(np.float64)
    inputs = [x.transpose(0, 2, 3, 1) if last else x, gamma, beta]
    if skip != "none":
        added = floats(*x.shape) if skip == "planes" else floats(2, 6)
        inputs += [added.transpose(0, 2, 3, 1) if last and skip == "planes" else added, bias]
        total = total + (added if skip == "planes" else added[:, :, None, None]) + bias[:, None, None]
    groups = total.reshape(2, 3, -1)
    unit = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-5)
    right = unit.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None]
    right = right / (1 + np.exp(-right))
    op = "GroupNorm" if skip == "none" else "SkipGroupNorm"
    attrs = {"groups": 3, "activation": 1, "channels_last": last}
    outputs = (np.float32,) if skip == "none" else (np.float32, np.float32)
    model, feeds = contrib_model(op, [np.ascontiguousarray(a) for a in inputs], attrs, outputs=outputs, const=(1, 2))
    found = run_expanded(expanded(model), feeds, "ort")
    np.testing.assert_allclose(found["y0"], right.transpose(0, 2, 3, 1) if last else right, atol=2e-5)
    if skip != "none":
        np.testing.assert_allclose(found["y1"], total.transpose(0, 2, 3, 1) if last else total, atol=1e-5)
