"""How gradients pass element-wise functions of two arguments, and of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.producers import made_by
from graphkit.ir.training import is_backward
from graphkit.ops.gradients import binary
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.spec import Gradient

__all__ = ["BINARY", "VARIADIC"]


def _in_base(b: GradientBuilder, node: ir.Node, dy: ir.Value) -> ir.Value | None:
    """The cotangent times e·xᵉ⁻¹, and zero where e is."""
    base, exponent = (some(value) for value in node.inputs)
    stored = None if b.wants(exponent) else b.value(exponent)
    number = None if stored is None or stored.size != 1 else float(stored.reshape(-1)[0].astype(np.float64))
    if number == 0:
        return None
    if number == 1:
        return dy
    if number == 2:
        slope = b.op("Add", base, base)
    elif number is not None:
        slope = b.op("Mul", b.op("Pow", base, b.scalar(number - 1, base)), b.scalar(number, base))
    else:
        power = _cast(b, exponent, base)
        slope = b.op("Mul", power, b.op("Pow", base, b.op("Sub", power, b.scalar(1, base))))
        if stored is None or not stored.all():
            slope = b.op("Where", b.op("Equal", power, b.scalar(0, base)), b.scalar(0, base), slope)
    return b.op("Mul", dy, slope)


def _in_exponent(b: GradientBuilder, node: ir.Node, dy: ir.Value) -> ir.Value | None:
    """The cotangent times xᵉ·log x, and zero where x is and e is not negative."""
    base, exponent = (some(value) for value in node.inputs)
    zero = b.scalar(0, base)
    none = b.op("And", b.op("Equal", base, zero), b.op("GreaterOrEqual", _cast(b, exponent, base), zero))
    slope = b.op("Where", none, zero, b.op("Mul", node.outputs[0], b.op("Log", base)))
    return _cast(b, b.op("Mul", dy, slope), exponent)


def _cast(b: GradientBuilder, value: ir.Value, like: ir.Value) -> ir.Value:
    return value if b.dtype(value) == b.dtype(like) else b.op("Cast", value, to=ir.DataType.from_numpy(b.dtype(like)))


def _in_divisor(b: GradientBuilder, node: ir.Node, dy: ir.Value) -> ir.Value | None:
    """Minus the cotangent times the whole part of the quotient."""
    dividend, divisor = (some(value) for value in node.inputs)
    quotient = b.op("Round", b.op("Div", b.op("Sub", dividend, node.outputs[0]), divisor))
    return b.op("Neg", b.op("Mul", dy, quotient))


def _sum(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    return [b.sum_to(dy[0], some(value)) if b.wants(value) else None for value in node.inputs]


def _mean(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    return _sum(b, node, [b.op("Div", dy[0], b.scalar(len(node.inputs), dy[0]))])


def _extreme(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Two that are equal share the gradient evenly; a tensor that equals a number has it all.

    Of more than two the extreme is taken one after the other.
    """
    values = [some(value) for value in node.inputs]
    if (found := _bounded(b, node)) is not None:
        data, bound = found
        strict = "Greater" if node.op_type == "Max" else "Less"
        passing = b.op(strict, data, bound) if _is_relu6(b, node) else b.op("Equal", data, node.outputs[0])
        gradient = b.op("Where", passing, dy[0], b.scalar(0, dy[0]))
        return [gradient if value is data else None for value in values]
    heads = [values[0]]
    for value in values[1:-1]:
        heads.append(b.op(node.op_type, heads[-1], value))
    shares: list[ir.Value | None] = [None] * len(values)
    given, zero = dy[0], b.scalar(0, dy[0])
    for place in range(len(values) - 1, 0, -1):
        head, value = heads[place - 1], values[place]
        tie, half = b.op("Equal", head, value), b.op("Mul", given, b.scalar(0.5, given))
        ahead = b.op("Greater" if node.op_type == "Max" else "Less", head, value)
        if b.wants(value):
            shares[place] = b.sum_to(b.op("Where", tie, half, b.op("Where", ahead, zero, given)), value)
        if not any(map(b.wants, values[:place])):
            return shares
        given = b.sum_to(b.op("Where", tie, half, b.op("Where", ahead, given, zero)), head)
    shares[0] = given
    return shares


def _is_relu6(b: GradientBuilder, node: ir.Node) -> bool:
    """Whether it is half of what torch writes as relu6, which lets no gradient pass at its bounds."""
    bounds = {"Max": 0, "Min": 6}
    other = "Min" if node.op_type == "Max" else "Max"
    found = _bounded(b, node)
    users = [use.node for use in node.outputs[0].uses() if not is_backward(use.node)]
    after = users[0] if len(users) == 1 and users[0].op_type == other else None
    partners = [made_by(found[0], other) if found is not None else None, after]
    ends = [(bounds[each.op_type], _bounded(b, each)) for each in (node, *partners) if each is not None]
    reached = [found is not None and number == some(b.value(found[1])).item() for number, found in ends]
    return reached[0] and any(reached[1:])


def _bounded(b: GradientBuilder, node: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """The tensor and the number whose larger or smaller one a node gives."""
    if len(node.inputs) != 2:
        return None
    values = [some(value) for value in node.inputs]
    for tensor, bound in (values, values[::-1]):
        stored = None if b.wants(bound) else b.value(bound)
        if stored is not None and stored.size == 1 and b.value(tensor) is None and stored.ndim <= b.rank(tensor):
            return tensor, bound
    return None


BINARY: Final[dict[str, Gradient]] = {
    "Add": binary(lambda _b, _node, dy: dy, lambda _b, _node, dy: dy),
    "Sub": binary(lambda _b, _node, dy: dy, lambda b, _node, dy: b.op("Neg", dy)),
    "Mul": binary(
        lambda b, node, dy: b.op("Mul", dy, some(node.inputs[1])),
        lambda b, node, dy: b.op("Mul", dy, some(node.inputs[0])),
    ),
    "Div": binary(
        lambda b, node, dy: b.op("Div", dy, some(node.inputs[1])),
        lambda b, node, dy: b.op("Neg", b.op("Div", b.op("Mul", dy, node.outputs[0]), some(node.inputs[1]))),
    ),
    "Mod": binary(lambda _b, _node, dy: dy, _in_divisor),
    "Pow": binary(_in_base, _in_exponent),
}
"""By operator."""

VARIADIC: Final[dict[str, Gradient]] = {"Max": _extreme, "Mean": _mean, "Min": _extreme, "Sum": _sum}
"""By operator."""
