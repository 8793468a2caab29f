"""Element-wise functions of one argument: rows where ONNX and MXNet agree, compositions where they do not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphkit.ir.producers import made_by
from graphkit.ops.math.grad_unary import UNARY
from graphkit.ops.math.promotion import in_floats
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Row, Tol, arr, given, torch_call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read
    from graphkit.ops.torchprogram import Arg

    _Function = Callable[[OnnxBuilder, ir.Value], ir.Value]

_ANY = (Case("any", (arr(2, 3, 4),)),)
_POSITIVE = (Case("positive", (arr(2, 3, low=0.1, high=3.0),)),)
_UNIT = (Case("unit", (arr(2, 3, low=-0.9, high=0.9),)),)
_STEPS = Case("steps", (given([-2.0, -1.7, -1.2, -0.3, 0.2, 0.7, 1.4, 2.0], "float32"),), grad=False)
_HALVES = Case("halves", (given([-1.5, -0.5, 0.5, 1.5, 2.5, 0.4, -0.6], "float32"),), grad=False)
_F32_PI = Tol(float64=1e-6, reason="MXNet holds the factor in float32")
_ANGLE = (Case("any", (arr(2, 3, 4),), tol=_F32_PI),)
_ERF = Tol(float64=1e-6, reason="MXNet evaluates erf and its gradient in float32")

ROWS = (Row("Erf", "erf", (Case("any", (arr(2, 3, 4),), tol=_ERF),), torch="torch.erf", gradient=UNARY["Erf"]),)
_ROWS = (
    Row("Abs", "abs", _ANY, torch="torch.abs", also=("_npi_absolute",)),
    Row("Acos", "arccos", _UNIT, torch="torch.acos", also=("_npi_arccos",)),
    Row(
        "Acosh",
        "arccosh",
        (Case("above one", (arr(2, 3, low=1.1, high=3.0),)),),
        torch="torch.acosh",
        also=("_npi_arccosh",),
    ),
    Row("Asin", "arcsin", _UNIT, torch="torch.asin", also=("_npi_arcsin",)),
    Row("Asinh", "arcsinh", _ANY, torch="torch.asinh", also=("_npi_arcsinh",)),
    Row("Atan", "arctan", _ANY, torch="torch.atan", also=("_npi_arctan",)),
    Row("Atanh", "arctanh", _UNIT, torch="torch.atanh", also=("_npi_arctanh",)),
    Row("Ceil", "ceil", (_STEPS,), torch="torch.ceil", also=("_npi_ceil",)),
    Row("Cos", "cos", _ANY, torch="torch.cos", also=("_npi_cos",)),
    Row("Cosh", "cosh", _ANY, torch="torch.cosh", also=("_npi_cosh",)),
    Row("Exp", "exp", _ANY, torch="torch.exp", also=("_npi_exp",)),
    Row("Floor", "floor", (_STEPS,), torch="torch.floor", also=("_npi_floor",)),
    Row("Log", "log", _POSITIVE, torch="torch.log", also=("_npi_log",)),
    Row(
        "Sign",
        "sign",
        (_STEPS, Case("zero", (given([-1.0, 0.0, 2.0], "float32"),), grad=False)),
        torch="torch.sign",
        also=("_npi_sign",),
    ),
    Row("Sin", "sin", _ANY, torch="torch.sin", also=("_npi_sin",)),
    Row("Sinh", "sinh", _ANY, torch="torch.sinh", also=("_npi_sinh",)),
    Row("Sqrt", "sqrt", _POSITIVE, torch="torch.sqrt", also=("_npi_sqrt",)),
    Row("Tan", "tan", _ANY, torch="torch.tan", also=("_npi_tan",)),
)


def _number_cases(name: str) -> tuple[Case, ...]:
    """A number without axes, as MXNet's NumPy mode has it, and integers."""
    logarithm = name.startswith("log") or name in ("arccosh", "reciprocal", "rsqrt", "rcbrt")
    values = [1, 1, 3] if logarithm else [0, 0] if name == "arctanh" else [0, 1] if "arc" in name else [0, 1, 3]
    return (
        Case("no axes", (given(1.5 if name == "arccosh" else 0.7, "float32"),), grad=name not in _FLAT),
        Case("integers", (given(values, "int32"),), dtype="int32"),
    )


def _of_number(compute: _Function, *, whole: bool) -> Read:
    """Reads a function that MXNet takes of integers, too, though not of truth values.

    Args:
        compute: The function.
        whole: Whether it gives the integers that MXNet gives; of others MXNet takes functions in float32.
    """

    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        assert x[0] is not None
        if b.dtype(x[0]).kind == "b":
            return Refusal("MXNet refuses it: it is for numbers, not for truth values")
        return compute(b, x[0]) if whole else in_floats(b, lambda data: compute(b, data), x[0])

    return read


_OF_INTEGERS = frozenset({"abs", "negative", "sign", "square"})
"""Functions that ONNX computes of integers as MXNet does."""
_FLAT = frozenset({"ceil", "fix", "floor", "rint", "round", "sign", "trunc"})
"""Functions without a slope."""


def _negative(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    return b.op("Sub", b.scalar(0, x), x) if b.dtype(x).kind == "u" else b.op("Neg", x)


def _named(row: Row, compute: _Function | None = None) -> Op:
    op = row.op()
    read = _of_number(compute or (lambda b, x: b.op(row.onnx, x)), whole=row.mx in _OF_INTEGERS)
    cases = (*row.cases, *_number_cases(row.mx))
    return replace(op, mx=(replace(op.mx[0], read=read, cases=cases),), gradient=UNARY[row.onnx])


def mx_round(b: MxBuilder, x: MxRef) -> MxRef:
    """Half to even: the fraction decides, and an exact half adds the parity of the floor."""
    floor = b.op("floor", x)
    fraction = b.op("elemwise_sub", x, floor)
    above = b.op("_greater_scalar", fraction, scalar=0.5)
    half = b.op("_equal_scalar", fraction, scalar=0.5)
    odd = b.op("_mod_scalar", floor, scalar=2.0)
    return b.op("elemwise_add", b.op("elemwise_add", floor, above), b.op("where", half, odd, half))


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


def _cbrt(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    return b.op("Mul", b.op("Sign", x), b.op("Pow", b.op("Abs", x), b.scalar(1 / 3, x)))


def _scaled(factor: float) -> _Function:
    return lambda b, x: b.op("Mul", x, b.scalar(factor, x))


def _div_sqrt_dim(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """Divide by √(size of the last axis), which scales attention scores."""
    assert x[0] is not None
    size = b.shape(x[0])[-1] if x[0].shape is not None else None
    if isinstance(size, int):
        return b.op("Div", x[0], b.scalar(math.sqrt(size), x[0]))
    root = b.op("Sqrt", b.op("CastLike", b.op("Shape", x[0], start=-1), x[0]))
    return b.op("Div", x[0], root)


def _log_base(base: float) -> _Function:
    return lambda b, x: b.op("Div", b.op("Log", x), b.scalar(math.log(base), x))


_COMPOSED: dict[str, tuple[_Function, tuple[Case, ...], tuple[str, ...]]] = {
    "cbrt": (_cbrt, (Case("signs", (given([-2.0, -0.5, 0.3, 8.0], "float32"),)),), ("_npi_cbrt",)),
    "degrees": (_scaled(180 / math.pi), _ANGLE, ("_npi_degrees",)),
    "fix": (_truncate, (_STEPS,), ("_npi_fix",)),
    "log10": (_log_base(10.0), _POSITIVE, ("_npi_log10",)),
    "log2": (_log_base(2.0), _POSITIVE, ("_npi_log2",)),
    "radians": (_scaled(math.pi / 180), _ANGLE, ("_npi_radians",)),
    "rcbrt": (lambda b, x: b.op("Reciprocal", _cbrt(b, x)), _POSITIVE, ()),
    "rint": (_rint, (_HALVES,), ("_npi_rint",)),
    "round": (away_from_zero, (_HALVES,), ()),
    "rsqrt": (lambda b, x: b.op("Reciprocal", b.op("Sqrt", x)), _POSITIVE, ()),
    "square": (lambda b, x: b.op("Mul", x, x), _ANY, ("_npi_square",)),
    "trunc": (_truncate, (_STEPS,), ("_npi_trunc",)),
}


def _composed(name: str) -> Op:
    compute, cases, also = _COMPOSED[name]
    read = _of_number(compute, whole=name in _OF_INTEGERS)
    cases = (*cases, *(replace(case, tol=cases[0].tol) for case in _number_cases(name)))
    return Op("", mx=(MxForm(name, also=also, read=read, direction="read", cases=cases),))


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
    *map(_named, _ROWS),
    replace(_named(Row("Neg", "negative", _ANY, also=("_npi_negative",)), _negative), torch=_torch_neg),
    replace(_named(Row("Reciprocal", "reciprocal", _POSITIVE, also=("_npi_reciprocal",))), torch=_torch_reciprocal),
    Op(
        "Round",
        mx=(MxForm("round", write=_write_round, direction="write"),),
        torch=torch_call("torch.round"),
        gradient=UNARY["Round"],
        cases=(
            _STEPS,
            Case("halves", (given([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5], "float32"),), grad=False),
            Case("below half", (given([0.49999997, -0.49999997, 8388609.0], "float32"),), grad=False),
        ),
    ),
    *(_composed(name) for name in _COMPOSED),
    Op("", mx=(MxForm("_contrib_div_sqrt_dim", read=_div_sqrt_dim, direction="read", cases=_ANY),)),
)
