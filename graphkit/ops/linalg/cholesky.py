"""Cholesky factors of symmetric positive definite matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.linalg.matrices import positive_definite, turned
from graphkit.ops.spec import Case, MxForm, Op, torch_call
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder
    from graphkit.ops.gradients import GradientBuilder


def _body(b: BodyBuilder, _node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    """Column by column, each taken from what the columns before it leave (Golub and Van Loan, outer products).

    Of an asymmetric matrix its symmetric part is meant, whose derivative is symmetric as in MXNet and torch.
    """
    size, rank, dtype = b.size(x[0], -1), b.rank(x[0]), b.dtype(x[0])
    half = b.scalar(0.5, x[0])
    start = b.op("Mul", b.op("Add", x[0], turned(b, x[0])), half)
    units = np.eye(size, dtype=dtype)
    below = np.tril(np.ones((size, size), dtype)).T

    def step(
        states: tuple[ir.Value, ...], parts: tuple[ir.Value, ...]
    ) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        (rest,), (unit, row, kept) = states, parts
        column = b.op("MatMul", rest, unit)
        root = b.op("Sqrt", b.op("MatMul", row, column))
        factor = b.op("Mul", b.op("Div", column, root), kept)
        return [b.op("Sub", rest, b.op("MatMul", factor, turned(b, factor)))], [b.op("Squeeze", factor, [-1])]

    _, columns = b.scan(step, [start], [units[:, :, None], units[:, None, :], below[:, :, None]])
    return b.op("Transpose", columns, perm=[*range(1, rank), 0])


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[ir.Value | None]) -> list[ir.Value]:
    """L⁻ᵀ Φ(Lᵀ dL) L⁻¹, made symmetric; Φ is the lower triangle with half the diagonal.

    Source: Murray, Differentiation of the Cholesky decomposition, 2016, equation 10.
    """
    factor = node.outputs[0]
    size, adjoint = b.size(factor, -1), turned(b, factor)
    kept = b.const((np.tril(np.ones((size, size))) - np.eye(size) / 2) / 2, b.dtype(factor))
    middle = b.op("Mul", b.op("MatMul", adjoint, some(dy[0])), kept)
    half = b.op("TriangularSolve", adjoint, middle, domain=DOMAIN, upper=1)
    found = b.op("TriangularSolve", factor, half, domain=DOMAIN, left=0)
    return [b.op("Add", found, turned(b, found))]


OP = Op(
    "Cholesky",
    domain=DOMAIN,
    body=_body,
    mx=(
        MxForm(
            "_linalg_potrf",
            also=("_npi_cholesky",),
            cases=(Case("matrices", (positive_definite(2, 3, 3),)),),
        ),
    ),
    torch=torch_call("torch.linalg.cholesky"),
    gradient=_gradient,
    cases=(
        Case("matrix", (positive_definite(4, 4),)),
        Case("batch", (positive_definite(2, 3, 3),), dynamic=(0,)),
        Case("two batch axes", (positive_definite(2, 1, 2, 2),)),
        Case("of one number", (positive_definite(1, 1),)),
    ),
)
