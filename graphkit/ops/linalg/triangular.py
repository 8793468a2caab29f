"""Equations with triangular matrices: trsm, and potri, the inverse of what a Cholesky factor is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.linalg.matrices import misfit, regular, turned
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _body(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    """Substitution, row by row."""
    upper, left = node.attributes.get_int("upper", 0), node.attributes.get_int("left", 1)
    size, dtype = b.size(x[0], -1), b.dtype(x[0])
    matrix = b.op("Trilu", x[0], upper=upper)
    matrix, right = (matrix, x[1]) if left else (turned(b, matrix), turned(b, x[1]))
    units = np.eye(size, dtype=dtype)[:: -1 if bool(upper) == bool(left) else 1]

    def step(
        states: tuple[ir.Value, ...], parts: tuple[ir.Value, ...]
    ) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        (found,), (unit, row) = states, parts
        factors = b.op("MatMul", row, matrix)
        rest = b.op("Sub", b.op("MatMul", row, right), b.op("MatMul", factors, found))
        line = b.op("Div", rest, b.op("MatMul", factors, unit))
        return [b.op("Add", found, b.op("MatMul", unit, line))], []

    start = b.op("Expand", b.scalar(0, x[0]), b.op("Shape", right))
    (found,) = b.scan(step, [start], [units[:, :, None], units[:, None, :]])
    return found if left else turned(b, found)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    upper, left = node.attributes.get_int("upper", 0), node.attributes.get_int("left", 1)
    lower, rightside = False if upper else None, None if left else True
    return b.op("_linalg_trsm", some(x[0]), some(x[1]), lower=lower, rightside=rightside)


def _flag(node: MxNode, name: str, default: bool = False) -> bool:
    return bool(BOOL.parse(node.attrs.get(name, str(default))))


def _solved(b: OnnxBuilder, matrix: ir.Value, right: ir.Value, *, lower: bool, left: bool = True) -> ir.Value:
    settings = {"upper": None if lower else 1, "left": None if left else 0}
    return b.op("TriangularSolve", matrix, right, domain=DOMAIN, **settings)


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    matrix, right = some(x[0]), some(x[1])
    if (problem := misfit(b, matrix)) is not None:
        return problem
    lower, transposed = _flag(node, "lower", True), _flag(node, "transpose")
    if transposed:
        matrix, lower = turned(b, matrix), not lower
    alpha = FLOAT.parse(node.attrs.get("alpha", "1"))
    right = right if alpha == 1 else b.op("Mul", right, b.scalar(alpha, right))
    return _solved(b, matrix, right, lower=lower, left=not _flag(node, "rightside"))


def _read_potri(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """The inverse of L Lᵀ: L⁻ᵀ L⁻¹."""
    factor = some(x[0])
    if (problem := misfit(b, factor)) is not None:
        return problem
    *batch, size, _ = b.shape(factor)
    if not isinstance(size, int):
        return Refusal("the size of the matrix is not known; give the model's inputs fixed sizes")
    unit = b.const(np.eye(size, dtype=b.dtype(factor)))
    if batch:
        unit = b.op("Expand", unit, b.op("Shape", factor))
    inverse = _solved(b, factor, unit, lower=True)
    return b.op("MatMul", turned(b, inverse), inverse)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    upper, left = node.attributes.get_int("upper", 0), node.attributes.get_int("left", 1)
    return b.call("torch.linalg.solve_triangular", x[0], x[1], upper=bool(upper), left=None if left else False)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value | None]:
    """With A X = B: dB = A⁻ᵀ dX and dA = -dB Xᵀ, of which the triangle (Giles 2008, 2.3.1)."""
    upper, left = node.attributes.get_int("upper", 0), node.attributes.get_int("left", 1)
    matrix, found = some(node.inputs[0]), node.outputs[0]
    solved = b.op(
        "TriangularSolve", turned(b, matrix), dy[0], domain=DOMAIN, upper=None if upper else 1, left=None if left else 0
    )
    if not b.wants(matrix):
        return [None, solved]
    product = b.op("MatMul", solved, turned(b, found)) if left else b.op("MatMul", turned(b, found), solved)
    return [b.op("Neg", b.op("Trilu", product, upper=upper)), solved]


_A, _B = regular(2, 3, 3), arr(2, 3, 4)

OPS = (
    Op(
        "TriangularSolve",
        domain=DOMAIN,
        body=_body,
        mx=(
            MxForm(
                "_linalg_trsm",
                read=_read,
                reads=("transpose", "rightside", "lower", "alpha"),
                write=_write,
                cases=(
                    Case("lower", (_A, _B)),
                    Case("transposed and scaled", (_A, _B), {"transpose": True, "alpha": "0.3"}),
                    Case("upper on the right", (_A, arr(2, 4, 3)), {"lower": False, "rightside": True}),
                    Case("all", (_A, arr(2, 4, 3)), {"transpose": 1, "rightside": 1, "lower": 0, "alpha": 2}),
                ),
            ),
        ),
        torch=_torch,
        gradient=_gradient,
        cases=(
            Case("lower", (regular(3, 3), arr(3, 2))),
            Case("upper", (_A, _B), {"upper": 1}, dynamic=(0, 1)),
            Case("on the right", (_A, arr(2, 4, 3)), {"left": 0}),
            Case("upper on the right", (_A, arr(2, 1, 3)), {"left": 0, "upper": 1}),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_linalg_potri",
                read=_read_potri,
                direction="read",
                cases=(Case("matrix", (regular(3, 3),)), Case("batch", (_A,))),
            ),
        ),
    ),
)
