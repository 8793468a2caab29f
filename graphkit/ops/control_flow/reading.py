"""What MXNet's branches and loops have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import ints

if TYPE_CHECKING:
    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

__all__ = ["places", "truth"]


def places(node: MxNode, name: str, count: int, *, once: bool = True) -> tuple[int, ...]:
    """Positions that a parameter lists.

    Args:
        node: The operator.
        name: The parameter.
        count: Number of things that it refers to.
        once: Whether it must not refer to one twice.

    Raises:
        ValueError: It refers to what is not there, or twice to one thing.
    """
    found = ints(node.attrs[name])
    if any(not 0 <= place < count for place in found) or (once and len(set(found)) < len(found)):
        raise ValueError(f"{name}={node.attrs[name]} does not list some of {count} inputs, each once")
    return found


def truth(b: OnnxBuilder, value: ir.Value) -> ir.Value:
    """An MXNet array of one number as the condition that it is: true unless it is 0."""
    if b.rank(value) > 1:
        value = b.op("Reshape", value, [1])
    return value if b.dtype(value) == np.bool_ else b.op("Cast", value, to=ir.DataType.BOOL)
