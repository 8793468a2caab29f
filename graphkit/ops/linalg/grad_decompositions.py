"""How gradients pass decompositions of matrices.

Sources: Giles, Collected matrix derivative results for forward and reverse mode algorithmic differentiation, 2008, 3.1
and 3.2 (eigenvectors, singular vectors); Seeger, Hetzel, Dai, Meissner and Lawrence, Auto-differentiating linear
algebra, 2017 (QR). Vectors of equal values are not determined, and where these are asked for, the gradient is not
finite, as torch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.linalg.matrices import turned
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["eigh_gradient", "qr_gradient", "svd_gradient"]


def _diagonal(b: GradientBuilder, numbers: ir.Value) -> ir.Value:
    """Matrices with numbers (..., n) on the diagonal."""
    unit = np.eye(b.size(numbers, -1), dtype=b.dtype(numbers))
    return b.op("Mul", b.op("Unsqueeze", numbers, [-1]), unit)


def _apart(b: GradientBuilder, values: ir.Value) -> ir.Value:
    """Values (..., n) of columns less those of rows; 1 on the diagonal."""
    columns, rows = (b.op("Unsqueeze", values, [axis]) for axis in (-2, -1))
    unit = np.eye(b.size(values, -1), dtype=b.dtype(values))
    return b.op("Add", b.op("Sub", columns, rows), unit)


def _skew(b: GradientBuilder, matrix: ir.Value) -> ir.Value:
    return b.op("Sub", matrix, turned(b, matrix))


def eigh_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value]:
    """With values w and vectors V: V (diag dw + skew(Vᵀ dV) / 2 / (wⱼ - wᵢ)) Vᵀ, which is symmetric."""
    values, vectors = node.outputs[0], b.output(node, 1)
    if dy[1] is None:
        scaled = b.op("Mul", vectors, b.op("Unsqueeze", dy[0], [-2]))
        return [b.op("MatMul", scaled, turned(b, vectors))]
    turns = _skew(b, b.op("MatMul", turned(b, vectors), dy[1]))
    inner = b.op("Div", b.op("Mul", turns, b.scalar(0.5, turns)), _apart(b, values))
    if dy[0] is not None:
        inner = b.op("Add", inner, _diagonal(b, dy[0]))
    return [b.op("MatMul", b.op("MatMul", vectors, inner), turned(b, vectors))]


def svd_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value]:
    """U (skew(Uᵀ dU)/E S + S skew(Vᵀ dV)/E + diag ds) Vᵀ with E = sⱼ² - sᵢ², and what leads out of the smaller side."""
    left, values, adjoint = (b.output(node, place) for place in range(3))
    source = some(node.inputs[0])
    if dy[0] is None and dy[2] is None:
        scaled = b.op("Mul", left, b.op("Unsqueeze", dy[1], [-2]))
        return [b.op("MatMul", scaled, adjoint)]
    rows, columns = b.size(source, -2), b.size(source, -1)
    across, along = (b.op("Unsqueeze", values, [axis]) for axis in (-2, -1))
    squares = _apart(b, b.op("Mul", values, values))
    parts: list[ir.Value | None] = [None if dy[1] is None else _diagonal(b, dy[1])]
    beyond: list[ir.Value | None] = []
    if dy[0] is not None:
        product = b.op("MatMul", turned(b, left), dy[0])
        parts.append(b.op("Mul", b.op("Div", _skew(b, product), squares), across))
        if rows > columns:
            rest = b.op("Sub", dy[0], b.op("MatMul", left, product))
            beyond.append(b.op("MatMul", b.op("Div", rest, across), adjoint))
    if dy[2] is not None:
        product = b.op("MatMul", adjoint, turned(b, dy[2]))
        parts.append(b.op("Mul", b.op("Div", _skew(b, product), squares), along))
        if rows < columns:
            rest = b.op("Sub", dy[2], b.op("MatMul", turned(b, product), adjoint))
            beyond.append(b.op("MatMul", left, b.op("Div", rest, along)))
    inner = some(b.total(parts))
    within = b.op("MatMul", b.op("MatMul", left, inner), adjoint)
    return [some(b.total([within, *beyond]))]


def qr_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value]:
    """(dQ + Q M) R⁻ᵀ with M the triangle of dR Rᵀ - Qᵀ dQ made symmetric.

    Where there are more columns than rows, the last ones are Q times those of R.
    """
    source, factor, triangle = some(node.inputs[0]), node.outputs[0], b.output(node, 1)
    of_factor, of_triangle = dy
    rows, columns = b.size(source, -2), b.size(source, -1)
    last: ir.Value | None = None
    if rows < columns:
        sizes = [rows, columns - rows]
        triangle = b.ops("Split", 2, triangle, sizes, axis=-1)[0]
        if of_triangle is not None:
            of_triangle, of_rest = b.ops("Split", 2, of_triangle, sizes, axis=-1)
            last = b.op("MatMul", factor, of_rest)
            rest = b.ops("Split", 2, source, sizes, axis=-1)[1]
            of_factor = b.total([of_factor, b.op("MatMul", rest, turned(b, of_rest))])
    parts: list[ir.Value | None] = []
    if of_triangle is not None:
        parts.append(b.op("MatMul", of_triangle, turned(b, triangle)))
    if of_factor is not None:
        parts.append(b.op("Neg", b.op("MatMul", turned(b, factor), of_factor)))
    upper = b.op("Trilu", some(b.total(parts)), upper=1)
    strict = b.op("Trilu", upper, np.asarray(1), upper=1)
    whole = b.op("Add", upper, turned(b, strict))
    moved = b.total([of_factor, b.op("MatMul", factor, whole)])
    found = b.op("TriangularSolve", turned(b, triangle), moved, domain=DOMAIN, left=0)
    if rows == columns or rows > columns:
        return [found]
    if last is None:
        shape = b.op("Shape", source)
        batch = b.op("Slice", shape, [0], [-1], [0])
        last = b.op("Expand", b.scalar(0.0, source), b.op("Concat", batch, [columns - rows], axis=0))
    return [b.op("Concat", found, last, axis=-1)]
