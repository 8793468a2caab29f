"""Losses against probabilities of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.frameworks.torch.aten.emit import known, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_MEAN = 1
_REDUCTIONS = {0: "none", _MEAN: "mean", 2: "sum"}
"""ATen's numbers of what is made of the losses of all examples."""


def _cross_entropy(
    emit: Emit,
    x: ir.Value,
    target: ir.Value,
    weight: ir.Value | None = None,
    reduction: int = _MEAN,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> ir.Value:
    """−Σ weight · target · log softmax(x) along the classes, which for labels is one node of ONNX."""
    axis = 1 if rank(x) > 1 else 0
    classes = known(x)[axis]
    labels = target.dtype is None or not target.dtype.is_floating_point()
    if labels and label_smoothing == 0 and axis == 1:
        how = _REDUCTIONS[reduction]
        return emit.op("SoftmaxCrossEntropyLoss", x, target, weight, ignore_index=ignore_index, reduction=how)
    if classes is None:
        return emit.untranslated("cross entropy of a free number of classes", 1, x, target)[0]
    logs = emit.op("LogSoftmax", x, axis=axis)
    spread = emit.ints(*(place for place in range(rank(x)) if place != axis))
    factors = weight if weight is None or rank(x) == 1 else emit.op("Unsqueeze", weight, spread)
    if not labels:
        if label_smoothing:
            kept = emit.op("Mul", target, emit.floats(1 - label_smoothing, x))
            target = emit.op("Add", kept, emit.floats(label_smoothing / classes, x))
        terms = emit.op("Mul", logs, target)
        losses = emit.op("Neg", _summed(emit, terms, factors, axis))
        if reduction != _MEAN:
            return losses if reduction == 0 else emit.op("ReduceSum", losses, keepdims=0)
        sizes = [size for place, size in enumerate(known(x)) if place != axis]
        total = emit.op("ReduceSum", losses, keepdims=0)
        if None in sizes:
            return emit.op("ReduceMean", losses, keepdims=0)
        return emit.op("Div", total, emit.floats(float(np.prod([size or 0 for size in sizes])), x))
    return _smoothed(emit, logs, target, weight, factors, reduction, ignore_index, label_smoothing, axis, classes)


def _summed(emit: Emit, terms: ir.Value, factors: ir.Value | None, axis: int) -> ir.Value:
    weighed = terms if factors is None else emit.op("Mul", terms, factors)
    return emit.op("ReduceSum", weighed, emit.ints(axis), keepdims=0)


def _smoothed(
    emit: Emit,
    logs: ir.Value,
    target: ir.Value,
    weight: ir.Value | None,
    factors: ir.Value | None,
    reduction: int,
    ignore_index: int,
    smoothing: float,
    axis: int,
    classes: int,
) -> ir.Value:
    """Labels whose probability is spread over all classes; what is ignored counts nowhere."""
    wanted = emit.op("Not", emit.op("Equal", target, emit.array(np.asarray(ignore_index))))
    safe = emit.op("Where", wanted, target, emit.array(np.asarray(0)))
    own = emit.op("GatherElements", logs, emit.op("Unsqueeze", safe, emit.ints(axis)), axis=axis)
    own = emit.op("Squeeze", own, emit.ints(axis))
    each = None if weight is None else emit.op("Gather", weight, safe, axis=0)
    counted = (
        emit.op("CastLike", wanted, logs) if each is None else emit.op("Where", wanted, each, emit.floats(0, logs))
    )
    mask = emit.op("CastLike", wanted, logs)
    hard = emit.op("Mul", own, counted)
    even = emit.op("Mul", _summed(emit, logs, factors, axis), mask)
    losses = emit.op(
        "Add",
        emit.op("Mul", hard, emit.floats(smoothing - 1, logs)),
        emit.op("Mul", even, emit.floats(-smoothing / classes, logs)),
    )
    if reduction == 0:
        return losses
    total = emit.op("ReduceSum", losses, keepdims=0)
    return total if reduction != _MEAN else emit.op("Div", total, emit.op("ReduceSum", counted, keepdims=0))


def _soft_margin(emit: Emit, x: ir.Value, target: ir.Value, reduction: int = _MEAN) -> ir.Value:
    """log(1 + exp(−target · x))."""
    losses = emit.op("Softplus", emit.op("Neg", emit.op("Mul", x, target)))
    if reduction == 0:
        return losses
    return emit.op("ReduceMean" if reduction == _MEAN else "ReduceSum", losses, keepdims=0)


ROWS: dict[str, Callable[..., Any]] = {
    "aten.cross_entropy_loss.default": _cross_entropy,
    "aten.soft_margin_loss.default": _soft_margin,
}
