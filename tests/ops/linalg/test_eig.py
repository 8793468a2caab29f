"""Eigenvectors of any matrices: torch finds MXNet's, and ONNX has no operators to find them with."""

from __future__ import annotations

import numpy as np
import pytest
from mxnodes import read_node

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.onnx.proto import weightless_proto

MATRICES = np.array([[[1, 2, 0], [3, 4, 1], [0, 1, -2]], [[5, -1, 2], [0.5, 1, 0], [0, 0.2, 3]]], np.float64)


def torch_and_mxnet(op: str, data: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    model = read_node(op, [data.shape], {}, "float64")
    with runtimes()["torch"].open(model) as torch, runtimes()["mxnet"].open(model, native=False) as mxnet:
        return torch.forward({"x0": data}), mxnet.forward({"x0": data})


@pytest.mark.parametrize("op", ["_npi_eig", "_npi_eigvals"])
@pytest.mark.parametrize("data", [MATRICES, MATRICES[0]], ids=["batch", "matrix"])
def test_torch_finds_the_real_eigenvectors_that_mxnet_does(op: str, data: np.ndarray) -> None:
    found, expected = torch_and_mxnet(op, data)
    assert list(found) == list(expected)
    for name, right in expected.items():
        np.testing.assert_allclose(found[name], right, rtol=1e-9, atol=1e-12)


def test_complex_eigenvalues_which_mxnet_refuses_are_nan() -> None:
    model = read_node("_npi_eig", [(3, 3)], {}, "float64")
    with runtimes()["torch"].open(model) as session:
        values, vectors = session.forward({"x0": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 2]])}).values()
    np.testing.assert_array_equal(np.sort(np.isnan(values)), [False, True, True])
    assert values[~np.isnan(values)] == 2
    np.testing.assert_array_equal(np.isnan(vectors).all(axis=0), np.isnan(values))


def test_onnx_has_no_operators_for_them() -> None:
    with pytest.raises(UnsupportedError, match=r"Eig × 1 \(ONNX has no operators to compute it with"):
        weightless_proto(read_node("_npi_eig", [(3, 3)], {}))
