"""Arithmetic of sizes and places in rules of gradients: nodes, and constants wherever the numbers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.symbols import numbers_of
from graphkit.ops.tensor.sizes import START

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["as_ints", "folded", "joined", "known_ints", "operand", "sizes_at", "turned"]


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """An input of a node; None where it is absent."""
    return node.inputs[index] if index < len(node.inputs) else None


def known_ints(node: ir.Node, index: int) -> list[int] | None:
    """The numbers of an integer input; None where they are not known, or it is absent."""
    given = operand(node, index)
    return None if given is None else numbers_of(given)


def folded(b: GradientBuilder, value: ir.Value) -> ir.Value:
    """1-d int64 numbers as a constant, where shape inference knows them all."""
    found = numbers_of(value)
    return value if found is None or b.value(value) is not None else b.const(np.array(found, np.int64))


def as_ints(b: GradientBuilder, value: ir.Value) -> ir.Value:
    """1-d integers as int64."""
    return folded(b, value if b.dtype(value) == np.int64 else b.op("Cast", value, to=ir.DataType.INT64))


def sizes_at(b: GradientBuilder, value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """The sizes of some axes, counted from the front, as a 1-d int64 tensor."""
    dims = b.shape(value)
    if list(axes) == list(range(len(dims))):
        return b.shape_of(value)
    known = [dim for dim in (dims[axis] for axis in axes) if isinstance(dim, int)]
    return b.const(np.array(known, np.int64)) if len(known) == len(axes) else b.op("Gather", b.shape_of(value), axes)


def joined(b: GradientBuilder, *parts: ir.Value | Sequence[int]) -> ir.Value:
    """1-d int64 tensors one after another."""
    present = [part for part in parts if isinstance(part, ir.Value) or part]
    return folded(b, b.op("Concat", *present, axis=0))


def turned(b: GradientBuilder, value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """A tensor turned around along some axes."""
    return b.op("Slice", value, [-1] * len(axes), [START] * len(axes), axes, [-1] * len(axes)) if axes else value
