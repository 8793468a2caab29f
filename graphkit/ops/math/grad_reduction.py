"""How gradients pass reductions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.spec import Gradient

    Slope = Callable[[GradientBuilder, ir.Node, ir.Value, ir.Value, ir.Value], ir.Value]

__all__ = ["REDUCTION"]


def _rule(slope: Slope, elementwise: Slope | None = None) -> Gradient:
    """The gradient of a reduction.

    Args:
        slope: (builder, node, x, y, cotangent) -> gradient in x; y and the cotangent have the reduced axes, of size 1.
        elementwise: The same for a reduction over no axes; where None, that gives its input.
    """

    def rule(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
        x, y = some(node.inputs[0]), node.outputs[0]
        if _keeps_all(b, node):
            return [dy[0] if elementwise is None else elementwise(b, node, x, y, dy[0])]
        return [slope(b, node, x, _spread(b, node, y), _spread(b, node, dy[0]))]

    return rule


def _axes(node: ir.Node) -> ir.Value | None:
    return node.inputs[1] if len(node.inputs) > 1 else None


def _keeps_all(b: GradientBuilder, node: ir.Node) -> bool:
    """Whether it is known to reduce over no axes."""
    axes = _axes(node)
    stored = b.value(axes)
    none = axes is None or (stored is not None and not stored.size)
    return none and bool(node.attributes.get_int("noop_with_empty_axes", 0))


def _spread(b: GradientBuilder, node: ir.Node, value: ir.Value) -> ir.Value:
    """What has the shape of the result, with the reduced axes."""
    axes = _axes(node)
    if node.attributes.get_int("keepdims", 1) or axes is None:
        return value
    return b.op("Unsqueeze", value, axes)


def _again(b: GradientBuilder, node: ir.Node, op_type: str, value: ir.Value) -> ir.Value:
    """Another reduction over the same axes, which keeps them."""
    noop = node.attributes.get_int("noop_with_empty_axes", 0) or None
    return b.op(op_type, value, _axes(node), keepdims=1, noop_with_empty_axes=noop)


def _sum(b: GradientBuilder, _node: ir.Node, x: ir.Value, _y: ir.Value, dy: ir.Value) -> ir.Value:
    return b.op("Expand", dy, b.shape_of(x))


def _mean(b: GradientBuilder, node: ir.Node, x: ir.Value, y: ir.Value, dy: ir.Value) -> ir.Value:
    return _sum(b, node, x, y, b.op("Div", dy, _count(b, node, x, dy)))


def _count(b: GradientBuilder, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    """How many numbers are reduced to one."""
    dims, given = b.shape(x), _axes(node)
    stored = b.value(given)
    if given is None or (stored is not None and not stored.size):
        sizes = list(dims)
    else:
        sizes = [None] if stored is None else [dims[int(axis)] for axis in stored.reshape(-1)]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) == len(sizes):
        return b.scalar(int(np.prod(known, dtype=np.int64)), y)
    count = b.op("Div", b.op("Size", x), b.op("Size", y))
    return b.op("Cast", count, to=ir.DataType.from_numpy(b.dtype(y)))


def _extreme(b: GradientBuilder, node: ir.Node, x: ir.Value, y: ir.Value, dy: ir.Value) -> ir.Value:
    """Those that are the largest share it evenly."""
    chosen = b.op("Cast", b.op("Equal", x, y), to=ir.DataType.from_numpy(b.dtype(x)))
    return b.op("Mul", chosen, b.op("Div", dy, _again(b, node, "ReduceSum", chosen)))


def _prod(b: GradientBuilder, node: ir.Node, x: ir.Value, _y: ir.Value, dy: ir.Value) -> ir.Value:
    """The product of the others: zeros are counted, and left out of what is divided by."""
    zero = b.op("Equal", x, b.scalar(0, x))
    filled = b.op("Where", zero, b.scalar(1, x), x)
    others = b.op("Div", b.op("Mul", dy, _again(b, node, "ReduceProd", filled)), filled)
    zeros = b.op("Cast", zero, to=ir.DataType.from_numpy(b.dtype(x)))
    besides = b.op("Sub", _again(b, node, "ReduceSum", zeros), zeros)
    return b.op("Where", b.op("Equal", besides, b.scalar(0, x)), others, b.scalar(0, x))


def _abs(b: GradientBuilder, _node: ir.Node, x: ir.Value, _y: ir.Value, dy: ir.Value) -> ir.Value:
    return b.op("Mul", dy, b.op("Sign", x))


def _norm(b: GradientBuilder, _node: ir.Node, x: ir.Value, y: ir.Value, dy: ir.Value) -> ir.Value:
    """Zero for a norm of zero."""
    divisor = b.op("Where", b.op("Equal", y, b.scalar(0, y)), b.scalar(1, y), y)
    return b.op("Mul", x, b.op("Div", dy, divisor))


def _squares(b: GradientBuilder, _node: ir.Node, x: ir.Value, _y: ir.Value, dy: ir.Value) -> ir.Value:
    return b.op("Mul", x, b.op("Add", dy, dy))


def _log_sum(b: GradientBuilder, node: ir.Node, x: ir.Value, y: ir.Value, dy: ir.Value) -> ir.Value:
    return _sum(b, node, x, y, b.op("Div", dy, _again(b, node, "ReduceSum", x)))


def _log(b: GradientBuilder, _node: ir.Node, x: ir.Value, _y: ir.Value, dy: ir.Value) -> ir.Value:
    return b.op("Div", dy, x)


def _log_sum_exp(b: GradientBuilder, node: ir.Node, x: ir.Value, y: ir.Value, dy: ir.Value) -> ir.Value:
    """The shares of a softmax, which add up to one whatever digits the result lost."""
    shares = b.op("Exp", b.op("Sub", x, y))
    return b.op("Mul", shares, b.op("Div", dy, _again(b, node, "ReduceSum", shares)))


REDUCTION: Final[dict[str, Gradient]] = {
    "ReduceL1": _rule(_abs, _abs),
    "ReduceL2": _rule(_norm, _abs),
    "ReduceLogSum": _rule(_log_sum, _log),
    "ReduceLogSumExp": _rule(_log_sum_exp),
    "ReduceMax": _rule(_extreme),
    "ReduceMean": _rule(_mean),
    "ReduceMin": _rule(_extreme),
    "ReduceProd": _rule(_prod),
    "ReduceSum": _rule(_sum),
    "ReduceSumSquare": _rule(_squares, _squares),
}
"""By operator."""
