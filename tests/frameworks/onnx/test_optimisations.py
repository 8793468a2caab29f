"""ONNX Runtime runs models without optimisations that change results, and other nodes for those that it aborts over."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical

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


@pytest.mark.parametrize("batch", ["2", '"n"'])
@pytest.mark.parametrize(
    ("numbers", "inputs", "axes"),
    [("int64[2] s = {5, 4}", "t, , , s", "2, 3"), ("float[2] s = {0.5, 0.5}", "t, , s", "-2, -1")],
)
def test_resizing_between_transpositions_keeps_its_axes(batch: str, numbers: str, inputs: str, axes: str) -> None:
    text = (
        f'<ir_version: 10, opset_import: ["": 23]> g (float[{batch}, 10, 8, 3] x) => (float[{batch}, 5, 4, 3] y) '
        f"<{numbers}> {{ t = Transpose <perm = [0, 3, 1, 2]> (x) "
        f'r = Resize <mode = "linear", axes = [{axes}]> ({inputs}) y = Transpose <perm = [0, 2, 3, 1]> (r) }}'
    )
    with runtimes()["ort"].open(canonical(ir.from_onnx_text(text))) as session:
        (found,) = session.forward({"x": np.ones((2, 10, 8, 3), np.float32)}).values()
    np.testing.assert_allclose(found, np.ones((2, 5, 4, 3)))


@pytest.mark.parametrize(
    ("setup", "pads"),
    [("", "p"), ("q = Add (p, z)", "q")],
    ids=["known", "computed"],
)
def test_padding_between_transpositions_keeps_its_axes(setup: str, pads: str) -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]> g (float[2, 3, 4] x, int64[2] z) => (float[2, 4, 4] y) '
        "<int64[2] p = {1, 0}, int64[1] a = {-1}> { t = Transpose <perm = [0, 2, 1]> (x) "
        f"{setup} r = Pad ({pads}, , a) y = Transpose <perm = [0, 2, 1]> (r) }}"
    ).replace("Pad (", "Pad (t, ")
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with runtimes()["ort"].open(canonical(ir.from_onnx_text(text))) as session:
        (found,) = session.forward({"x": x, "z": np.zeros(2, np.int64)}).values()
    np.testing.assert_array_equal(found, np.pad(x, ((0, 0), (1, 0), (0, 0))))


@pytest.mark.parametrize(
    ("drawn", "least", "most"),
    [
        ("RandomNormal <shape = [50], mean = 3.0, scale = 0.0> ()", 3, 3),
        ("RandomNormal <shape = [50], scale = -1.0> ()", -9, 9),
        ("RandomNormalLike <mean = 3.0, scale = 0.0> (x)", 3, 3),
        ("RandomUniform <shape = [50], low = 2.0, high = 1.0, dtype = 1> ()", 1, 2),
        ("RandomUniformLike <low = 2.0, high = 1.0> (x)", 1, 2),
    ],
)
def test_distributions_that_onnx_runtime_aborts_over_are_drawn_from(drawn: str, least: float, most: float) -> None:
    text = (
        f'<ir_version: 10, opset_import: ["": 23]> g (float[50] x) => (float[50] y) {{ d = {drawn} y = Identity (d) }}'
    )
    with runtimes()["ort"].open(canonical(ir.from_onnx_text(text))) as session:
        (found,) = session.forward({"x": np.zeros(50, np.float32)}).values()
    assert found.shape == (50,)
    assert least <= found.min() <= found.max() <= most


def test_a_negated_condition_has_other_readers() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]> g (bool[n] c, float[n] x) => (float[n] y, float[n] z) '
        "{ d = Not (c) z = Cast <to = 1> (d) y = Where (d, x, z) }"
    )
    with runtimes()["ort"].open(canonical(ir.from_onnx_text(text))) as session:
        feeds = {"c": np.array([True, False]), "x": np.array([3, 4], np.float32)}
        y, z = session.forward(feeds).values()
    np.testing.assert_array_equal(y, [0, 4])
    np.testing.assert_array_equal(z, [0, 1])
