"""How gradients pass element-wise functions of one argument without attributes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from graphkit.ops.gradients import flat, unary

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.spec import Gradient

    Slope = Callable[[GradientBuilder, ir.Value, ir.Value], ir.Value]

__all__ = ["UNARY"]


def _times(slope: Slope) -> Gradient:
    """The cotangent times what (builder, x, y) gives."""
    return unary(lambda b, x, y, dy: b.op("Mul", dy, slope(b, x, y)))


def _over(slope: Slope) -> Gradient:
    """The cotangent over what (builder, x, y) gives."""
    return unary(lambda b, x, y, dy: b.op("Div", dy, slope(b, x, y)))


def _square_plus(b: GradientBuilder, x: ir.Value, number: float) -> ir.Value:
    return b.op("Add", b.op("Mul", x, x), b.scalar(number, x))


def _one_less_square(b: GradientBuilder, x: ir.Value) -> ir.Value:
    return b.op("Sub", b.scalar(1, x), b.op("Mul", x, x))


def _acos(b: GradientBuilder, x: ir.Value, _y: ir.Value) -> ir.Value:
    return b.op("Neg", b.op("Sqrt", _one_less_square(b, x)))


def _sigmoid(b: GradientBuilder, _x: ir.Value, y: ir.Value) -> ir.Value:
    return b.op("Mul", y, b.op("Sub", b.scalar(1, y), y))


def _erf(b: GradientBuilder, x: ir.Value, _y: ir.Value) -> ir.Value:
    bell = b.op("Exp", b.op("Neg", b.op("Mul", x, x)))
    return b.op("Mul", bell, b.scalar(2 / math.sqrt(math.pi), x))


def _mish(b: GradientBuilder, x: ir.Value, _y: ir.Value) -> ir.Value:
    """With t = tanh(softplus(x)): t + x·σ(x)·(1 − t²), of which e to the −softplus(x) is s = σ(−x).

    So t is σ(x)·(1 + s) / (1 + s²), and 1 − t² the square of 2·s / (1 + s²).
    """
    one, gate, rest = b.scalar(1, x), b.op("Sigmoid", x), b.op("Sigmoid", b.op("Neg", x))
    share = b.op("Reciprocal", b.op("Add", b.op("Mul", rest, rest), one))
    bend = b.op("Mul", b.op("Add", rest, rest), share)
    height = b.op("Mul", b.op("Add", rest, one), share)
    slope = b.op("Add", height, b.op("Mul", x, b.op("Mul", bend, bend)))
    return b.op("Mul", gate, slope)


def _softsign(b: GradientBuilder, x: ir.Value, _y: ir.Value) -> ir.Value:
    inverse = b.op("Reciprocal", b.op("Add", b.op("Abs", x), b.scalar(1, x)))
    return b.op("Mul", inverse, inverse)


UNARY: Final[dict[str, Gradient]] = {
    "Abs": _times(lambda b, x, _y: b.op("Sign", x)),
    "Acos": _over(_acos),
    "Acosh": _over(lambda b, x, _y: b.op("Sqrt", _square_plus(b, x, -1))),
    "Asin": _over(lambda b, x, _y: b.op("Sqrt", _one_less_square(b, x))),
    "Asinh": _over(lambda b, x, _y: b.op("Sqrt", _square_plus(b, x, 1))),
    "Atan": _over(lambda b, x, _y: _square_plus(b, x, 1)),
    "Atanh": _over(lambda b, x, _y: _one_less_square(b, x)),
    "Ceil": flat,
    "Cos": _times(lambda b, x, _y: b.op("Neg", b.op("Sin", x))),
    "Cosh": _times(lambda b, x, _y: b.op("Sinh", x)),
    "Erf": _times(_erf),
    "Exp": _times(lambda _b, _x, y: y),
    "Floor": flat,
    "Log": _over(lambda _b, x, _y: x),
    "Mish": _times(_mish),
    "Neg": unary(lambda b, _x, _y, dy: b.op("Neg", dy)),
    "Reciprocal": _times(lambda b, _x, y: b.op("Neg", b.op("Mul", y, y))),
    "Round": flat,
    "Sigmoid": _times(_sigmoid),
    "Sign": flat,
    "Sin": _times(lambda b, x, _y: b.op("Cos", x)),
    "Sinh": _times(lambda b, x, _y: b.op("Cosh", x)),
    "Softplus": _times(lambda b, x, _y: b.op("Sigmoid", x)),
    "Softsign": _times(_softsign),
    "Sqrt": _over(lambda b, _x, y: b.op("Add", y, y)),
    "Tan": _times(lambda b, _x, y: _square_plus(b, y, 1)),
    "Tanh": _times(lambda b, _x, y: _one_less_square(b, y)),
}
"""By operator."""
