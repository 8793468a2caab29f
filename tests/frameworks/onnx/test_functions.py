"""graphkit's own operators are functions in ONNX files, and themselves again when read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from graphkit.errors import FormatError, UnsupportedError
from graphkit.frameworks.base import ReadOptions, WriteOptions
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical

if TYPE_CHECKING:
    from pathlib import Path

MATRICES = np.array([[[4, 1], [1, 3]], [[2, -1], [-1, 5]]], np.float32)


def model_of(body: str, inputs: str, outputs: str) -> ir.Model:
    text = f'<ir_version: 11, opset_import: ["": 23, "graphkit": 1]> m ({inputs}) => ({outputs}) {{ {body} }}'
    return canonical(ir.from_onnx_text(text))


@pytest.fixture
def factors() -> ir.Model:
    """Factors of two shapes; those of one shape are computed twice."""
    body = "y = graphkit.Cholesky(x) z = graphkit.Cholesky(x) t = Transpose<perm=[0, 2, 1]>(z) s = Add(x, t)"
    other = "r = graphkit.Cholesky(w)"
    return model_of(
        body + other, "float[2, 2, 2] x, float[1, 1] w", "float[2, 2, 2] y, float[2, 2, 2] s, float[1, 1] r"
    )


def run(path: Path) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {"x": MATRICES, "w": np.array([[9]], np.float32)})
    return found


def assert_right(found: list[np.ndarray]) -> None:
    expected = np.linalg.cholesky(MATRICES)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    np.testing.assert_allclose(found[1], MATRICES + expected.swapaxes(1, 2), rtol=1e-6)
    np.testing.assert_allclose(found[2], [[3]], rtol=1e-6)


def test_a_file_holds_one_function_for_each_shape_and_runs_elsewhere(factors: ir.Model, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    FRAMEWORK.write(factors, path, WriteOptions())
    onnx.checker.check_model(path, full_check=True)
    proto = onnx.load(path)
    assert [(function.domain, function.name) for function in proto.functions] == [
        ("graphkit", "Cholesky"),
        ("graphkit", "Cholesky_2"),
    ]
    assert_right(run(path))


def test_a_file_that_is_read_has_the_operators_again(factors: ir.Model, tmp_path: Path) -> None:
    before = ir.to_onnx_text(factors)
    FRAMEWORK.write(factors, tmp_path / "m.onnx", WriteOptions())
    assert ir.to_onnx_text(factors) == before
    again = FRAMEWORK.read(tmp_path / "m.onnx", ReadOptions())
    assert not again.functions
    assert [(node.domain, node.op_type) for node in again.graph] == [
        (node.domain, node.op_type) for node in factors.graph
    ]


def test_an_older_opset_has_their_bodies_in_place(factors: ir.Model, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    FRAMEWORK.write(factors, path, WriteOptions(opset=17))
    proto = onnx.load(path)
    assert not proto.functions
    assert {node.domain for node in proto.graph.node} == {""}
    assert_right(run(path))


def test_variates_stay_functions_in_the_opset_that_onnx_runtime_draws_in(tmp_path: Path) -> None:
    body = "y = graphkit.RandomPoisson<shape=[2000]>(x)"
    model = model_of(body, "float[2] x", "float[2, 2000] y")
    path = tmp_path / "m.onnx"
    FRAMEWORK.write(model, path, WriteOptions())
    onnx.checker.check_model(path, full_check=True)
    proto = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 21), ("graphkit", 1)]
    assert [node.op_type for node in FRAMEWORK.read(path, ReadOptions()).graph] == ["RandomPoisson"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.array([0, 9], np.float32)})
    assert not found[0].any()
    assert 8 < found[1].mean() < 10


def test_they_may_stand_in_nested_graphs(tmp_path: Path) -> None:
    branches = "then_branch = a () => (float[2, 2, 2] p) { p = graphkit.Inverse(x) }"
    branches += ", else_branch = b () => (float[2, 2, 2] q) { q = Identity(x) }"
    model = model_of(f"y = If <{branches}> (c)", "bool c, float[2, 2, 2] x", "float[2, 2, 2] y")
    path = tmp_path / "m.onnx"
    FRAMEWORK.write(model, path, WriteOptions())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": MATRICES, "c": np.array(True)})
    np.testing.assert_allclose(found, np.linalg.inv(MATRICES), rtol=1e-5)
    again = FRAMEWORK.read(path, ReadOptions())
    assert "Inverse" in {node.op_type for node in again.graph.all_nodes()}


def test_a_matrix_of_free_size_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    model = model_of("y = graphkit.Inverse(x)", 'float["n", "n"] x', 'float["n", "n"] y')
    with pytest.raises(UnsupportedError, match=r"Inverse.*size of axis -1 of its A is free"):
        FRAMEWORK.write(model, tmp_path / "m.onnx", WriteOptions())
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_do_not_fit_are_told() -> None:
    with pytest.raises(FormatError, match=r"Cholesky.*A is not square: it has 2 rows and 3 columns"):
        model_of("y = graphkit.Cholesky(x)", "float[2, 3] x", "float[2, 3] y")
    with pytest.raises(FormatError, match="A is 3×3, and B has 2 where these meet"):
        model_of("y = graphkit.TriangularSolve(x, w)", "float[3, 3] x, float[2, 3] w", "float[2, 3] y")
