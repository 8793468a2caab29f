"""Products of matrices that MXNet names and ONNX composes: gemm with any row axis, syrk and trmm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.linalg.matrices import misfit, turned
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _flag(node: MxNode, name: str, default: bool = False) -> bool:
    return bool(BOOL.parse(node.attrs.get(name, str(default))))


def _scaled(b: OnnxBuilder, value: ir.Value, node: MxNode, name: str = "alpha") -> ir.Value:
    factor = FLOAT.parse(node.attrs.get(name, "1"))
    return value if factor == 1 else b.op("Mul", value, b.scalar(factor, value))


def _read_gemm(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    left, right, *rest = (some(value) for value in x)
    rank = b.rank(left)
    if (problem := misfit(b, left, square=False) or misfit(b, right, square=False)) is not None:
        return problem
    rows = int(node.attrs.get("axis", "-2"))
    if not -rank <= rows < rank or rows % rank == rank - 1:
        return Refusal(f"axis={rows} is none of the axes of its operands that can hold rows, 0 to {rank - 2}")
    rows %= rank
    order = list(range(rank))
    order[rows], order[-2] = order[-2], order[rows]

    def moved(value: ir.Value) -> ir.Value:
        return value if rows == rank - 2 else b.op("Transpose", value, perm=order)

    left, right = moved(left), moved(right)
    left = turned(b, left) if _flag(node, "transpose_a") else left
    right = turned(b, right) if _flag(node, "transpose_b") else right
    product = moved(_scaled(b, b.op("MatMul", left, right), node))
    return b.op("Add", product, _scaled(b, rest[0], node, "beta")) if rest else product


def _read_syrk(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    matrix = some(x[0])
    if (problem := misfit(b, matrix, square=False)) is not None:
        return problem
    other = turned(b, matrix)
    pair = (other, matrix) if _flag(node, "transpose") else (matrix, other)
    return _scaled(b, b.op("MatMul", *pair), node)


def _read_trmm(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    matrix, other = some(x[0]), some(x[1])
    if (problem := misfit(b, matrix) or misfit(b, other, square=False)) is not None:
        return problem
    triangle = b.op("Trilu", matrix, upper=0 if _flag(node, "lower", True) else 1)
    triangle = turned(b, triangle) if _flag(node, "transpose") else triangle
    pair = (other, triangle) if _flag(node, "rightside") else (triangle, other)
    return _scaled(b, b.op("MatMul", *pair), node)


_A, _B, _C = arr(2, 3, 4), arr(2, 4, 5), arr(2, 3, 5)
_SQUARE = arr(2, 3, 3)

OP = Op(
    "",
    mx=(
        MxForm(
            "_linalg_gemm",
            read=_read_gemm,
            reads=("transpose_a", "transpose_b", "alpha", "beta", "axis"),
            direction="read",
            cases=(
                Case("batch", (_A, _B, _C)),
                Case("matrices", (arr(3, 4), arr(4, 5), arr(3, 5)), {"alpha": "0.3", "beta": "0.7"}),
                Case("transposed", (arr(2, 4, 3), arr(2, 5, 4), _C), {"transpose_a": True, "transpose_b": 1}),
                Case("rows first", (arr(3, 2, 4), arr(4, 2, 5), arr(3, 2, 5)), {"axis": 0, "beta": "-2"}),
                Case("rows of an inner axis", (arr(2, 3, 2, 4), arr(2, 4, 2, 5), arr(2, 3, 2, 5)), {"axis": -3}),
            ),
        ),
        MxForm(
            "_linalg_gemm2",
            read=_read_gemm,
            reads=("transpose_a", "transpose_b", "alpha", "axis"),
            direction="read",
            cases=(
                Case("scaled", (arr(2, 2, 3, 4), arr(2, 2, 5, 4)), {"transpose_b": True, "alpha": "0.3"}),
                Case("rows first", (arr(4, 2, 3), arr(4, 2, 5)), {"axis": 0, "transpose_a": True}),
            ),
        ),
        MxForm(
            "_linalg_syrk",
            read=_read_syrk,
            reads=("transpose", "alpha"),
            direction="read",
            cases=(Case("batch", (_A,)), Case("transposed and scaled", (_A,), {"transpose": True, "alpha": "0.3"})),
        ),
        MxForm(
            "_linalg_trmm",
            read=_read_trmm,
            reads=("transpose", "rightside", "lower", "alpha"),
            direction="read",
            cases=(
                Case("lower", (_SQUARE, _A)),
                Case("upper, transposed and scaled", (_SQUARE, _A), {"lower": False, "transpose": 1, "alpha": "0.3"}),
                Case("on the right", (_SQUARE, arr(2, 4, 3)), {"rightside": True}),
                Case("all", (_SQUARE, arr(2, 4, 3)), {"rightside": 1, "transpose": 1, "lower": 0, "alpha": 2}),
            ),
        ),
    ),
)
