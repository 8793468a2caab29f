"""What ONNX files compute decompositions with is as stable as LAPACK: large, nearly singular and singular matrices."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical

pytest.importorskip("onnxruntime")

SIZE = 24
ANY = np.random.default_rng(1).standard_normal((SIZE, SIZE))
HILBERT = 1 / (np.arange(8)[:, None] + np.arange(8) + 1.0)


def run(op: str, data: np.ndarray, outputs: int = 1) -> list[np.ndarray]:
    """The outputs of one of graphkit's own operators in ONNX Runtime, in float64."""
    dims, names = ", ".join(map(str, data.shape)), [f"y{number}" for number in range(outputs)]
    heads = ", ".join(f"double {name}" for name in names)
    text = f'<ir_version: 11, opset_import: ["": 23, "graphkit": 1]> m (double[{dims}] x) => ({heads})'
    model = canonical(ir.from_onnx_text(f"{text} {{ {', '.join(names)} = graphkit.{op}(x) }}"))
    with runtimes()["ort"].open(model) as session:
        return list(session.forward({"x": data}).values())


def test_large_matrices_keep_their_digits() -> None:
    positive = ANY @ ANY.T + np.eye(SIZE)
    np.testing.assert_allclose(run("Cholesky", positive)[0], np.linalg.cholesky(positive), atol=1e-12)
    np.testing.assert_allclose(run("Inverse", ANY)[0] @ ANY, np.eye(SIZE), atol=1e-10)
    values, vectors = run("Eigh", positive, 2)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(positive), rtol=1e-11)
    np.testing.assert_allclose(vectors * values @ vectors.T, positive, atol=1e-10)
    left, singular, right = run("Svd", ANY[:, :9], 3)
    np.testing.assert_allclose(singular, np.linalg.svd(ANY[:, :9])[1], rtol=1e-12)
    np.testing.assert_allclose(left * singular @ right, ANY[:, :9], atol=1e-12)
    for found, expected in zip(run("Qr", ANY, 2), np.linalg.qr(ANY), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_small_singular_values_keep_more_digits_than_squares_would_have() -> None:
    singular = run("Svd", HILBERT, 3)[1]
    np.testing.assert_allclose(singular, np.linalg.svd(HILBERT)[1], rtol=1e-7)


def test_equal_eigenvalues_have_orthogonal_vectors() -> None:
    values, vectors = run("Eigh", np.diag([2.0, 1, 2, 1]), 2)
    np.testing.assert_array_equal(values, [1, 1, 2, 2])
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(4), atol=1e-15)


def test_singular_matrices_have_no_logarithm_and_a_product_all_the_same() -> None:
    sign, logarithm = run("SlogDet", np.array([[1.0, 2], [2, 4]]), 2)
    assert sign == 0
    assert logarithm == -np.inf
    left, singular, right = run("Svd", np.ones((3, 4)), 3)
    np.testing.assert_allclose(singular, [12**0.5, 0, 0], atol=1e-15)
    np.testing.assert_allclose(left * singular @ right, np.ones((3, 4)), atol=1e-14)


def test_pivots_are_chosen_by_size() -> None:
    tiny = np.array([[1e-18, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(run("Inverse", tiny)[0], [[-1, 1], [1, 0]], atol=1e-15)
