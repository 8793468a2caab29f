"""ONNX Runtime runs models without the optimisations that change their results."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.frameworks.base import runtimes

pytest.importorskip("onnxruntime")


def test_zeros_around_a_max_pooling_are_numbers() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]> g (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] y) '
        "<int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}> "
        "{ a = Pad (x, p) y = MaxPool <kernel_shape = [3, 3]> (a) }"
    )
    with runtimes()["ort"].open(ir.from_onnx_text(text)) as session:
        (found,) = session.forward({"x": np.full((1, 1, 4, 4), -1, np.float32)}).values()
    np.testing.assert_array_equal(found[0, 0], [[0, 0, 0, 0], [0, -1, -1, 0], [0, -1, -1, 0], [0, 0, 0, 0]])


def test_factors_of_products_are_doubles_where_the_product_is() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]> g (double[2, 2] x) => (double[2, 2] y) '
        "<double s = {0.7}> { a = Mul (x, s) t = Transpose <perm = [1, 0]> (a) y = MatMul (a, t) }"
    )
    x = np.array([[1.0, 2.0], [3.0, 5.0]])
    with runtimes()["ort"].open(ir.from_onnx_text(text)) as session:
        (found,) = session.forward({"x": x}).values()
    np.testing.assert_allclose(found, (0.7 * x) @ (0.7 * x).T, rtol=1e-14)
