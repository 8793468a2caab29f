"""exp(x) − 1 and log(1 + x), which keep the digits of small numbers, as graphkit's own operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.own import DOMAIN
from graphkit.ops.gradients import unary
from graphkit.ops.math.promotion import in_floats
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, torch_call
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _log1p(b: BodyBuilder, x: ir.Value) -> ir.Value:
    """Kahan's form, accurate for small arguments; W. Kahan's theorem as given in Goldberg (1991), theorem 4."""
    one = b.scalar(1, x)
    u = b.op("Add", x, one)
    lost = b.op("Equal", u, one)
    divisor = b.op("Where", lost, one, b.op("Sub", u, one))
    return b.op("Where", lost, x, b.op("Div", b.op("Mul", x, b.op("Log", u)), divisor))


def _expm1(b: BodyBuilder, x: ir.Value) -> ir.Value:
    """(u − 1)·x / log u with u = exp x, which cancels the rounding of u."""
    one = b.scalar(1, x)
    u = b.op("Exp", x)
    less = b.op("Sub", u, one)
    far = b.op("Greater", b.op("Abs", x), b.scalar(0.5, x))
    plain = b.op("Or", far, b.op("Equal", u, one))
    log = b.op("Where", plain, one, b.op("Log", b.op("Where", plain, b.op("Add", one, one), u)))
    near = b.op("Div", b.op("Mul", less, x), log)
    return b.op("Where", far, less, b.op("Where", b.op("Equal", u, one), x, near))


def _read(name: str) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data = some(x[0])
        if b.dtype(data).kind == "b":
            return Refusal("MXNet refuses it: it is for numbers, not for truth values")
        return in_floats(b, lambda numbers: b.op(name, numbers, domain=DOMAIN), data, narrow=False)

    return read


_GRADIENTS = {
    "Expm1": unary(lambda b, _x, y, dy: b.op("Mul", dy, b.op("Add", y, b.scalar(1, y)))),
    "Log1p": unary(lambda b, x, _y, dy: b.op("Div", dy, b.op("Add", x, b.scalar(1, x)))),
}


def _op(name: str, mx: str, torch: str, compute: Callable[[BodyBuilder, ir.Value], ir.Value]) -> Op:
    def body(b: BodyBuilder, _node: ir.Node, x: Sequence[Any]) -> ir.Value:
        return compute(b, x[0])

    cases = (
        Case("any", (arr(2, 3, low=-0.5, high=3.0),), dynamic=(0,)),
        Case("small", (arr(5, low=-1e-6, high=1e-6),)),
    )
    more = (
        Case("no axes", (given(0.7, "float32"),)),
        Case("integers", (given([0, 1, 3], "int32"),), dtype="int32"),
    )
    form = MxForm(mx, also=(f"_npi_{mx}",), read=_read(name), cases=(*cases, *more))
    gradient = _GRADIENTS[name]
    return Op(name, domain=DOMAIN, body=body, mx=(form,), torch=torch_call(torch), cases=cases, gradient=gradient)


OPS = (_op("Expm1", "expm1", "torch.expm1", _expm1), _op("Log1p", "log1p", "torch.log1p", _log1p))
