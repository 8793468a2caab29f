"""Equations of MXNet's NumPy interface: solve, tensorsolve and tensorinv."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import ints
from graphkit.ops.linalg.matrices import regular
from graphkit.ops.random.drawing import flat
from graphkit.ops.spec import Arr, Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _solved(b: OnnxBuilder, matrix: ir.Value, right: ir.Value) -> ir.Value:
    return b.op("Solve", matrix, right, domain=DOMAIN)


def _read_solve(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """A right side with an axis less than the matrices is a vector for each of them."""
    matrix, right = some(x[0]), some(x[1])
    if b.rank(matrix) - b.rank(right) not in (0, 1):
        return Refusal(f"its right side has {b.rank(right)} axes, and its matrices have {b.rank(matrix)}")
    if b.rank(right) == b.rank(matrix):
        return _solved(b, matrix, right)
    return b.op("Squeeze", _solved(b, matrix, b.op("Unsqueeze", right, [-1])), [-1])


def _sizes(b: OnnxBuilder, value: ir.Value) -> tuple[int, ...] | Refusal:
    shape = b.shape(value)
    known = tuple(size for size in shape if isinstance(size, int))
    return known if len(known) == len(shape) else Refusal("a size of its array is free; give fixed sizes")


def _read_tensorsolve(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """The array as a matrix: axes that ``a_axes`` names come last, and as many of the last as are left are unknowns."""
    array, right = some(x[0]), some(x[1])
    text = node.attrs.get("a_axes", "[]")
    rank, moved = b.rank(array), () if text in ("()", "[]", "None") else ints(text)
    if moved:
        last = [axis % rank for axis in moved if -rank <= axis < rank]
        if len(set(last)) != len(moved):
            return Refusal(f"a_axes={text} are not different axes of its array, which has {rank}")
        array = b.op("Transpose", array, perm=[axis for axis in range(rank) if axis not in last] + last)
    sizes = _sizes(b, array)
    if isinstance(sizes, Refusal):
        return sizes
    unknown = sizes[b.rank(right) :]
    count = flat(unknown)
    if flat(sizes) != count * count:
        return Refusal(f"an array of shape {sizes} is no square matrix for {count} unknowns")
    found = _solved(b, b.op("Reshape", array, [count, count]), b.op("Reshape", right, [count, 1]))
    return b.op("Reshape", found, list(unknown))


def _read_tensorinv(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """The array as a matrix: its first ``ind`` axes are rows."""
    array, rows = some(x[0]), int(node.attrs.get("ind", "2"))
    sizes = _sizes(b, array)
    if isinstance(sizes, Refusal):
        return sizes
    count = flat(sizes[:rows])
    if rows < 1 or count != flat(sizes[rows:]):
        return Refusal(f"an array of shape {sizes} is no square matrix with ind={rows}")
    inverse = b.op("Inverse", b.op("Reshape", array, [count, count]), domain=DOMAIN)
    return b.op("Reshape", inverse, [*sizes[rows:], *sizes[:rows]])


def _shaped(*shape: int) -> Arr:
    """An array that is a matrix far from singular."""
    side = round(flat(shape) ** 0.5)
    return given(regular(side, side).values.reshape(shape), "float32")


_A = regular(2, 3, 3)

OP = Op(
    "",
    mx=(
        MxForm(
            "_npi_solve",
            read=_read_solve,
            direction="read",
            cases=(
                Case("matrices", (_A, arr(2, 3, 4))),
                Case("a vector for each matrix", (_A, arr(2, 3))),
                Case("vector", (regular(3, 3), arr(3))),
            ),
        ),
        MxForm(
            "_npi_tensorinv",
            read=_read_tensorinv,
            reads=("ind",),
            direction="read",
            cases=(
                Case("two axes", (_shaped(2, 3, 6),)),
                Case("one axis", (_shaped(6, 3, 2),), {"ind": 1}),
            ),
        ),
        MxForm(
            "_npi_tensorsolve",
            read=_read_tensorsolve,
            reads=("a_axes",),
            direction="read",
            cases=(
                Case("last axes", (_shaped(2, 3, 6), arr(2, 3))),
                Case("given axes", (_shaped(6, 2, 3), arr(2, 3)), {"a_axes": (0,)}),
                Case("several unknowns", (_shaped(6, 2, 3), arr(6))),
            ),
        ),
    ),
    limits=tuple(
        Limit("read-backward", "MXNet 1.9.1 takes the vector for a matrix in its gradient, and stops", case)
        for case in ("a vector for each matrix", "vector")
    ),
)
