"""How gradients pass what writes into a copy of an array.

Where elements are multiplied, zeros among them are counted apart, so that nothing is divided by zero. Where the largest
or smallest wins, equal ones share the gradient, as in torch's scatter_reduce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.grad_rows import rows_of, scattered
from graphkit.ops.tensor.sizes import axis_of, some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ops.gradients import GradientBuilder

    Scatter = Callable[[ir.Value, ir.Value, str], ir.Value]
    Gather = Callable[[ir.Value], ir.Value]

__all__ = ["scatter_elements_gradient", "scatter_nd_gradient"]


def scatter_elements_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of ScatterElements."""
    indices, axis = some(node.inputs[1]), axis_of(node, b.rank(some(node.inputs[0])))

    def scatter(data: ir.Value, updates: ir.Value, reduction: str) -> ir.Value:
        return b.op("ScatterElements", data, indices, updates, axis=axis, reduction=reduction)

    return _gradient(b, node, dy[0], scatter, lambda data: b.op("GatherElements", data, indices, axis=axis))


def scatter_nd_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """The gradient of ScatterND."""
    source, indices = some(node.inputs[0]), some(node.inputs[1])

    def gather(data: ir.Value) -> ir.Value:
        return b.op("GatherND", data, indices)

    def overwrite(data: ir.Value, updates: ir.Value, reduction: str) -> ir.Value:
        return b.op("ScatterND", data, indices, updates, reduction=reduction)

    if node.attributes.get_string("reduction", "none") in ("none", "add"):
        return _gradient(b, node, dy[0], overwrite, gather)
    rows = rows_of(b, source, indices)
    if isinstance(rows, Refusal):
        return rows
    return _gradient(b, node, dy[0], lambda data, new, how: scattered(b, data, rows, new, how), gather)


def _gradient(
    b: GradientBuilder, node: ir.Node, gradient: ir.Value, scatter: Scatter, gather: Gather
) -> Sequence[ir.Value | None]:
    data, updates, result = some(node.inputs[0]), some(node.inputs[2]), node.outputs[0]
    reduction = node.attributes.get_string("reduction", "none")
    if reduction == "mul":
        factor = scatter(b.full_like(data, 1.0), updates, "mul") if b.wants(data) else None
        given = None if factor is None else b.op("Mul", gradient, factor)
        return [given, None, _of_factors(b, data, updates, gradient, scatter, gather) if b.wants(updates) else None]
    if reduction in ("max", "min"):
        return _of_extremes(b, data, updates, result, gradient, scatter, gather)
    overwritten = reduction == "none" and b.wants(data)
    kept = scatter(gradient, b.full_like(updates), "none") if overwritten else gradient
    return [kept, None, gather(gradient) if b.wants(updates) else None]


def _of_factors(
    b: GradientBuilder, data: ir.Value, updates: ir.Value, gradient: ir.Value, scatter: Scatter, gather: Gather
) -> ir.Value:
    """The gradient in factors: what the others make at their places."""
    one, zero = b.scalar(1.0, data), b.scalar(0.0, data)
    kind = ir.DataType.from_numpy(b.dtype(data))
    none_here, none_given = b.op("Equal", data, zero), b.op("Equal", updates, zero)
    factors = b.op("Where", none_given, one, updates)
    product = gather(scatter(b.op("Where", none_here, one, data), factors, "mul"))
    count = b.op("Cast", none_given, to=kind)
    zeros = gather(scatter(b.op("Cast", none_here, to=kind), count, "add"))
    others = b.op("Where", b.op("Equal", zeros, count), b.op("Div", product, factors), zero)
    return b.op("Mul", gather(gradient), others)


def _of_extremes(
    b: GradientBuilder,
    data: ir.Value,
    updates: ir.Value,
    result: ir.Value,
    gradient: ir.Value,
    scatter: Scatter,
    gather: Gather,
) -> Sequence[ir.Value | None]:
    """The gradient in those that are the largest or smallest at their places."""
    zero = b.scalar(0.0, data)
    kind = ir.DataType.from_numpy(b.dtype(data))
    won, new_won = b.op("Equal", data, result), b.op("Equal", updates, gather(result))
    count = scatter(b.op("Cast", won, to=kind), b.op("Cast", new_won, to=kind), "add")
    share = b.op("Div", gradient, count)
    kept = b.op("Where", won, share, zero) if b.wants(data) else None
    return [kept, None, b.op("Where", new_won, gather(share), zero) if b.wants(updates) else None]
