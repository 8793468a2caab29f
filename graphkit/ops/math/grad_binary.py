"""How gradients pass element-wise functions of two arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ops.gradients import binary
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from graphkit.ops.spec import Gradient

__all__ = ["BINARY"]

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
}
"""By operator."""
