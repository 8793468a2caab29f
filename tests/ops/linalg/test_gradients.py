"""Gradients of linear algebra at a free batch size, against torch's."""

from __future__ import annotations

import numpy as np
import pytest
from opcases import Use, onnx_model
from torchgradients import assert_torch_gradients

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.own import DOMAIN
from graphkit.ops.index import index
from graphkit.ops.linalg.matrices import positive_definite, regular
from graphkit.ops.spec import Arr, Case, arr, given
from graphkit.passes.gradient.model import gradient_model

_FACTOR = np.random.default_rng(3).standard_normal((2, 4, 4)).astype(np.float32)
CASES = [
    ("Cholesky", Case("", (positive_definite(2, 5, 5),), dynamic=(0,))),
    ("Eigh", Case("", (given(_FACTOR + _FACTOR.swapaxes(1, 2), "float32"),), outputs=2, dynamic=(0,))),
    ("Svd", Case("tall", (arr(2, 5, 3),), outputs=3, dynamic=(0,))),
    ("Svd", Case("wide", (arr(2, 3, 4),), outputs=3, dynamic=(0,))),
    ("Qr", Case("wide", (arr(2, 3, 5),), outputs=2, dynamic=(0,))),
    ("Qr", Case("tall", (arr(2, 5, 3),), outputs=2, dynamic=(0,))),
    ("Inverse", Case("", (regular(2, 5, 5),), dynamic=(0,))),
    ("Solve", Case("", (regular(2, 4, 4), arr(2, 4, 2)), dynamic=(0, 1))),
    ("SlogDet", Case("", (regular(2, 4, 4),), outputs=2, dynamic=(0,))),
    ("TriangularSolve", Case("", (regular(2, 4, 4), arr(2, 3, 4)), {"left": 0}, dynamic=(0, 1))),
    *(("Det", Case(f"of {size}", (regular(2, size, size),), dynamic=(0,))) for size in range(1, 6)),
]


def use_of(op_type: str, case: Case) -> Use:
    return Use(index().by_onnx[("" if op_type == "Det" else DOMAIN, op_type)], case)


@pytest.mark.parametrize(("op_type", "case"), CASES, ids=[f"{name} {case.name}".strip() for name, case in CASES])
def test_gradients_are_torchs(op_type: str, case: Case) -> None:
    use = use_of(op_type, case)
    model, feeds = onnx_model(use)
    assert_torch_gradients(canonical(model), {name: array.astype(np.float64) for name, array in feeds.items()})


def gradients(op_type: str, matrix: Arr, seeds: dict[str, np.ndarray], outputs: int = 1) -> np.ndarray:
    model, feeds = onnx_model(use_of(op_type, Case("", (matrix,), outputs=outputs)), "float64")
    with runtimes()["reference"].open(canonical(model)) as session:
        return session.backward(feeds, seeds)["x0"]


def test_the_cofactors_of_a_singular_matrix_are_its_gradient() -> None:
    matrix = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    found = gradients("Det", given(matrix, "float32"), {"y0": np.asarray(1.0)})
    np.testing.assert_allclose(found, [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]], atol=1e-12)


def test_the_gradient_of_a_larger_singular_matrix_is_not_known() -> None:
    found = gradients("Det", given(np.zeros((4, 4)), "float32"), {"y0": np.asarray(1.0)})
    assert np.isnan(found).all()


def test_eigenvalues_alone_may_be_equal() -> None:
    seeds = {"y0": np.array([1.0, 1.0, 1.0]), "y1": np.zeros((3, 3))}
    model, _ = onnx_model(use_of("Eigh", Case("", (given(np.eye(3), "float32"),), outputs=2)), "float64")
    wide = gradient_model(canonical(model), outputs=["y0"])
    with runtimes()["reference"].open(wide) as session:
        found = session.forward({"x0": np.eye(3), "y0.grad": seeds["y0"]})["x0.grad"]
    np.testing.assert_allclose(found, np.eye(3), atol=1e-12)


def test_eigenvectors_of_any_matrix_have_no_gradient_here() -> None:
    model, _ = onnx_model(use_of("Eig", Case("", (regular(3, 3),), outputs=2)))
    with pytest.raises(UnsupportedError, match="Eig"):
        gradient_model(canonical(model))
