"""Interleaved attention: MXNet's own gradients, its fused spelling, and arrays that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mxgradients import assert_gradients_are_mxnets, read_node

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes

RNG = np.random.default_rng(2)
THREE, TWO = RNG.standard_normal((4, 2, 18)), RNG.standard_normal((5, 2, 12))
WEIGHTS = RNG.random((6, 4, 4))


@pytest.mark.parametrize(
    ("op", "feeds", "heads"),
    [
        ("selfatt_qk", {"qkv": THREE}, 3),
        ("selfatt_valatt", {"qkv": THREE, "weights": WEIGHTS}, 3),
        ("encdec_qk", {"q": RNG.standard_normal((3, 2, 6)), "kv": TWO}, 2),
        ("encdec_valatt", {"kv": TWO, "weights": RNG.random((4, 3, 5))}, 2),
    ],
)
def test_the_gradients_are_mxnets(op: str, feeds: dict[str, Any], heads: int) -> None:
    name = f"_contrib_interleaved_matmul_{op}"
    assert_gradients_are_mxnets(name, feeds, {"heads": heads}, dtype="float32", tol=1e-6)


@pytest.mark.parametrize(("part", "feeds"), [("qk", {"x": THREE}), ("valatt", {"x": THREE, "weights": WEIGHTS})])
def test_what_onednn_fused_reads_as_the_operator(part: str, feeds: dict[str, Any]) -> None:
    results = []
    for op in (f"_contrib_interleaved_matmul_selfatt_{part}", f"_sg_mkldnn_selfatt_{part}"):
        with runtimes()["reference"].open(read_node(op, feeds, {"heads": 3})) as session:
            results.append(session.forward({name: array.astype(np.float32) for name, array in feeds.items()}))
    np.testing.assert_array_equal(results[0]["node_output"], results[1]["node_output"])


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="heads=4 does not fit the 18 features"):
        read_node("_contrib_interleaved_matmul_selfatt_qk", {"x": THREE}, {"heads": 4})
