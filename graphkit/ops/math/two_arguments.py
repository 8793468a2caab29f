"""Functions of two numbers that ONNX has no operator for: hypot, copysign, ldexp and lcm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.math.promotion import in_floats, with_scalar
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Tol, arr, given, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Arr

    Function = Callable[[OnnxBuilder, ir.Value, ir.Value], ir.Value]


def _hypot(b: OnnxBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    return b.op("Sqrt", b.op("Add", b.op("Mul", x, x), b.op("Mul", y, y)))


def _copysign(b: OnnxBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """MXNet takes −0 for positive, and NaN for negative."""
    if b.dtype(x).kind == "u":
        return b.op("Where", b.op("Equal", y, y), x, x)
    size = b.op("Abs", x)
    return b.op("Where", b.op("GreaterOrEqual", y, b.scalar(0, y)), size, b.op("Neg", size))


def _ldexp(b: OnnxBuilder, x: ir.Value, exponent: ir.Value) -> ir.Value:
    return b.op("Mul", x, b.op("Pow", b.scalar(2, exponent), exponent))


_STEPS = {8: 13, 32: 46, 64: 92}
"""By the number of bits, more steps than Euclid's algorithm takes for two such integers (Lamé's theorem)."""


def _lcm(b: OnnxBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Least common multiple by Euclid's algorithm; 0 where a number is."""
    if b.dtype(x).kind == "b":
        return b.op("And", x, y)
    zero, one = b.scalar(0, x), b.scalar(1, x)
    if b.dtype(x).kind == "i":
        x, y = b.op("Abs", x), b.op("Abs", y)
    divisor, rest = x, y
    for _ in range(_STEPS[b.dtype(x).itemsize * 8]):
        done = b.op("Equal", rest, zero)
        modulus = b.op("Where", done, one, rest)
        divisor, rest = b.op("Where", done, divisor, rest), b.op("Mod", divisor, modulus)
    divisor = b.op("Where", b.op("Equal", divisor, zero), one, divisor)
    return b.op("Mul", b.op("Div", x, divisor), y)


def _of_floats(function: Function) -> Function:
    """MXNet computes it of integers and of halves in float32."""
    return lambda b, x, y: in_floats(b, lambda left, right: function(b, left, right), x, y, narrow=False)


def _pair(name: str, function: Function, *cases: Case, also: tuple[str, ...] = (), whole: bool = False) -> MxForm:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        left, right = some(x[0]), some(x[1])
        one, other = b.dtype(left), b.dtype(right)
        if one != other:
            return Refusal(f"MXNet does not combine {one} with {other} here; cast one of them in the model")
        if whole and is_float(one):
            return Refusal("MXNet refuses it: it is for integers")
        return function(b, left, right)

    return MxForm(name, also=also, read=read, direction="read", cases=cases)


def _scalar(name: str, function: Function, *cases: Case, reverse: bool = False, whole: bool = False) -> MxForm:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        assert x[0] is not None
        data, scalar = with_scalar(b, node, x[0])
        if whole and (is_float(b.dtype(data)) or data is not x[0]):
            return Refusal("MXNet refuses it: it is for integers")
        return function(b, scalar, data) if reverse else function(b, data, scalar)

    return MxForm(name, read=read, reads=("scalar", "is_int"), direction="read", cases=cases)


_A, _B, _ROW = arr(2, 3, 4, low=0.3, high=2.0), arr(2, 3, 4, low=0.3, high=2.0), arr(4, low=0.3, high=2.0)
_POINTS = arr(6, 8), arr(6, 8)
_WHOLE, _OTHER = given([3, 5, -7, 100, 0], "int32"), given([2, -1, 3, 12, 4], "int32")
_ZERO_AXES = Case("zero axes", (arr(low=0.3), arr(low=0.3)))
_HALF = {"scalar": "0.7", "is_int": "False"}
_F32_HYPOT = Tol(float64=1e-6, reason="MXNet takes the root of the sum with a scalar in float32")
_INTEGERS = Case("integers", (_WHOLE, _OTHER), dtype="int32")
_SIGNS = given([1.0, -1.0, 0.0, 2.0, -3.0], "float32"), given([-0.0, 0.0, -1.0, np.nan, -np.inf], "float32")


def _scalar_cases(data: Arr, attrs: dict[str, str] = _HALF) -> tuple[Case, ...]:
    return (
        Case("scalar", (data,), attrs),
        Case("integers", (_WHOLE,), {"scalar": "2"}, dtype="int32"),
        Case("integers with a double", (_WHOLE,), {"scalar": "1.5", "is_int": "False"}, dtype="int32"),
    )


OPS = (
    Op(
        "",
        mx=(
            _pair("_hypot", _of_floats(_hypot), Case("equal shapes", (_A, _B)), _INTEGERS),
            _pair(
                "broadcast_hypot",
                _of_floats(_hypot),
                Case("broadcast", (_A, _ROW)),
                _ZERO_AXES,
                also=("_npi_hypot",),
            ),
            _scalar(
                "_hypot_scalar",
                _of_floats(_hypot),
                *_scalar_cases(_A)[1:],
                Case("scalar", (_A,), _HALF, tol=_F32_HYPOT),
            ),
        ),
    ),
    Op(
        "",
        mx=(
            _pair("_npi_copysign", _copysign, Case("points", _POINTS), _ZERO_AXES, Case("signs", _SIGNS, grad=False)),
            _scalar("_npi_copysign_scalar", _copysign, *_scalar_cases(arr(6), {"scalar": "-0.7", "is_int": "False"})),
            _scalar("_npi_rcopysign_scalar", _copysign, *_scalar_cases(arr(6)), reverse=True),
        ),
    ),
    Op(
        "",
        mx=(
            _pair("_npi_ldexp", _of_floats(_ldexp), Case("points", _POINTS), _ZERO_AXES, _INTEGERS),
            _scalar("_npi_ldexp_scalar", _of_floats(_ldexp), *_scalar_cases(arr(6))),
            _scalar("_npi_rldexp_scalar", _of_floats(_ldexp), *_scalar_cases(arr(6)), reverse=True),
        ),
    ),
    Op(
        "",
        mx=(
            _pair(
                "_npi_lcm",
                _lcm,
                Case(
                    "integers",
                    (given([[21, 6, -4, 0, 2147483647]], "int32"), given([[6], [35]], "int32")),
                    dtype="int32",
                ),
                Case("long Euclid", (given([1836311903, 2], "int32"), given([1134903170, 1], "int32")), dtype="int32"),
                Case("bytes", (given([12, 200], "uint8"), given([18, 150], "uint8")), dtype="uint8"),
                Case(
                    "truths", (given([True, True, False], "bool"), given([True, False, False], "bool")), dtype="int64"
                ),
                whole=True,
            ),
            _scalar("_npi_lcm_scalar", _lcm, Case("scalar", (_WHOLE,), {"scalar": "-4"}, dtype="int32"), whole=True),
        ),
    ),
)
