"""ONNX Runtime's GroupQueryAttention computes the same out of ONNX's own operators, with and without earlier keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contribruns import contrib_model, expanded, kernel, run_expanded

RNG = np.random.default_rng(23)
BATCH, HEADS, SHARED, SIZE = 2, 4, 2, 16


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


ANGLES = RNG.uniform(-1, 1, (32, SIZE // 2))
TABLES = [np.cos(ANGLES).astype(np.float32), np.sin(ANGLES).astype(np.float32)]


def case(positions: int, earlier: int, lengths: list[int], *, packed: bool = False, buffer: int = 0) -> list[Any]:
    """Inputs of a call with so many positions, earlier keys, and keys in all of each sequence."""
    wide = [floats(BATCH, positions, heads * SIZE) for heads in (HEADS, SHARED, SHARED)]
    data = [np.concatenate(wide, -1), None, None] if packed else wide
    cache = [floats(BATCH, SHARED, buffer or earlier, SIZE) for _ in range(2)]
    total = np.array(earlier + positions, np.int32)
    return [*data, *cache, np.array(lengths, np.int32) - 1, total]


@pytest.mark.parametrize(
    ("inputs", "attrs", "lengths"),
    [
        (case(5, 0, [5, 5]), {}, [5, 5]),
        (case(5, 0, [5, 5], packed=True), {"scale": 0.2}, [5, 5]),
        (case(5, 0, [3, 5]), {"do_rotary": 1}, [3, 5]),
        (case(5, 0, [5, 5]), {"local_window_size": 2}, [5, 5]),
        (case(5, 0, [5, 5]), {"softcap": 0.7}, [5, 5]),
        (case(1, 6, [7, 7]), {"do_rotary": 1, "rotary_interleaved": 1}, [7, 7]),
        (case(1, 6, [7, 7]), {"do_rotary": 1, "local_window_size": 3}, [7, 7]),
        (case(1, 6, [4, 7], packed=True), {"do_rotary": 1}, [4, 7]),
    ],
)
def test_group_query_attention(inputs: list[Any], attrs: dict[str, Any], lengths: list[int]) -> None:
    if attrs.get("do_rotary"):
        inputs = [*inputs, *TABLES]
    attrs = {"num_heads": HEADS, "kv_num_heads": SHARED, **attrs}
    model, feeds = contrib_model("GroupQueryAttention", inputs, attrs, outputs=(np.float32,) * 3, const=(7, 8))
    right = kernel(model, feeds)
    expanded(model)
    positions = inputs[0].shape[1]
    for runtime in ("ort", "torch"):
        found = run_expanded(model, feeds, runtime)
        for batch, length in enumerate(lengths):
            own = min(length, positions)
            np.testing.assert_allclose(found["y0"][batch, :own], right["y0"][batch, :own], atol=2e-6)
            for name in ("y1", "y2"):
                assert found[name].shape == right[name].shape
                np.testing.assert_allclose(found[name][batch, :, :length], right[name][batch, :, :length], atol=2e-6)
