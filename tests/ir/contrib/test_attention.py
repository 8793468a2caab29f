"""ONNX Runtime's attentions compute the same out of ONNX's own operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contribruns import assert_expanded_alike, contrib_model, expanded, kernel, run_expanded

RNG = np.random.default_rng(11)
BATCH, POSITIONS, HEADS, SIZE = 2, 5, 2, 4
WIDTH = HEADS * SIZE


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


X, WEIGHTS, BIAS = floats(BATCH, POSITIONS, 6), floats(6, 3 * WIDTH), floats(3 * WIDTH)
LENGTHS = np.array([3, 5], np.int32)
WINDOWS = np.array([4, 5, 1, 0], np.int32)
MASK = (np.arange(POSITIONS) < LENGTHS[:, None]).astype(np.int32)
LEFT = MASK[:, ::-1].copy()
PLANES = (RNG.random((BATCH, POSITIONS, POSITIONS)) < 0.7).astype(np.int32)
PLANES[:, :, 0] = 1
SCORES = floats(1, HEADS, POSITIONS, POSITIONS)
PAST = floats(2, BATCH, HEADS, 3, SIZE)


@pytest.mark.parametrize(
    ("inputs", "attrs"),
    [
        ([X, WEIGHTS, BIAS], {}),
        ([X, WEIGHTS, BIAS], {"scale": 0.3}),
        ([X, WEIGHTS, BIAS, MASK], {}),
        ([X, WEIGHTS, BIAS, MASK], {"mask_filter_value": -2.0}),
        ([X, WEIGHTS, BIAS, LEFT], {"unidirectional": 1}),
        ([X, WEIGHTS, BIAS, LENGTHS], {}),
        ([X, WEIGHTS, BIAS, WINDOWS], {}),
        ([X, WEIGHTS, BIAS, PLANES], {}),
        ([X, WEIGHTS, BIAS], {"unidirectional": 1}),
        ([X, WEIGHTS, BIAS, None, None, SCORES], {}),
        ([X, WEIGHTS, BIAS, MASK, None, SCORES], {"unidirectional": 1}),
        ([X, floats(6, 2 * WIDTH + 6), floats(2 * WIDTH + 6)], {"qkv_hidden_sizes": [WIDTH, WIDTH, 6]}),
    ],
)
def test_attention(inputs: list[np.ndarray | None], attrs: dict[str, Any]) -> None:
    assert_expanded_alike("Attention", inputs, {"num_heads": HEADS, **attrs}, const=(1, 2))


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("past", [None, PAST])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_with_a_cache(causal: int, past: np.ndarray | None, masked: bool) -> None:
    total = POSITIONS + (0 if past is None else PAST.shape[3])
    mask = (np.arange(total) >= np.array([[2], [0]])).astype(np.int32) if masked else None
    attrs = {"num_heads": HEADS, "unidirectional": causal}
    outputs = (np.float32, np.float32)
    assert_expanded_alike("Attention", [X, WEIGHTS, BIAS, mask, past], attrs, outputs=outputs, const=(1, 2))


QUERY, KEY, VALUE = floats(BATCH, POSITIONS, WIDTH), floats(BATCH, 6, WIDTH), floats(BATCH, 6, 6)
BY_HEAD = floats(BATCH, HEADS, 6, SIZE), floats(BATCH, HEADS, 6, SIZE)
CACHE = floats(BATCH, HEADS, 3, SIZE), floats(BATCH, HEADS, 3, SIZE)
OWN = floats(BATCH, POSITIONS, WIDTH)


@pytest.mark.parametrize(
    ("inputs", "attrs", "outputs"),
    [
        ([QUERY, KEY, VALUE], {}, 1),
        ([QUERY, KEY, VALUE, floats(2 * WIDTH + 6)], {"scale": 0.2}, 1),
        ([QUERY, *BY_HEAD], {}, 1),
        ([QUERY, *BY_HEAD, floats(3 * WIDTH)], {}, 1),
        ([QUERY, KEY, VALUE, None, (np.arange(6) < [[4], [6]]).astype(np.int32)], {}, 1),
        ([QUERY, KEY, VALUE, None, None, floats(1, 1, POSITIONS, 6)], {}, 1),
        ([QUERY, OWN, OWN], {"unidirectional": 1}, 3),
        ([QUERY, OWN, OWN, None, None, None, *CACHE], {}, 3),
        ([QUERY, OWN, OWN, floats(3 * WIDTH), None, None, *CACHE], {"unidirectional": 1}, 3),
    ],
)
def test_multi_head_attention(inputs: list[np.ndarray | None], attrs: dict[str, Any], outputs: int) -> None:
    assert_expanded_alike(
        "MultiHeadAttention", inputs, {"num_heads": HEADS, **attrs}, outputs=(np.float32,) * outputs, const=(3,)
    )


@pytest.mark.parametrize("parts", [2, 3])
def test_packed_heads_are_those_apart(parts: int) -> None:
    """ONNX Runtime has a kernel of packed ones on GPUs only."""
    packed = floats(BATCH, POSITIONS, HEADS, parts, SIZE)
    apart = [packed[:, :, :, part].reshape(BATCH, POSITIONS, WIDTH) for part in range(parts)]
    inputs = [packed] if parts == 3 else [QUERY, packed]
    model, feeds = contrib_model("MultiHeadAttention", inputs, {"num_heads": HEADS})
    plain, plain_feeds = contrib_model("MultiHeadAttention", [*inputs[:-1], *apart], {"num_heads": HEADS})
    (right,) = kernel(plain, plain_feeds).values()
    (found,) = run_expanded(expanded(model), feeds, "ort").values()
    np.testing.assert_allclose(found, right, atol=1e-6)


def test_what_cannot_be_expressed_stays_and_says_why() -> None:
    from graphkit.errors import UnsupportedError
    from graphkit.frameworks.torch.source.program import to_program
    from graphkit.ir.canonical import canonical

    model, _ = contrib_model("Attention", [X, WEIGHTS, BIAS], {"num_heads": HEADS, "do_rotary": 1}, const=(1, 2))
    canonical(model)
    assert [node.op_type for node in model.graph] == ["Attention"]
    with pytest.raises(UnsupportedError, match="do_rotary=1 is not expressed"):
        to_program(model)


COSINES, SINES = floats(9, 4), floats(9, 4)
PLACES = RNG.integers(0, 9, (BATCH, POSITIONS)).astype(np.int64)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize(
    ("x", "places", "attrs", "size"),
    [
        (floats(BATCH, POSITIONS, 16), PLACES, {}, 4),
        (floats(BATCH, POSITIONS, 16), np.array([2], np.int64), {}, 4),
        (floats(BATCH, 3, POSITIONS, 8), PLACES, {}, 4),
        (floats(BATCH, POSITIONS, 16), PLACES, {"num_heads": 2, "rotary_embedding_dim": 4}, 2),
    ],
)
def test_rotary_embedding(
    interleaved: int, x: np.ndarray, places: np.ndarray, attrs: dict[str, Any], size: int
) -> None:
    inputs = [x, places, COSINES[:, :size].copy(), SINES[:, :size].copy()]
    assert_expanded_alike("RotaryEmbedding", inputs, {"interleaved": interleaved, **attrs}, const=(2, 3))


def test_an_expanded_attention_is_one_of_onnx() -> None:
    model, _ = contrib_model("Attention", [X, WEIGHTS, BIAS, MASK], {"num_heads": HEADS}, const=(1, 2))
    assert "Attention" in [node.op_type for node in expanded(model).graph]
