"""Element-wise functions of one argument: rows where ONNX and MXNet agree, compositions where they do not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graphkit.ops.producers import made_by
from graphkit.ops.spec import Case, MxForm, Op, Row, Tol, arr, given, torch_call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Refusal
    from graphkit.ops.torchprogram import Arg

_ANY = (Case("any", (arr(2, 3, 4),)),)
_POSITIVE = (Case("positive", (arr(2, 3, low=0.1, high=3.0),)),)
_UNIT = (Case("unit", (arr(2, 3, low=-0.9, high=0.9),)),)
_STEPS = Case("steps", (given([-2.0, -1.7, -1.2, -0.3, 0.2, 0.7, 1.4, 2.0], "float32"),), grad=False)
_F32_PI = Tol(float64=1e-6, reason="MXNet holds the factor in float32")
_ANGLE = (Case("any", (arr(2, 3, 4),), tol=_F32_PI),)
_ERF = Tol(float64=1e-6, reason="MXNet evaluates erf and its gradient in float32")

ROWS = (
    Row("Abs", "abs", _ANY, torch="torch.abs"),
    Row("Acos", "arccos", _UNIT, torch="torch.acos"),
    Row("Acosh", "arccosh", (Case("above one", (arr(2, 3, low=1.1, high=3.0),)),), torch="torch.acosh"),
    Row("Asin", "arcsin", _UNIT, torch="torch.asin"),
    Row("Asinh", "arcsinh", _ANY, torch="torch.asinh"),
    Row("Atan", "arctan", _ANY, torch="torch.atan"),
    Row("Atanh", "arctanh", _UNIT, torch="torch.atanh"),
    Row("Ceil", "ceil", (_STEPS,), torch="torch.ceil"),
    Row("Cos", "cos", _ANY, torch="torch.cos"),
    Row("Cosh", "cosh", _ANY, torch="torch.cosh"),
    Row("Erf", "erf", (Case("any", (arr(2, 3, 4),), tol=_ERF),), torch="torch.erf"),
    Row("Exp", "exp", _ANY, torch="torch.exp"),
    Row("Floor", "floor", (_STEPS,), torch="torch.floor"),
    Row("Log", "log", _POSITIVE, torch="torch.log"),
    Row("Sign", "sign", (_STEPS, Case("zero", (given([-1.0, 0.0, 2.0], "float32"),), grad=False)), torch="torch.sign"),
    Row("Sin", "sin", _ANY, torch="torch.sin"),
    Row("Sinh", "sinh", _ANY, torch="torch.sinh"),
    Row("Sqrt", "sqrt", _POSITIVE, torch="torch.sqrt"),
    Row("Tan", "tan", _ANY, torch="torch.tan"),
)


def mx_round(b: MxBuilder, x: MxRef) -> MxRef:
    """Half to even: the fraction decides, and an exact half adds the parity of the floor."""
    floor = b.op("floor", x)
    fraction = b.op("elemwise_sub", x, floor)
    above = b.op("_greater_scalar", fraction, scalar=0.5)
    half = b.op("_equal_scalar", fraction, scalar=0.5)
    odd = b.op("_mod_scalar", floor, scalar=2.0)
    return b.op("elemwise_add", b.op("elemwise_add", floor, above), b.op("elemwise_mul", half, odd))


def _write_round(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    return mx_round(b, x[0])


def _truncate(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    return b.op("Where", b.op("Less", x, b.scalar(0, x)), b.op("Ceil", x), b.op("Floor", x))


def _round_with(b: OnnxBuilder, x: ir.Value, floor: ir.Value, up: str) -> ir.Value:
    fraction = b.op("Sub", x, floor)
    return b.op("Where", b.op(up, fraction, b.scalar(0.5, x)), b.op("Add", floor, b.scalar(1, x)), floor)


def away_from_zero(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    """Round to the nearest whole number, exact halves away from zero."""
    size = b.op("Abs", x)
    return b.op("Mul", b.op("Sign", x), _round_with(b, size, b.op("Floor", size), "GreaterOrEqual"))


def _rint(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    """Nearest, and exact halves down, which is what MXNet does (and not what C's rint does)."""
    return _round_with(b, x, b.op("Floor", x), "Greater")


def _log1p(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    """Kahan's form, accurate for small arguments; W. Kahan's theorem as given in Goldberg (1991), theorem 4."""
    one = b.scalar(1, x)
    u = b.op("Add", x, one)
    lost = b.op("Equal", u, one)
    divisor = b.op("Where", lost, one, b.op("Sub", u, one))
    return b.op("Where", lost, x, b.op("Div", b.op("Mul", x, b.op("Log", u)), divisor))


def _expm1(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    """(u − 1)·x / log u with u = exp x, which cancels the rounding of u."""
    one = b.scalar(1, x)
    u = b.op("Exp", x)
    less = b.op("Sub", u, one)
    far = b.op("Greater", b.op("Abs", x), b.scalar(0.5, x))
    plain = b.op("Or", far, b.op("Equal", u, one))
    log = b.op("Where", plain, one, b.op("Log", b.op("Where", plain, b.op("Add", one, one), u)))
    near = b.op("Div", b.op("Mul", less, x), log)
    return b.op("Where", far, less, b.op("Where", b.op("Equal", u, one), x, near))


def _cbrt(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    return b.op("Mul", b.op("Sign", x), b.op("Pow", b.op("Abs", x), b.scalar(1 / 3, x)))


def _scaled(factor: float) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        return b.op("Mul", x[0], b.scalar(factor, x[0]))

    return read


def _div_sqrt_dim(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """Divide by √(size of the last axis), which scales attention scores."""
    assert x[0] is not None
    size = b.shape(x[0])[-1] if x[0].shape is not None else None
    if isinstance(size, int):
        return b.op("Div", x[0], b.scalar(math.sqrt(size), x[0]))
    root = b.op("Sqrt", b.op("CastLike", b.op("Shape", x[0], start=-1), x[0]))
    return b.op("Div", x[0], root)


def _log_base(base: float) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        return b.op("Div", b.op("Log", x[0]), b.scalar(math.log(base), x[0]))

    return read


_COMPOSED: dict[str, tuple[Callable[[OnnxBuilder, ir.Value], ir.Value], tuple[Case, ...]]] = {
    "cbrt": (_cbrt, (Case("signs", (given([-2.0, -0.5, 0.3, 8.0], "float32"),)),)),
    "expm1": (_expm1, (Case("any", (arr(2, 3),)), Case("small", (arr(2, 3, low=-1e-6, high=1e-6),)))),
    "fix": (_truncate, (_STEPS,)),
    "log1p": (_log1p, (Case("any", (arr(2, 3, low=-0.5, high=3.0),)), Case("small", (arr(5, low=-1e-6, high=1e-6),)))),
    "rcbrt": (lambda b, x: b.op("Reciprocal", _cbrt(b, x)), _POSITIVE),
    "rint": (_rint, (Case("halves", (given([-1.5, -0.5, 0.5, 1.5, 2.5, 0.4, -0.6], "float32"),), grad=False),)),
    "round": (
        away_from_zero,
        (Case("halves", (given([-1.5, -0.5, 0.5, 1.5, 2.5, 0.4, -0.6], "float32"),), grad=False),),
    ),
    "rsqrt": (lambda b, x: b.op("Reciprocal", b.op("Sqrt", x)), _POSITIVE),
    "square": (lambda b, x: b.op("Mul", x, x), _ANY),
    "trunc": (_truncate, (_STEPS,)),
}


def _composed(name: str) -> Op:
    build, cases = _COMPOSED[name]

    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        return build(b, x[0])

    return Op("", mx=(MxForm(name, read=read, direction="read", cases=cases),))


def _read_only(name: str, read: Read, cases: tuple[Case, ...]) -> Op:
    return Op("", mx=(MxForm(name, read=read, direction="read", cases=cases),))


def _torch_neg(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Sequence[Arg] | Refusal:
    """The negative of softplus(−x) is logsigmoid(x)."""
    softplus = made_by(node.inputs[0], "Softplus")
    inner = None if softplus is None else made_by(softplus.inputs[0], "Neg")
    if inner is None or inner.inputs[0] is None:
        return torch_call("-")(b, node, x)
    return b.call("F.logsigmoid", b.arg(inner.inputs[0]))


def _torch_reciprocal(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Sequence[Arg] | Refusal:
    root = made_by(node.inputs[0], "Sqrt")
    if root is None or root.inputs[0] is None:
        return torch_call("torch.reciprocal")(b, node, x)
    return b.call("torch.rsqrt", b.arg(root.inputs[0]))


OPS = (
    Op("Neg", mx=(MxForm("negative"),), torch=_torch_neg, cases=_ANY),
    Op("Reciprocal", mx=(MxForm("reciprocal"),), torch=_torch_reciprocal, cases=_POSITIVE),
    Op(
        "Round",
        mx=(MxForm("round", write=_write_round, direction="write"),),
        torch=torch_call("torch.round"),
        cases=(
            _STEPS,
            Case("halves", (given([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5], "float32"),), grad=False),
            Case("below half", (given([0.49999997, -0.49999997, 8388609.0], "float32"),), grad=False),
        ),
    ),
    *(_composed(name) for name in _COMPOSED),
    _read_only("degrees", _scaled(180 / math.pi), _ANGLE),
    _read_only("radians", _scaled(math.pi / 180), _ANGLE),
    _read_only("_contrib_div_sqrt_dim", _div_sqrt_dim, _ANY),
    _read_only("log2", _log_base(2.0), _POSITIVE),
    _read_only("log10", _log_base(10.0), _POSITIVE),
)
