"""The angle of points, which C and NumPy call arctan2."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.math.promotion import in_floats, with_scalar
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Tol, arr, given, is_float, torch_call
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, OnnxBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _body(b: BodyBuilder, _node: ir.Node, operands: Sequence[Any]) -> ir.Value:
    """The angle of the point (x, y), with the signs of zeros and at infinity as C has it.

    The tangent is taken of the quotient that is at most 1, so that nothing overflows and the gradient is right on the
    axes, too; a half turn or a quarter is added.
    """
    y, x = operands
    left, below = _negative(b, x), _negative(b, y)
    one = b.scalar(1, x)
    both = b.op("And", b.op("IsInf", x), b.op("IsInf", y))
    x, y = (b.op("Where", both, b.op("Sign", each), each) for each in (x, y))
    across, up = b.op("Abs", x), b.op("Abs", y)
    steep = b.op("Greater", up, across)
    origin = b.op("Equal", b.op("Max", across, up), b.scalar(0, x))
    base = b.op("Where", steep, y, b.op("Where", origin, one, x))
    angle = b.op("Atan", b.op("Div", b.op("Where", steep, x, y), base))
    quarter = b.op("Where", below, b.scalar(-math.pi / 2, x), b.scalar(math.pi / 2, x))
    half = b.op("Where", below, b.scalar(-math.pi, x), b.scalar(math.pi, x))
    flat = b.op("Where", left, b.op("Add", angle, half), angle)
    return b.op("Where", steep, b.op("Sub", quarter, angle), flat)


def _negative(b: BodyBuilder, x: ir.Value) -> ir.Value:
    """Whether the sign is minus, as that of −0, of which the reciprocal is −∞."""
    zero = b.scalar(0, x)
    return b.op("Or", b.op("Less", x, zero), b.op("Less", b.op("Reciprocal", x), zero))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """(x, −y) / (x² + y²), and zero at the origin."""
    y, x = (some(value) for value in node.inputs)
    square = b.op("Add", b.op("Mul", x, x), b.op("Mul", y, y))
    share = b.op("Div", dy[0], b.op("Where", b.op("Equal", square, b.scalar(0, x)), b.scalar(1, x), square))
    in_y = b.sum_to(b.op("Mul", share, x), y) if b.wants(y) else None
    return [in_y, b.sum_to(b.op("Neg", b.op("Mul", share, y)), x) if b.wants(x) else None]


def _angle(b: OnnxBuilder, *operands: ir.Value) -> ir.Value:
    return in_floats(b, lambda *numbers: b.op("Atan2", *numbers, domain=DOMAIN), *operands, narrow=False)


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    y, other = some(x[0]), some(x[1])
    if not is_float(b.dtype(y)) or b.dtype(y) != b.dtype(other):
        return Refusal("MXNet refuses it: it is for floats of one dtype")
    return _angle(b, y, other)


def _read_scalar(*, reverse: bool) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        data, scalar = with_scalar(b, node, some(x[0]))
        operands = (scalar, data) if reverse else (data, scalar)
        return _angle(b, *operands)

    return read


def _scalar(name: str, *, reverse: bool) -> MxForm:
    whole = given([3, 5, -7, 100, 0], "int32")
    return MxForm(
        name,
        read=_read_scalar(reverse=reverse),
        reads=("scalar", "is_int"),
        direction="read",
        cases=(
            Case("scalar", (arr(6),), {"scalar": "0.7", "is_int": "False"}),
            Case("no axes", (arr(),), {"scalar": "-2"}),
            Case("integers", (whole,), {"scalar": "2"}, dtype="int32"),
            Case("integers with a double", (whole,), {"scalar": "1.5", "is_int": "False"}, dtype="int32"),
        ),
    )


_CORNERS = Case(
    "zeros and infinities",
    (
        given([0.0, -0.0, 0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.inf, np.nan, 3e38, 2.0, -2.0], "float32"),
        given([0.0, 0.0, -0.0, -0.0, -0.0, np.inf, np.inf, -np.inf, 1.0, 1.0, -3e38, 0.0, 0.0], "float32"),
    ),
    grad=False,
)
_ON_AXES = Case("on axes", (given([0.0, 1.5, -1.5], "float32"), given([2.0, 0.0, 0.0], "float32")))
_POINTS = arr(6, 8), arr(6, 8)

OP = Op(
    "Atan2",
    domain=DOMAIN,
    body=_body,
    mx=(
        MxForm(
            "_npi_arctan2",
            read=_read,
            cases=(
                Case("points", _POINTS),
                Case("no axes", (arr(low=0.3), arr(low=0.3))),
                Case("halves", (arr(6), arr(6)), dtype="float16", tol=Tol(float32=2e-3, reason="they are halves")),
                _CORNERS,
                _ON_AXES,
            ),
        ),
        _scalar("_npi_arctan2_scalar", reverse=False),
        _scalar("_npi_rarctan2_scalar", reverse=True),
    ),
    torch=torch_call("torch.atan2"),
    gradient=_gradient,
    cases=(
        Case("points", _POINTS, dynamic=(0, 1)),
        Case("broadcast", (arr(6, 1), arr(8))),
        Case("stored", (arr(6, 2), arr(2)), const=(1,)),
        _CORNERS,
        _ON_AXES,
    ),
)
