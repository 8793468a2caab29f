"""How gradients pass matrix products.

The gradient in a matrix that several matrices are multiplied with is one large product, not the sum of small ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["gemm", "matmul"]


def gemm(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Gradients through α·A·B + β·C, of which A and B may be transposed."""
    left, right, *extra = node.inputs
    alpha, beta = (node.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
    turned, transposed = (node.attributes.get_int(name, 0) for name in ("transA", "transB"))
    found: list[ir.Value | None] = [None] * len(node.inputs)
    if b.wants(left) and turned:
        found[0] = b.op("Gemm", right, dy[0], alpha=alpha, transA=transposed, transB=1)
    elif b.wants(left):
        found[0] = b.op("Gemm", dy[0], right, alpha=alpha, transB=1 - transposed)
    if b.wants(right) and transposed:
        found[1] = b.op("Gemm", dy[0], left, alpha=alpha, transA=1, transB=turned)
    elif b.wants(right):
        found[1] = b.op("Gemm", left, dy[0], alpha=alpha, transA=1 - turned)
    if extra and extra[0] is not None and b.wants(extra[0]):
        term = b.sum_to(dy[0], extra[0])
        found[2] = term if beta == 1 else b.op("Mul", term, b.scalar(beta, term))
    return found


def matmul(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Gradients through a product of matrices, vectors or batches of them."""
    left, right = (some(value) for value in node.inputs)
    in_left = _in_left(b, left, right, dy[0]) if b.wants(left) else None
    return [in_left, _in_right(b, left, right, dy[0]) if b.wants(right) else None]


def _in_left(b: GradientBuilder, left: ir.Value, right: ir.Value, dy: ir.Value) -> ir.Value:
    rank, other = b.rank(left), b.rank(right)
    if other == 1:
        return b.op("Mul", dy if rank == 1 else b.op("Unsqueeze", dy, [-1]), right)
    if rank == 1:
        column = b.op("MatMul", right, b.op("Unsqueeze", dy, [-1]))
        return b.sum_to(b.op("Squeeze", column, [-1]), left)
    if other == 2:
        return b.like(b.op("Gemm", _rows(b, dy), right, transB=1), left)
    if rank == 2:
        return b.op("Gemm", _side_by_side(b, dy), _side_by_side(b, right), transB=1)
    return b.sum_to(b.op("MatMul", dy, _turned(b, right)), left)


def _in_right(b: GradientBuilder, left: ir.Value, right: ir.Value, dy: ir.Value) -> ir.Value:
    rank, other = b.rank(left), b.rank(right)
    if rank == 1:
        if other == 1:
            return b.op("Mul", dy, left)
        return b.op("Mul", b.op("Unsqueeze", left, [-1]), b.op("Unsqueeze", dy, [-2]))
    if other == 1:
        return b.like(b.op("Gemm", _rows(b, left), b.op("Reshape", dy, [-1, 1]), transA=1), right)
    if other == 2:
        return b.op("Gemm", _rows(b, left), _rows(b, dy), transA=1)
    return b.sum_to(b.op("MatMul", _turned(b, left), dy), right)


def _rows(b: GradientBuilder, value: ir.Value) -> ir.Value:
    """The rows of a batch of matrices below one another, as one matrix."""
    rank = b.rank(value)
    return value if rank == 2 else b.op("Flatten", value, axis=rank - 1)


def _side_by_side(b: GradientBuilder, value: ir.Value) -> ir.Value:
    """The matrices of a batch beside one another, as one matrix."""
    rank = b.rank(value)
    if rank == 2:
        return value
    order = [rank - 2, *range(rank - 2), rank - 1]
    return b.op("Flatten", b.op("Transpose", value, perm=order), axis=1)


def _turned(b: GradientBuilder, value: ir.Value) -> ir.Value:
    """The transposes of matrices."""
    order = list(range(b.rank(value)))
    order[-2:] = order[-1], order[-2]
    return b.op("Transpose", value, perm=order)
