"""The Khatri–Rao product: the Kronecker product of matrices, column by column."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from graphkit.ops.spec import Case, MxForm, Op, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    matrices = [some(operand) for operand in x]
    columns = next((size for size in (b.shape(matrix)[1] for matrix in matrices) if isinstance(size, int)), None)
    if columns is None:
        columns = b.static_shape(matrices[0])[1]
    width = columns

    def product(left: ir.Value, right: ir.Value) -> ir.Value:
        rows = b.op("Mul", b.op("Unsqueeze", left, [1]), b.op("Unsqueeze", right, [0]))
        return b.op("Reshape", rows, [-1, width])

    return reduce(product, matrices) if len(matrices) > 1 else b.op("Identity", matrices[0])


OP = Op(
    "",
    mx=(
        MxForm(
            "khatri_rao",
            read=_read,
            ignore=("num_args",),
            direction="read",
            cases=(
                Case("two", (arr(2, 3), arr(4, 3)), {"num_args": 2}, grad=False),
                Case("three", (arr(2, 3), arr(1, 3), arr(3, 3)), {"num_args": 3}, dynamic=(0,), grad=False),
                Case("one", (arr(2, 3),), {"num_args": 1}, grad=False),
            ),
        ),
    ),
)
