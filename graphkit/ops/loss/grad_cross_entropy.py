"""How gradients pass cross entropy and negative log-likelihood of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["cross_entropy", "likelihood"]


def cross_entropy(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Softmax less one at each label, times what its loss weighs; log-probabilities that are given add their own."""
    x, logs = some(node.inputs[0]), b.output(node, 1)
    loss = _Loss(b, node, dy[0], logs) if dy[0] is not None else None
    in_x: ir.Value | None = None
    if b.wants(x):
        chances = b.op("Exp", logs)
        parts: list[ir.Value | None] = []
        if len(dy) > 1 and dy[1] is not None:
            total = b.op("ReduceSum", dy[1], [1], keepdims=1)
            parts.append(b.op("Sub", dy[1], b.op("Mul", chances, total)))
        if loss is not None:
            parts.append(loss.added(b.op("Mul", chances, loss.share)))
        in_x = b.total(parts)
    return [in_x, None, None if loss is None else loss.in_weights()]


def likelihood(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Minus what its loss weighs, at each label."""
    logs = some(node.inputs[0])
    loss = _Loss(b, node, dy[0], logs)
    return [loss.added(b.full_like(logs)) if b.wants(logs) else None, None, loss.in_weights()]


class _Loss:
    """A loss: the sum of minus weighted log-probabilities of labels, or their weighted mean, or each by itself.

    Args:
        b: The builder.
        node: The node that computes it.
        dy: Its cotangent.
        logs: The log-probabilities, of which the classes are axis 1.

    Attributes:
        share: Cotangent of each minus log-probability; classes are an axis of size 1.
    """

    def __init__(self, b: GradientBuilder, node: ir.Node, dy: ir.Value, logs: ir.Value) -> None:
        self._b, self._node, self._logs = b, node, logs
        label = b.op("Unsqueeze", some(node.inputs[1]), [1])
        ignored = node.attributes.get("ignore_index")
        self._heeded: ir.Value | None = None
        self._label = label
        if ignored is not None:
            self._heeded = b.op("Not", b.op("Equal", label, b.scalar(ignored.as_int(), label)))
            self._label = b.op("Where", self._heeded, label, b.scalar(0, label))
        weights = self._weights()
        weight = None if weights is None else b.op("Gather", weights, self._label, axis=0)
        self._each = self._scaled(dy, weight)
        self.share = self._each if weight is None else b.op("Mul", self._each, weight)
        if self._heeded is not None:
            self.share = b.op("Where", self._heeded, self.share, b.scalar(0, logs))
        if b.rank(self.share) == 0:
            self.share = b.op("Expand", self.share, b.shape_of(label))

    def added(self, gradient: ir.Value) -> ir.Value:
        """A gradient in the log-probabilities, with those of the loss."""
        share = self._b.op("Neg", self.share)
        return self._b.op("ScatterElements", gradient, self._label, share, axis=1, reduction="add")

    def in_weights(self) -> ir.Value | None:
        """The gradient in the weights of the classes."""
        b, weights = self._b, self._weights()
        if weights is None or not b.wants(weights):
            return None
        picked = b.op("Neg", b.op("GatherElements", self._logs, self._label, axis=1))
        if self._reduction() == "mean":
            picked = b.op("Sub", picked, self._node.outputs[0])
        found = b.op("Mul", picked, self._each)
        if self._heeded is not None:
            found = b.op("Where", self._heeded, found, b.scalar(0, found))
        places, shares = (b.op("Reshape", value, [-1]) for value in (self._label, found))
        return b.op("ScatterElements", b.full_like(weights), places, shares, axis=0, reduction="add")

    def _reduction(self) -> str:
        return self._node.attributes.get_string("reduction", "mean")

    def _weights(self) -> ir.Value | None:
        return self._node.inputs[2] if len(self._node.inputs) > 2 else None

    def _scaled(self, dy: ir.Value, weight: ir.Value | None) -> ir.Value:
        """Cotangent of each weighted minus log-probability, from the weights of the labels' classes."""
        b = self._b
        if self._reduction() == "none":
            return b.op("Unsqueeze", dy, [1])
        if self._reduction() == "sum":
            return dy
        dtype = ir.DataType.from_numpy(b.dtype(self._logs))
        if self._heeded is not None:
            heeded = b.op("Cast", self._heeded, to=dtype)
            weight = heeded if weight is None else b.op("Mul", weight, heeded)
        if weight is not None:
            return b.op("Div", dy, b.op("ReduceSum", weight, keepdims=0))
        return b.op("Div", dy, b.op("Cast", b.op("Size", self._label), to=dtype))
