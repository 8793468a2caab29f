"""Gelu spelled out with erf or tanh, as one Gelu.

The formulas are those of ONNX's text of Gelu-20: x · ½ · (1 + erf(x / √2)), and with ``approximate="tanh"``
x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 · x³))), their factors in any order. A constant has to be the formula's number:
in double where the double that its author wrote is known, to its own element type's rounding where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isclose, pi, sqrt
from typing import TYPE_CHECKING

from graphkit.ir.canonical.fusing.numbers import factors_of, is_number, number, operands
from graphkit.ir.producers import made_by

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ir.edit import Editor

__all__ = ["fuse_gelu"]

_CUBIC = 0.044715


@dataclass(slots=True)
class _Product:
    """A product of numbers and values.

    Attributes:
        number: The product of the numbers.
        within: How far, relatively, it may be rounded.
        values: The other factors.
    """

    number: float = 1.0
    within: float = 1e-14
    values: list[ir.Value] = field(default_factory=list)

    def is_times(self, number: float, *values: ir.Value) -> bool:
        """Whether it is a number times values."""
        return (
            len(values) == len(self.values)
            and all(one is other for one, other in zip(self.values, values, strict=True))
            and isclose(self.number, number, rel_tol=2 * self.within)
        )


def fuse_gelu(edit: Editor) -> bool:
    """Put a Gelu in place of the last Mul or Div of one."""
    found = _product(edit.node)
    if len(found.values) != 2 or not isclose(found.number, 0.5, rel_tol=2 * found.within):
        return False
    for x, gate in (found.values, reversed(found.values)):
        for inner, one in operands(made_by(gate, "Add")):
            if number(one) != 1:
                continue
            erf, tanh = made_by(inner, "Erf"), made_by(inner, "Tanh")
            if erf is not None and _factors(erf.inputs[0]).is_times(sqrt(0.5), x):
                edit.replace(edit.op("Gelu", x))
                return True
            if tanh is not None and _is_cubic(tanh.inputs[0], x):
                edit.replace(edit.op("Gelu", x, approximate="tanh"))
                return True
    return False


def _is_cubic(value: ir.Value | None, x: ir.Value) -> bool:
    outer = _factors(value)
    if len(outer.values) != 1 or not outer.is_times(sqrt(2 / pi), outer.values[0]):
        return _is_factored(outer, x)
    return any(
        one is x and _powers(_factors(cube)).is_times(_CUBIC, x, x, x)
        for one, cube in operands(made_by(outer.values[0], "Add"))
    )


def _is_factored(outer: _Product, x: ir.Value) -> bool:
    """Whether it is √(2/π) · x · (1 + 0.044715 · x²)."""
    if len(outer.values) != 2 or not isclose(outer.number, sqrt(2 / pi), rel_tol=2 * outer.within):
        return False
    return any(
        one is x and number(unit) == 1 and _powers(_factors(square)).is_times(_CUBIC, x, x)
        for one, other in (outer.values, reversed(outer.values))
        for square, unit in operands(made_by(other, "Add"))
    )


def _powers(found: _Product) -> _Product:
    """A product, squares and cubes spelled out."""
    values: list[ir.Value] = []
    for value in found.values:
        power = made_by(value, "Pow")
        times = next((n for n in (2, 3) if power is not None and is_number(power.inputs[1], n)), 0)
        values += [power.inputs[0]] * times if power is not None and power.inputs[0] is not None and times else [value]
    return _Product(found.number, found.within, values)


def _factors(value: ir.Value | None) -> _Product:
    """The factors of a value, down to what is no product or is read elsewhere, too."""
    node = made_by(value, "Mul", "Div")
    if value is None:
        return _Product()
    return _Product(values=[value]) if node is None else _product(node, value)


def _product(node: ir.Node, whole: ir.Value | None = None) -> _Product:
    multiplied = factors_of(node)
    if multiplied is not None:
        source, factor, within = multiplied
        found = _factors(source)
        return _Product(found.number * factor, found.within + within, found.values)
    if node.op_type == "Div" or len(node.inputs) != 2:
        return _Product(values=[node.outputs[0] if whole is None else whole])
    found = _Product()
    for value in node.inputs:
        part = _factors(value)
        found = _Product(found.number * part.number, found.within + part.within, [*found.values, *part.values])
    return found
