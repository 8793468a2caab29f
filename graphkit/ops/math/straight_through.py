"""Operators whose gradient is not the derivative of what they compute: estimators that training puts on purpose.

What is read has a part through which no gradient flows and one that is zero, to the last bit, and has the gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import FLOAT
from graphkit.ops.math.unary import away_from_zero
from graphkit.ops.spec import Case, MxForm, Op, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _zero(b: OnnxBuilder, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The numbers without their gradient, and zeros that have it."""
    stopped = b.stopped(x)
    return stopped, b.op("Sub", x, stopped)


def _straight_through(compute: Callable[[OnnxBuilder, ir.Value], ir.Value]) -> Read:
    """A function with gradient 1."""

    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        stopped, zero = _zero(b, some(x[0]))
        return b.op("Add", compute(b, stopped), zero)

    return read


def _read_multiplier(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, factor = some(x[0]), FLOAT.parse(node.attrs.get("scalar", "1"))
    if factor == 1:
        return b.op("Identity", data)
    stopped, zero = _zero(b, data)
    return b.op("Add", stopped, b.op("Mul", zero, b.scalar(factor, data)))


def _form(op: str, read: Read, *cases: Case, reads: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> MxForm:
    return MxForm(op, read=read, reads=reads, ignore=ignore, direction="read", cases=cases)


_HALVES = given([-1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 0.4, -0.6, -1e8], "float32")

OP = Op(
    "",
    mx=(
        _form("_contrib_round_ste", _straight_through(away_from_zero), Case("halves", (_HALVES,), grad=False)),
        _form(
            "_contrib_sign_ste",
            _straight_through(lambda b, x: b.op("Sign", x)),
            Case("signs", (_HALVES,), grad=False),
        ),
        _form(
            "_contrib_gradientmultiplier",
            _read_multiplier,
            Case("reversed", (arr(2, 3),), {"scalar": -0.3}, grad=False),
            Case("not multiplied", (arr(2, 3),)),
            Case("integers", (arr(2, 3, low=-5, high=5, dtype="int32"),), {"scalar": 2, "is_int": True}, grad=False),
            reads=("scalar",),
            ignore=("is_int",),
        ),
    ),
)
