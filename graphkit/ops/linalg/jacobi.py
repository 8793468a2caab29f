"""Jacobi's rotations, with which ONNX's operators find eigenvectors and singular vectors.

Rotations of disjoint pairs of columns are done at once: in the rounds of a tournament every column meets every other.
Source: Golub and Van Loan, Matrix Computations, 4th edition, 8.5 and 8.6.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.linalg.matrices import turned

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder

__all__ = ["eigenvectors", "ordered", "signed", "singular_vectors"]

_SWEEPS = 40
"""Convergence is quadratic: ten sweeps do for hundreds of columns."""


def _rounds(size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Matrices that pick the first and the second columns of the pairs of each round: (round, column, pair)."""
    players = list(range(size + size % 2))
    pairs = len(players) // 2
    first, second = (np.zeros((len(players) - 1, size, pairs)) for _ in range(2))
    for number in range(len(players) - 1):
        for pair in range(pairs):
            one, other = sorted((players[pair], players[-1 - pair]))
            if other < size:
                first[number, one, pair] = second[number, other, pair] = 1
        players[1:] = [players[-1], *players[1:-1]]
    return first, second


def _rotation(b: BodyBuilder, gram: ir.Value, first: ir.Value, second: ir.Value) -> ir.Value:
    """The orthogonal matrix that makes the off-diagonal numbers of pairs of a symmetric matrix zero."""

    def number(value: float) -> ir.Value:
        return b.scalar(value, gram)

    def between(left: ir.Value, right: ir.Value) -> ir.Value:
        return b.op("ReduceSum", b.op("Mul", b.op("MatMul", gram, left), right), [-2])

    own, other, shared = between(first, first), between(second, second), between(first, second)
    done = b.op("Equal", shared, number(0))
    slope = b.op("Div", b.op("Sub", other, own), b.op("Where", done, number(1), b.op("Mul", shared, number(2))))
    length = b.op("Sqrt", b.op("Add", b.op("Mul", slope, slope), number(1)))
    sign = b.op("Where", b.op("Less", slope, number(0)), number(-1), number(1))
    tangent = b.op("Div", sign, b.op("Add", b.op("Abs", slope), length))
    tangent = b.op("Where", done, number(0), tangent)
    cosine = b.op("Reciprocal", b.op("Sqrt", b.op("Add", b.op("Mul", tangent, tangent), number(1))))
    sine = b.op("Mul", tangent, cosine)
    less = b.op("Sub", cosine, number(1))

    def product(left: ir.Value, factors: ir.Value, right: ir.Value) -> ir.Value:
        return b.op("MatMul", b.op("Mul", left, factors), turned(b, right))

    diagonal = b.op("Add", product(first, less, first), product(second, less, second))
    aside = b.op("Sub", product(first, sine, second), product(second, sine, first))
    unit = b.const(np.eye(b.size(gram, -1), dtype=b.dtype(gram)))
    return b.op("Add", b.op("Add", unit, diagonal), aside)


def _swept(b: BodyBuilder, start: Sequence[ir.Value], *, one_sided: bool) -> tuple[ir.Value, ...]:
    """Rotate until columns are orthogonal, or the matrix is diagonal, to rounding."""
    size, dtype = b.size(start[0], -1), b.dtype(start[0])
    first, second = (table.astype(dtype) for table in _rounds(size))
    limit = b.scalar(float(np.finfo(dtype).eps) ** 2 * size, start[0])
    away = b.const((1 - np.eye(size)).astype(dtype))

    def gram_of(matrix: ir.Value) -> ir.Value:
        return b.op("MatMul", turned(b, matrix), matrix) if one_sided else matrix

    def step(
        states: tuple[ir.Value, ...], parts: tuple[ir.Value, ...]
    ) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        matrix, vectors = states
        turn = _rotation(b, gram_of(matrix), *parts)
        rotated = b.op("MatMul", matrix, turn)
        rotated = rotated if one_sided else b.op("MatMul", turned(b, turn), rotated)
        return [rotated, b.op("MatMul", vectors, turn)], []

    def sweep(states: tuple[ir.Value, ...]) -> tuple[ir.Value, Sequence[ir.Value]]:
        after = b.scan(step, states, [first, second])
        gram = gram_of(after[0])
        off = b.op("Mul", b.op("Mul", gram, gram), away)
        diagonal = b.op("ReduceSum", b.op("Mul", gram, b.const(np.eye(size, dtype=dtype))), [-1])
        if one_sided:
            scale = b.op("Abs", b.op("Mul", diagonal, turned(b, diagonal)))
        else:
            scale = b.op("ReduceSum", b.op("Mul", gram, gram), [-2, -1])
        far = b.op("Cast", b.op("Greater", off, b.op("Mul", scale, limit)), to=6)
        again = b.op("Greater", b.op("ReduceMax", far, keepdims=0), b.const(np.asarray(0, np.int32)))
        return again, after

    return b.repeat(sweep, start, _SWEEPS)


def _unit(b: BodyBuilder, like: ir.Value) -> ir.Value:
    return b.op("Expand", np.eye(b.size(like, -1), dtype=b.dtype(like)), b.op("Shape", like))


def eigenvectors(b: BodyBuilder, matrix: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Eigenvalues of symmetric matrices, (…, n), and eigenvectors as columns, in no order."""
    size, dtype = b.size(matrix, -1), b.dtype(matrix)
    unit = _unit(b, matrix)
    found, vectors = (matrix, unit) if size == 1 else _swept(b, [matrix, unit], one_sided=False)
    diagonal = b.op("ReduceSum", b.op("Mul", found, b.const(np.eye(size, dtype=dtype))), [-1], keepdims=0)
    return diagonal, vectors


def singular_vectors(b: BodyBuilder, matrix: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Left vectors as columns, singular values and right vectors as columns of matrices with enough rows."""
    square = b.op("MatMul", turned(b, matrix), matrix)
    unit = _unit(b, square)
    found, vectors = (matrix, unit) if b.size(matrix, -1) == 1 else _swept(b, [matrix, unit], one_sided=True)
    lengths = b.op("Sqrt", b.op("ReduceSum", b.op("Mul", found, found), [-2]))
    none = b.op("Equal", lengths, b.scalar(0, matrix))
    left = b.op("Div", found, b.op("Where", none, b.scalar(1, matrix), lengths))
    return left, b.op("Squeeze", lengths, [-2]), vectors


def ordered(
    b: BodyBuilder, values: ir.Value, columns: Sequence[ir.Value], *, largest: bool
) -> tuple[ir.Value, list[ir.Value]]:
    """Values by size, and matrices with their columns in the same order."""
    size = b.size(values, -1)
    found, order = b.ops("TopK", 2, values, [size], largest=int(largest))
    places = b.op("Unsqueeze", order, [-2])
    taken = []
    for each in columns:
        full = b.op("Expand", places, b.op("Shape", each))
        taken.append(b.op("GatherElements", each, full, axis=-1))
    return found, taken


def signed(b: BodyBuilder, vectors: ir.Value) -> ir.Value:
    """1 or -1 for each column, with which its largest number is positive."""
    place = b.op("ArgMax", b.op("Abs", vectors), axis=-2)
    largest = b.op("GatherElements", vectors, place, axis=-2)
    return b.op("Where", b.op("Less", largest, b.scalar(0, vectors)), b.scalar(-1, vectors), b.scalar(1, vectors))
