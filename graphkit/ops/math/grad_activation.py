"""How gradients pass activation functions with attributes, and rectifiers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.ops.gradients import unary
from graphkit.ops.math.grad_unary import UNARY
from graphkit.ops.spec import decimal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.spec import Gradient

    Slope = Callable[[GradientBuilder, ir.Node, ir.Value], ir.Value]

__all__ = ["ACTIVATION"]


def _times(slope: Slope) -> Gradient:
    """The cotangent times what (builder, node, x) gives."""

    def rule(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
        return [b.op("Mul", dy[0], slope(b, node, some(node.inputs[0])))]

    return rule


def _where(passes: Slope) -> Gradient:
    """The cotangent where what (builder, node, x) gives is true, and zero elsewhere."""

    def rule(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
        return [b.op("Where", passes(b, node, some(node.inputs[0])), dy[0], b.scalar(0, dy[0]))]

    return rule


def _positive(b: GradientBuilder, x: ir.Value) -> ir.Value:
    return b.op("Greater", x, b.scalar(0, x))


def _scaled(b: GradientBuilder, x: ir.Value, factor: float) -> ir.Value:
    return x if factor == 1 else b.op("Mul", x, b.scalar(factor, x))


def _exponential(alpha: float, gamma: float) -> Slope:
    """γ above zero, else γ·α·eˣ."""

    def slope(b: GradientBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
        scale, upper = node.attributes.get_float("alpha", alpha), node.attributes.get_float("gamma", gamma)
        curve = b.op("Exp", b.op("Min", x, b.scalar(0, x)))
        return b.op("Where", _positive(b, x), b.scalar(upper, x), _scaled(b, curve, scale * upper))

    return slope


def _celu(b: GradientBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    """One above zero, else e to the x/α."""
    alpha = node.attributes.get_float("alpha", 1.0)
    return b.op("Exp", _scaled(b, b.op("Min", x, b.scalar(0, x)), 1 / alpha))


def _gelu(b: GradientBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    """Φ(x) + x·φ(x), or the slope of the approximation ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    half = b.scalar(0.5, x)
    if node.attributes.get_string("approximate", "none") == "none":
        part = b.op("Mul", x, b.scalar(math.sqrt(0.5), x))
        below = b.op("Add", b.op("Mul", b.op("Erf", part), half), half)
        bell = b.op("Exp", b.op("Neg", b.op("Mul", part, part)))
        return b.op("Add", below, b.op("Mul", b.op("Mul", part, bell), b.scalar(1 / math.sqrt(math.pi), x)))
    factor, square = math.sqrt(2 / math.pi), b.op("Mul", x, x)
    cubic = b.scalar(0.044715 * factor, x)
    gate = b.op("Tanh", b.op("Mul", x, b.op("Add", b.op("Mul", square, cubic), b.scalar(factor, x))))
    inner = b.op("Add", b.op("Mul", square, b.scalar(3 * 0.044715 * factor, x)), b.scalar(factor, x))
    bend = b.op("Sub", b.scalar(1, x), b.op("Mul", gate, gate))
    sides = b.op("Mul", b.op("Mul", x, inner), bend)
    return b.op("Mul", b.op("Add", b.op("Add", gate, b.scalar(1, x)), sides), half)


def _hard_sigmoid(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    x = some(node.inputs[0])
    alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
    if (decimal(alpha), beta) == (decimal(1 / 6), 0.5):
        inside = _between(b, x, -3, 3)
    else:
        line = b.op("Add", _scaled(b, x, alpha), b.scalar(beta, x))
        inside = _within(b, line, 0, 1)
    return [b.op("Where", inside, _scaled(b, dy[0], alpha), b.scalar(0, x))]


def _hard_swish(b: GradientBuilder, _node: ir.Node, x: ir.Value) -> ir.Value:
    sixth = float(np.float32(1 / 6))
    gate = b.op("HardSigmoid", x, alpha=sixth, beta=0.5)
    if b.dtype(x) == np.float64:
        inside = _within(b, b.op("Add", _scaled(b, x, sixth), b.scalar(0.5, x)), 0, 1)
    else:
        inside = _between(b, x, -3, 3)
    return b.op("Add", gate, b.op("Where", inside, _scaled(b, x, sixth), b.scalar(0, x)))


def _between(b: GradientBuilder, x: ir.Value, low: float, high: float) -> ir.Value:
    return b.op("And", b.op("Greater", x, b.scalar(low, x)), b.op("Less", x, b.scalar(high, x)))


def _within(b: GradientBuilder, x: ir.Value, low: float, high: float) -> ir.Value:
    return b.op("And", b.op("GreaterOrEqual", x, b.scalar(low, x)), b.op("LessOrEqual", x, b.scalar(high, x)))


def _beyond(b: GradientBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    bound = node.attributes.get_float("lambd", 0.5)
    return b.op("Or", b.op("Less", x, b.scalar(-bound, x)), b.op("Greater", x, b.scalar(bound, x)))


def _above(b: GradientBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    return b.op("Greater", x, b.scalar(node.attributes.get_float("alpha", 1.0), x))


def _leaky(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    x = some(node.inputs[0])
    below = _scaled(b, dy[0], node.attributes.get_float("alpha", 0.01))
    return [b.op("Where", _positive(b, x), dy[0], below)]


def _prelu(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    x, slope = (some(value) for value in node.inputs)
    found: list[ir.Value | None] = [None, None]
    if b.wants(x):
        found[0] = b.op("Where", _positive(b, x), dy[0], b.op("Mul", dy[0], slope))
    if b.wants(slope):
        found[1] = b.sum_to(b.op("Mul", dy[0], b.op("Min", x, b.scalar(0, x))), slope)
    return found


_RELU = unary(lambda b, _x, y, dy: b.op("Where", _positive(b, y), dy, b.scalar(0, y)))

ACTIVATION: Final[dict[str, Gradient]] = {
    **{name: UNARY[name] for name in ("Mish", "Sigmoid", "Softplus", "Softsign", "Tanh")},
    "Celu": _times(_celu),
    "Elu": _times(_exponential(1.0, 1.0)),
    "Gelu": _times(_gelu),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _times(_hard_swish),
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "Relu": _RELU,
    "Selu": _times(_exponential(1.67326319217681884765625, 1.05070102214813232421875)),
    "Shrink": _where(_beyond),
    "ThresholdedRelu": _where(_above),
}
"""By operator."""
