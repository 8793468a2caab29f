"""Diagonals and triangles of matrices as vectors, and matrices of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.codec import BOOL
from graphkit.ops.linalg.matrices import misfit, per_matrix
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

    Places = npt.NDArray[np.int64]


def _diagonal(node: MxNode, size: int) -> Places:
    """Places of a diagonal's elements among the elements of a matrix."""
    offset = int(node.attrs.get("offset", "0"))
    count = size - abs(offset)
    check_elements(count)
    return np.arange(count) * (size + 1) + (offset if offset >= 0 else -offset * size)


def _triangle(node: MxNode, size: int) -> Places:
    """Places of a triangle's elements: rows of a lower one and columns of an upper one, from the shortest on."""
    offset = int(node.attrs.get("offset", "0"))
    lower = bool(BOOL.parse(node.attrs.get("lower", "1"))) if offset == 0 else offset < 0
    rows, columns = np.tril_indices(size, -abs(offset))
    return rows * size + columns if lower else columns * size + rows


def _taken(places_of: Callable[[MxNode, int], Places]) -> Read:
    """Read the elements at places of matrices."""

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        matrix = some(x[0])
        if (problem := misfit(b, matrix)) is not None:
            return problem
        size = b.shape(matrix)[-1]
        if not isinstance(size, int):
            return Refusal("the size of the matrix is not known; give the model's inputs fixed sizes")
        places = places_of(node, size)
        if not places.size:
            return Refusal(f"a matrix of {size} rows has nothing at offset={node.attrs.get('offset', '0')}")
        flat = b.op("Reshape", matrix, [0] * (b.rank(matrix) - 2) + [size * size])
        return b.op("Gather", flat, places, axis=-1)

    return read


def _placed(places_of: Callable[[MxNode, int], Places], sizes: Callable[[int], int | None]) -> Read:
    """Read matrices of zeros but at places."""

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data = some(x[0])
        if not b.rank(data):
            return Refusal("its operand is a single number, and not a vector of what the matrix is to hold")
        count = b.shape(data)[-1]
        if not isinstance(count, int):
            return Refusal("the size of the matrix is not known; give the model's inputs fixed sizes")
        inner = sizes(count)
        if inner is None:
            return Refusal(f"{count} numbers make no triangle, 1, 3, 6, 10 and so on do")
        size = inner + abs(int(node.attrs.get("offset", "0")))
        check_elements(size * size)
        table = np.full(size * size, count)
        table[places_of(node, size)] = np.arange(count)
        rank = b.rank(data)
        padded = b.op("Pad", data, [0] * (2 * rank - 1) + [1])
        return b.op("Reshape", b.op("Gather", padded, table, axis=-1), [0] * (rank - 1) + [size, size])

    return read


def _side(count: int) -> int | None:
    """The rows of a triangle of that many numbers."""
    rows = int((np.sqrt(8 * count + 1) - 1) / 2)
    return rows if rows * (rows + 1) // 2 == count else None


def _read_sum_of_logs(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    diagonal: Any = _taken(_diagonal)(b, node, x)
    if isinstance(diagonal, Refusal):
        return diagonal
    return per_matrix(b, b.op("ReduceSum", b.op("Log", diagonal), [-1], keepdims=0))


_A = arr(2, 4, 4)


def _cases(data: Any, *, lower: bool) -> tuple[Case, ...]:
    found = [Case("main", (data,)), Case("above", (data,), {"offset": 1}), Case("below", (data,), {"offset": -2})]
    if lower:
        found.append(Case("upper", (data,), {"lower": False}))
        found.append(Case("above, not lower", (data,), {"lower": "0", "offset": -1}))
    return tuple(found)


def _form(op: str, read: Read, *reads: str, cases: tuple[Case, ...]) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


OP = Op(
    "",
    mx=(
        _form(
            "_linalg_extractdiag",
            _taken(_diagonal),
            "offset",
            cases=(*_cases(_A, lower=False), Case("of one matrix", (arr(3, 3),))),
        ),
        _form(
            "_linalg_extracttrian",
            _taken(_triangle),
            "offset",
            "lower",
            cases=(*_cases(_A, lower=True), Case("of one matrix", (arr(3, 3),))),
        ),
        _form(
            "_linalg_makediag",
            _placed(_diagonal, lambda count: count),
            "offset",
            cases=(*_cases(arr(2, 3), lower=False), Case("of one vector", (arr(3),))),
        ),
        _form(
            "_linalg_maketrian",
            _placed(_triangle, _side),
            "offset",
            "lower",
            cases=(*_cases(arr(2, 6), lower=True), Case("of one vector", (arr(3),))),
        ),
        _form(
            "_linalg_sumlogdiag",
            _read_sum_of_logs,
            cases=(Case("batch", (arr(2, 3, 3, low=0.5, high=2),)), Case("matrix", (arr(3, 3, low=0.5, high=2),))),
        ),
    ),
)
