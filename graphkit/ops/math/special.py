"""The gamma function, its logarithm, and the inverse of the error function."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.gradients import unary
from graphkit.ops.math.promotion import in_floats
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, Tol, arr, given, is_float, torch_call
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ops.builders import BodyBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Body, Read
    from graphkit.ops.torchprogram import Arg

    Function = Callable[[BodyBuilder, ir.Value], ir.Value]

_LANCZOS_SHIFT = 607 / 128
_LANCZOS = (
    0.99999999999999709182,
    57.156235665862923517,
    -59.597960355475491248,
    14.136097974741747174,
    -0.49191381609762019978,
    0.33994649984811888699e-4,
    0.46523628927048575665e-4,
    -0.98374475304879564677e-4,
    0.15808870322491248884e-3,
    -0.21026444172410488319e-3,
    0.21743961811521264320e-3,
    -0.16431810653676389022e-3,
    0.84418223983852743293e-4,
    -0.26190838401581408670e-4,
    0.36899182659531622704e-5,
)
"""Coefficients of Lanczos' approximation for that shift (P. Godfrey, 2001), right to 15 digits."""

_CENTRE = (
    (
        3.3871328727963666080,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_SIDES = (
    (
        1.42343711074968357734,
        4.63033784615654529590,
        5.76949722146069140550,
        3.64784832476320460504,
        1.27045825245236838258,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187,
        1.67638483018380384940,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_TAILS = (
    (
        6.65790464350110377720,
        5.46378491116411436990,
        1.78482653991729133580,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)
"""Quotients of polynomials for the quantiles of the normal distribution, right to 16 digits (Wichura, AS 241, 1988)."""


def _in_doubles(function: Function) -> Body:
    """The body of a function that is computed in float64, whatever its input is."""
    return lambda b, _node, x: _of_doubles(b, function, x[0])


def _of_doubles(b: BodyBuilder, function: Function, x: ir.Value) -> ir.Value:
    dtype = b.dtype(x)
    if dtype == np.float64:
        return function(b, x)
    return b.op("Cast", function(b, b.op("Cast", x, to=ir.DataType.DOUBLE)), to=ir.DataType.from_numpy(dtype))


def _polynomial(b: BodyBuilder, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
    *rest, last = coefficients
    total = b.op("Add", b.op("Mul", x, b.scalar(last, x)), b.scalar(rest.pop(), x))
    for coefficient in reversed(rest):
        total = b.op("Add", b.op("Mul", total, x), b.scalar(coefficient, x))
    return total


def _quotient(b: BodyBuilder, x: ir.Value, polynomials: Sequence[Sequence[float]]) -> ir.Value:
    above, below = (_polynomial(b, x, each) for each in polynomials)
    return b.op("Div", above, below)


def _series(b: BodyBuilder, z: ir.Value) -> ir.Value:
    """Lanczos' sum for Γ(z + 1), z > −1/2."""
    total = b.scalar(_LANCZOS[0], z)
    for number, coefficient in enumerate(_LANCZOS[1:], 1):
        total = b.op("Add", total, b.op("Div", b.scalar(coefficient, z), b.op("Add", z, b.scalar(number, z))))
    return total


def _reflected(b: BodyBuilder, x: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Whether x is below 1/2; the number above it whose Γ is taken, less 1; and the sine of π x."""
    low = b.op("Less", x, b.scalar(0.5, x))
    z = b.op("Where", low, b.op("Neg", x), b.op("Sub", x, b.scalar(1, x)))
    whole = b.op("Round", x)
    sine = b.op("Sin", b.op("Mul", b.op("Sub", x, whole), b.scalar(math.pi, x)))
    half = b.op("Mul", whole, b.scalar(0.5, x))
    even = b.op("Equal", b.op("Floor", half), half)
    return low, z, b.op("Where", even, sine, b.op("Neg", sine))


def _lgamma(b: BodyBuilder, x: ir.Value) -> ir.Value:
    low, z, sine = _reflected(b, x)
    infinite = b.op("IsInf", x)
    z = b.op("Where", infinite, b.scalar(1, x), z)
    t = b.op("Add", z, b.scalar(_LANCZOS_SHIFT + 0.5, x))
    log = b.op("Mul", b.op("Add", z, b.scalar(0.5, x)), b.op("Log", t))
    log = b.op("Sub", log, t)
    log = b.op("Add", log, b.op("Log", b.op("Mul", _series(b, z), b.scalar(math.sqrt(2 * math.pi), x))))
    other = b.op("Sub", b.op("Log", b.op("Div", b.scalar(math.pi, x), b.op("Abs", sine))), log)
    return b.op("Where", infinite, b.op("Abs", x), b.op("Where", low, other, log))


def _gamma(b: BodyBuilder, x: ir.Value) -> ir.Value:
    """The power is taken in two halves, of which neither overflows before Γ does. Of negative integers it is NaN."""
    low, z, sine = _reflected(b, x)
    infinite = b.op("Equal", x, b.scalar(math.inf, x))
    z = b.op("Where", infinite, b.scalar(1, x), z)
    t = b.op("Add", z, b.scalar(_LANCZOS_SHIFT + 0.5, x))
    half = b.op("Add", b.op("Mul", z, b.scalar(0.5, x)), b.scalar(0.25, x))
    root = b.op("Pow", t, half)
    value = b.op("Mul", _series(b, z), b.scalar(math.sqrt(2 * math.pi), x))
    value = b.op("Mul", b.op("Mul", b.op("Mul", root, b.op("Exp", b.op("Neg", t))), root), value)
    other = b.op("Div", b.op("Div", b.scalar(math.pi, x), sine), value)
    pole = b.op("And", b.op("Less", x, b.scalar(0, x)), b.op("Equal", b.op("Floor", x), x))
    found = b.op("Where", infinite, x, b.op("Where", low, other, value))
    at_zero = b.op("Where", b.op("Equal", x, b.scalar(0, x)), b.op("Reciprocal", x), found)
    return b.op("Where", pole, b.scalar(math.nan, x), at_zero)


def _digamma(b: BodyBuilder, x: ir.Value) -> ir.Value:
    """The slope of the logarithm of Γ: of Lanczos' approximation, and below 1/2 ψ(1 − x) − π·cot(π·x).

    Of negative integers it is NaN.
    """
    low, z, _ = _reflected(b, x)
    t = b.op("Add", z, b.scalar(_LANCZOS_SHIFT + 0.5, x))
    slope = b.scalar(0.0, x)
    for number, coefficient in enumerate(_LANCZOS[1:], 1):
        place = b.op("Add", z, b.scalar(number, z))
        slope = b.op("Sub", slope, b.op("Div", b.scalar(coefficient, z), b.op("Mul", place, place)))
    found = b.op("Sub", b.op("Log", t), b.op("Div", b.scalar(_LANCZOS_SHIFT, x), t))
    found = b.op("Add", found, b.op("Div", slope, _series(b, z)))
    whole = b.op("Round", x)
    angle = b.op("Mul", b.op("Sub", x, whole), b.scalar(math.pi, x))
    cosine = b.op("Sin", b.op("Add", angle, b.scalar(math.pi / 2, x)))
    cotangent = b.op("Div", b.op("Mul", cosine, b.scalar(math.pi, x)), b.op("Sin", angle))
    pole = b.op("And", b.op("Less", x, b.scalar(0, x)), b.op("Equal", whole, x))
    other = b.op("Where", pole, b.scalar(math.nan, x), b.op("Sub", found, cotangent))
    return b.op("Where", low, other, found)


def _in_gamma(b: GradientBuilder, x: ir.Value, y: ir.Value, dy: ir.Value) -> ir.Value:
    return b.op("Mul", dy, b.op("Mul", y, _of_doubles(b, _digamma, x)))


def _in_lgamma(b: GradientBuilder, x: ir.Value, _y: ir.Value, dy: ir.Value) -> ir.Value:
    return b.op("Mul", dy, _of_doubles(b, _digamma, x))


def _in_erfinv(b: GradientBuilder, _x: ir.Value, y: ir.Value, dy: ir.Value) -> ir.Value:
    return b.op("Mul", dy, b.op("Mul", b.op("Exp", b.op("Mul", y, y)), b.scalar(math.sqrt(math.pi) / 2, y)))


_GRADIENTS = {"Gamma": unary(_in_gamma), "Lgamma": unary(_in_lgamma), "Erfinv": unary(_in_erfinv)}


def _erfinv(b: BodyBuilder, x: ir.Value) -> ir.Value:
    """The quantile of (x + 1) / 2 over √2."""
    q = b.op("Mul", x, b.scalar(0.5, x))
    size = b.op("Abs", x)
    near = b.op("LessOrEqual", size, b.scalar(0.85, x))
    centre = b.op("Mul", q, _quotient(b, b.op("Sub", b.scalar(0.180625, x), b.op("Mul", q, q)), _CENTRE))
    one = b.scalar(1, x)
    rest = b.op("Where", near, one, b.op("Mul", b.op("Sub", one, size), b.scalar(0.5, x)))
    end = b.op("Equal", rest, b.scalar(0, x))
    far = b.op("Sqrt", b.op("Neg", b.op("Log", b.op("Where", end, one, rest))))
    sides = _quotient(b, b.op("Sub", far, b.scalar(1.6, x)), _SIDES)
    tails = _quotient(b, b.op("Sub", far, b.scalar(5, x)), _TAILS)
    outer = b.op("Where", b.op("LessOrEqual", far, b.scalar(5, x)), sides, tails)
    outer = b.op("Mul", b.op("Sign", x), b.op("Where", end, b.scalar(math.inf, x), outer))
    return b.op("Mul", b.op("Where", near, centre, outer), b.scalar(math.sqrt(0.5), x))


def _torch_gamma(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Arg:
    """From its logarithm, which torch has; the sign changes at every negative integer, where there is no value."""
    size = b.call("torch.exp", b.call("torch.lgamma", x[0]))
    odd = b.infix("==", b.infix("%", b.method("floor", x[0]), 2), 1)
    negative = b.infix("<", x[0], 0)
    signed = b.call("torch.where", b.infix("&", negative, odd), b.prefix("-", size), size)
    pole = b.infix("&", negative, b.infix("==", b.method("floor", x[0]), x[0]))
    found = b.call("torch.where", pole, math.nan, signed)
    return b.call("torch.where", b.infix("==", x[0], 0), b.call("torch.reciprocal", x[0]), found)


def _read(name: str) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data = some(x[0])
        if not is_float(b.dtype(data)):
            return Refusal(f"of {b.dtype(data)} numbers MXNet cuts off what is behind the point; cast them to float32")
        return in_floats(b, lambda numbers: b.op(name, numbers, domain=DOMAIN), data, narrow=False)

    return read


def _op(name: str, mx: str, torch: Any, function: Function, *cases: Case, limits: tuple[Limit, ...] = ()) -> Op:
    form = MxForm(mx, read=_read(name), cases=(*cases, Case("no axes", (given(0.7, "float32"),), grad=False)))
    return Op(
        name,
        domain=DOMAIN,
        body=_in_doubles(function),
        mx=(form,),
        torch=torch,
        cases=cases,
        limits=limits,
        gradient=_GRADIENTS[name],
    )


_ROUGH = tuple(
    Limit(claim, "MXNet evaluates the digamma function in float32", "near the minimum")
    for claim in ("mxnet-backward", "read-backward")
)
_GAMMA_CASES = (
    Case("positive", (arr(2, 8, low=0.01, high=9.0),), grad=False),
    Case("negative", (given([-0.5, -1.5, -2.3, -7.9, 0.3, -0.01], "float32"),), grad=False),
    Case("near the minimum", (given([1.45, 1.46, 1.4616, 1.47], "float32"),)),
)
_POLES = given([0.0, -0.0, -1.0, -2.0, -30.0, np.inf, np.nan], "float32")

_NEAR_ONE = Tol(float32=1e-8, reason="float32 has no numbers so near to 1, so that it is computed in float64")

OPS = (
    _op(
        "Gamma",
        "gamma",
        _torch_gamma,
        _gamma,
        *_GAMMA_CASES,
        Case("poles", (_POLES,), grad=False),
        Case("largest", (given([170.5, 100.2], "float64"),), dtype="float64"),
        limits=_ROUGH,
    ),
    _op(
        "Lgamma",
        "gammaln",
        torch_call("torch.lgamma"),
        _lgamma,
        *_GAMMA_CASES,
        Case("poles", (_POLES,), grad=False),
        Case("large", (given([1e3, 1e10, -1000.3], "float32"),), grad=False),
        limits=_ROUGH,
    ),
    _op(
        "Erfinv",
        "erfinv",
        torch_call("torch.erfinv"),
        _erfinv,
        Case("centre", (arr(2, 8, low=-0.85, high=0.85),)),
        Case("sides", (given([0.86, -0.9, 0.93], "float32"),)),
        Case("far sides", (given([0.99, -0.999, 0.999999], "float32"),), grad=False),
        Case("tails", (given([1 - 1e-11, -1 + 1e-14], "float64"),), dtype="float64", tol=_NEAR_ONE),
        Case("ends", (given([1.0, -1.0, 0.0, 1.5], "float32"),), grad=False),
    ),
)
