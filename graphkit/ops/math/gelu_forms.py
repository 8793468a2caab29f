"""Gelu as models spell it that were exported before ONNX had the operator (opset 20), or come from MXNet."""

from __future__ import annotations

from math import isclose, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.producers import made_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["product", "torch_gelu"]


def torch_gelu(b: TorchBuilder, node: ir.Node) -> Arg:
    """``F.gelu`` where a product is x · ½ · (1 + erf(x / √2)) or x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 · x³))).

    Their numbers may be rounded to float32, except in a model that computes in float64.

    Returns:
        The call; None where the product is another.
    """
    half, factors = product(b, node.inputs)
    if len(factors) != 2:
        return None
    for x, gate in (factors, reversed(factors)):
        within = 1e-12 if b.dtype(x) == np.float64 else 1e-6
        if not isclose(half, 0.5, rel_tol=within):
            return None
        inner = _plus_one(b, gate)
        if inner is None:
            continue
        erf, tanh = made_by(inner, "Erf"), made_by(inner, "Tanh")
        if erf is not None and _is(product(b, erf.inputs), sqrt(0.5), [x], within):
            return b.call("F.gelu", b.arg(x))
        if tanh is not None and _is_cubic(b, tanh.inputs[0], x, within):
            return b.call("F.gelu", b.arg(x), approximate="tanh")
    return None


def _is(found: tuple[float, list[ir.Value]], number: float, factors: list[ir.Value], within: float) -> bool:
    return found[1] == factors and isclose(found[0], number, rel_tol=within)


def _plus_one(b: TorchBuilder, value: ir.Value) -> ir.Value | None:
    add = made_by(value, "Add")
    if add is None:
        return None
    return next((x for x, one in (add.inputs, reversed(add.inputs)) if b.number(one) == 1), None)


def _is_cubic(b: TorchBuilder, value: ir.Value | None, x: ir.Value, within: float) -> bool:
    number, factors = product(b, [value])
    add = made_by(factors[0], "Add") if len(factors) == 1 else None
    if add is None or not isclose(number, sqrt(2 / pi), rel_tol=within):
        return False
    cubes = [product(b, [other]) for one, other in (add.inputs, reversed(add.inputs)) if one is x]
    return any(_is((coefficient, _powers(b, cube)), 0.044715, [x] * 3, within) for coefficient, cube in cubes)


def _powers(b: TorchBuilder, factors: Iterable[ir.Value]) -> list[ir.Value]:
    """Factors, powers of small whole numbers spelled out."""
    found: list[ir.Value] = []
    for factor in factors:
        power = made_by(factor, "Pow")
        exponent = None if power is None else b.number(power.inputs[1])
        if power is not None and power.inputs[0] is not None and exponent in (2, 3):
            found += [power.inputs[0]] * int(exponent or 0)
        else:
            found.append(factor)
    return found


def product(b: TorchBuilder, values: Iterable[ir.Value | None]) -> tuple[float, list[ir.Value]]:
    """The number and the other factors of a product of products."""
    number = 1.0
    factors: list[ir.Value] = []
    for value in values:
        constant = b.number(value)
        multiplied, divided = made_by(value, "Mul"), made_by(value, "Div")
        divisor = None if divided is None else b.number(divided.inputs[1])
        if constant is not None:
            number *= constant
        elif multiplied is not None or (divided is not None and divisor):
            inner = multiplied.inputs if multiplied is not None else divided.inputs[:1] if divided is not None else ()
            more, others = product(b, inner)
            number, factors = number * more / (divisor or 1), [*factors, *others]
        elif value is not None:
            factors.append(value)
    return number, factors
