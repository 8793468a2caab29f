"""ONNX Runtime's older spellings compute the same as the operators that ONNX took up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contribruns import assert_expanded_alike, contrib_model, expanded, run_expanded

RNG = np.random.default_rng(17)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


BOXES = np.array([[0.1, 0.2, 0.8, 0.9], [-0.2, 0.0, 1.0, 1.3], [0.9, 0.7, 0.1, 0.2]], np.float32)
IMAGES, CROP = np.array([1, 0, 1], np.int32), np.array([3, 4], np.int32)
GRID = RNG.uniform(-1.2, 1.2, (2, 3, 4, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "const"),
    [
        ("Trilu", [floats(2, 3, 4)], {}, ()),
        ("Trilu", [floats(3, 4), np.array(1)], {"upper": 0}, (1,)),
        ("GatherND", [floats(3, 4, 2), np.array([[0, 1], [2, 3]], np.int32)], {}, (1,)),
        ("Inverse", [floats(2, 3, 3)], {}, ()),
        ("Pad", [floats(2, 3), np.array([[0, 1, 2, 0]]), np.array([0.5], np.float32)], {}, (1, 2)),
        ("Pad", [floats(2, 3), np.array([0, 1, 1, 0])], {"mode": "edge"}, (1,)),
        ("Range", [np.array([1.0], np.float32), np.array([4.0], np.float32)], {}, (0, 1)),
        ("ExpandDims", [floats(2, 3), np.array(-1, np.int32)], {}, (1,)),
        ("GridSample", [floats(2, 3, 5, 6), GRID], {}, ()),
        ("GridSample", [floats(2, 3, 5, 6), GRID], {"mode": "bicubic", "padding_mode": "border"}, ()),
        ("CropAndResize", [floats(2, 3, 5, 6), BOXES, IMAGES, CROP], {}, (3,)),
        ("CropAndResize", [floats(2, 3, 5, 6), BOXES, IMAGES, CROP], {"extrapolation_value": 0.5}, (2, 3)),
        ("CDist", [floats(3, 4), floats(5, 4)], {"metric": "euclidean"}, ()),
        ("CDist", [floats(3, 4), floats(5, 4)], {}, (1,)),
    ],
)
def test_older_spellings(op: str, inputs: list[np.ndarray], attrs: dict[str, Any], const: tuple[int, ...]) -> None:
    assert_expanded_alike(op, inputs, attrs, const=const, tol=2e-5, on=("ort", "torch"))


@pytest.mark.parametrize("op", ["ComplexMul", "ComplexMulConj"])
def test_complex_products(op: str) -> None:
    """ONNX Runtime has kernels on GPUs only."""
    left, right = floats(2, 3, 2), floats(2, 3, 2)
    model, feeds = contrib_model(op, [left, right])
    (found,) = run_expanded(expanded(model), feeds, "torch").values()
    sides = [side[..., 0] + 1j * side[..., 1] for side in (left, right)]
    product = sides[0] * (sides[1].conj() if op.endswith("Conj") else sides[1])
    np.testing.assert_allclose(found, np.stack([product.real, product.imag], -1), atol=1e-6)


def test_sums_and_products_of_integers() -> None:
    """ONNX Runtime has no kernels of them on CPUs."""
    numbers = RNG.integers(-128, 128, (3, 4)).astype(np.int8)
    model, feeds = contrib_model("ReduceSumInteger", [numbers], {"axes": [1], "keepdims": 0}, outputs=(np.int32,))
    (found,) = run_expanded(expanded(model), feeds, "ort").values()
    np.testing.assert_array_equal(found, numbers.sum(1, dtype=np.int32))
    wide = [RNG.integers(-999, 999, shape).astype(np.int16) for shape in ((2, 3), (3, 4))]
    model, feeds = contrib_model("MatMulInteger16", wide, outputs=(np.int32,))
    (found,) = run_expanded(expanded(model), feeds, "ort").values()
    np.testing.assert_array_equal(found, wide[0].astype(np.int32) @ wide[1].astype(np.int32))


def test_an_embedding_of_torch() -> None:
    """ONNX Runtime has no kernel of it on CPUs."""
    table, rows = floats(5, 3), np.array([[0, 4], [2, 2]])
    model, feeds = contrib_model("TorchEmbedding", [table, rows], const=(0,))
    (found,) = run_expanded(expanded(model), feeds, "torch").values()
    np.testing.assert_array_equal(found, table[rows])


def test_unique_values_in_the_order_of_their_occurrence() -> None:
    x = np.array([2.0, 1.0, 1.0, 3.0, 4.0, 3.0], np.float32)
    assert_expanded_alike("Unique", [x], outputs=(np.float32, np.int64, np.int64), on=("ort", "torch"))
