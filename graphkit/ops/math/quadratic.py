"""a·x² + b·x + c, the example operator of MXNet's tutorial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import FLOAT
from graphkit.ops.math.promotion import in_floats
from graphkit.ops.spec import Case, MxForm, Op, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    def polynomial(data: ir.Value) -> ir.Value:
        square, slope, shift = (b.scalar(FLOAT.parse(node.attrs.get(name, "0")), data) for name in "abc")
        return b.op("Add", b.op("Mul", data, b.op("Add", b.op("Mul", square, data), slope)), shift)

    return in_floats(b, polynomial, some(x[0]))


OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_quadratic",
            read=_read,
            reads=("a", "b", "c"),
            direction="read",
            cases=(
                Case("polynomial", (arr(2, 3),), {"a": 0.5, "b": -1.25, "c": 2}),
                Case("defaults", (arr(2, 3),), grad=False),
                Case(
                    "integers",
                    (arr(2, 3, low=0, high=6, dtype="uint8"),),
                    {"a": 0.5, "b": -1.25, "c": 2},
                    grad=False,
                ),
            ),
        ),
    ),
)
