"""Truth values that are provably true everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["always"]

_LOOKED_THROUGH: Final = frozenset(
    {"Cast", "Expand", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)


def always(value: ir.Value | None) -> bool:
    """Whether a boolean value is true in all its elements, whatever the inputs: constants, places that are ≥ 0."""
    if value is None:
        return False
    if value.const_value is not None:
        return value.const_value.size <= _FEW and bool(np.all(value.const_value.numpy()))
    node = value.producer()
    if node is None or node.domain:
        return False
    if node.op_type in _LOOKED_THROUGH:
        return always(node.inputs[0])
    if node.op_type == "And":
        return always(node.inputs[0]) and always(node.inputs[1])
    if node.op_type == "Or":
        return always(node.inputs[0]) or always(node.inputs[1])
    if node.op_type in ("GreaterOrEqual", "Greater"):
        return _at_least(node.inputs[0], node.inputs[1], strictly=node.op_type == "Greater")
    if node.op_type in ("LessOrEqual", "Less"):
        return _at_least(node.inputs[1], node.inputs[0], strictly=node.op_type == "Less")
    return False


_FEW: Final = 1 << 22
"""Elements up to which a constant is looked at."""


def _at_least(value: ir.Value | None, bound: ir.Value | None, *, strictly: bool) -> bool:
    """Whether every element of a value is at least (more than) every element of a constant."""
    least = _least(value)
    if least is None or bound is None or bound.const_value is None or not bound.const_value.size:
        return False
    most = bound.const_value.numpy().max()
    return bool(least > most if strictly else least >= most)


def _least(value: ir.Value | None) -> float | None:
    """A number that no element of a value is below; None where there is none to know of."""
    if value is None:
        return None
    if value.const_value is not None:
        return float(value.const_value.numpy().min()) if value.const_value.size else None
    node = value.producer()
    if node is None or node.domain:
        return None
    if node.op_type in _LOOKED_THROUGH:
        return _least(node.inputs[0])
    if node.op_type == "Range":
        start, step = (
            None if part is None or part.const_value is None else part.const_value.numpy().item()
            for part in (node.inputs[0], node.inputs[2])
        )
        return float(start) if start is not None and step is not None and step > 0 else None
    if node.op_type == "Shape":
        return 0.0
    if node.op_type == "Add":
        one, other = (_least(part) for part in node.inputs)
        return None if one is None or other is None else one + other
    return None
