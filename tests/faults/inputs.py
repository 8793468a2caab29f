"""Inputs that are swapped or others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faults.planting import (
    array_of,
    fault,
    names_of,
    nodes_of,
    pick,
    set_array,
    size_of,
)

if TYPE_CHECKING:
    import onnx_ir as ir

    from faults.planting import Rng


def _swapped(node: ir.Node | None, one: int = 0, two: int = 1) -> list[str] | None:
    if node is None:
        return None
    first, second = node.inputs[one], node.inputs[two]
    node.replace_input_with(one, second)
    node.replace_input_with(two, first)
    return names_of([node])


def alike(node: ir.Node, one: int, two: int) -> bool:
    if len(node.inputs) <= max(one, two):
        return False
    first, second = node.inputs[one], node.inputs[two]
    return first is not None and second is not None and first is not second and size_of(first) == size_of(second)


@fault("swapped inputs")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    fit = (node for node in nodes_of(model, "Sub", "Div", "Pow", "MatMul") if alike(node, 0, 1))
    return _swapped(pick(rng, fit))


@fault("swapped parts of a concatenation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _swapped(
        pick(rng, (n for n in nodes_of(model, "Concat") if array_of(n.inputs[0]) is None and len(n.inputs) > 1))
    )


@fault("swapped query and key")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _swapped(pick(rng, nodes_of(model, "Attention")))


@fault("swapped scale and shift")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _swapped(pick(rng, nodes_of(model, "BatchNormalization", "LayerNormalization")), 1, 2)


@fault("swapped mean and variance")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, nodes_of(model, "BatchNormalization"))
    if node is None:
        return None
    mean, variance = node.inputs[3:5]
    one, two = array_of(mean), array_of(variance)
    assert one is not None
    assert two is not None
    assert mean is not None
    assert variance is not None
    set_array(mean, two)
    set_array(variance, np.abs(one) + np.asarray(1e-3, one.dtype))
    return names_of([node])


@fault("another value of the same shape")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    """An Add or Concat reads what was computed earlier."""
    choices = []
    before: list[ir.Value] = []
    for node in model.graph:
        for index, value in enumerate(node.inputs):
            if node.op_type in ("Add", "Concat", "Mul", "Sub") and value is not None and value.producer() is not None:
                alike = (v for v in before if size_of(v) == size_of(value) and v.dtype == value.dtype)
                others = [v for v in alike if v not in node.inputs]
                choices += [(node, index, others[-1])] if others and len(value.uses()) > 1 else []
        before += node.outputs
    if not choices:
        return None
    node, index, value = choices[int(rng.integers(len(choices)))]
    node.replace_input_with(index, value)
    return names_of([node])
