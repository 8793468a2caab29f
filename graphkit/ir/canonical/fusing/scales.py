"""Numbers that queries and keys are multiplied by, taken out of where they are, and put into Attention's attribute."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isclose, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.ir.canonical.fusing.numbers import factors_of, in_float32
from graphkit.ir.origin import disown
from graphkit.ir.producers import made_by
from graphkit.ir.symbols import equal, shape_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ir.edit import Editor

__all__ = ["Factor", "attributed", "factor_of"]

_MOVING: Final = ("Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that only move elements, so that a factor before them is one after them."""
_ROUNDED: Final = 1e-14


@dataclass(slots=True)
class Factor:
    """A number that a value is multiplied by, there or before its elements were moved.

    Attributes:
        value: The value, the number included.
        number: The number, 1 where there is none.
        within: How far, relatively, it may be rounded.
        source: What is multiplied.
        movers: What moves the product's elements, last one first.
    """

    value: ir.Value
    number: float = 1.0
    within: float = 0.0
    source: ir.Value | None = None
    movers: list[ir.Node] = field(default_factory=list)

    @property
    def bare(self) -> ir.Value:
        """The value without the number, once it is taken out."""
        return self.value if self.source is None or self.movers else self.source

    def take_out(self) -> ir.Value:
        """Take the number out, in place, and give the value without it.

        Values in between become others, so they get other names, and are no longer taken for values of the source.
        """
        if self.source is not None and self.movers:
            self.movers[-1].replace_input_with(0, self.source)
            for node in self.movers:
                node.outputs[0].name = f"{node.outputs[0].name}_unscaled"
                disown(node)
        return self.bare


def factor_of(value: ir.Value) -> Factor:
    """The number that a value is multiplied by, if nothing else reads what it is multiplied on the way."""
    found = Factor(value)
    movers: list[ir.Node] = []
    while True:
        multiplied = factors_of(made_by(value, "Mul", "Div"))
        if multiplied is not None:
            source, found.number, found.within = multiplied
            before, after = shape_of(source), shape_of(value)
            if before is None or after is None or len(before) != len(after) or not all(map(equal, before, after)):
                return Factor(found.value)
            found.source, found.movers = source, movers
            return found
        mover = made_by(value, *_MOVING)
        if mover is None or mover.inputs[0] is None:
            return found
        movers.append(mover)
        value = mover.inputs[0]


def attributed(edit: Editor, query: ir.Value, scale: float, within: float) -> tuple[ir.Value, float | None]:
    """Queries and the attribute ``scale`` that say a scale: none where it is ONNX's default, 1 / √features.

    Attributes are float32, so a scale that float32 cannot hold multiplies the queries, and the attribute is 1.

    Args:
        edit: Makes nodes.
        query: The queries; their last axis are the features of one head.
        scale: The scale.
        within: How far, relatively, it may be rounded.
    """
    features = (shape_of(query) or (None,))[-1]
    if isinstance(features, int) and isclose(scale, 1 / sqrt(features), rel_tol=max(2 * within, _ROUNDED)):
        return query, None
    if in_float32(scale) or query.dtype is None:
        return query, scale
    dtype = query.dtype.numpy()
    return edit.op("Mul", query, edit.const("scale", np.asarray(scale, dtype), dtype, exact=scale)), 1.0
