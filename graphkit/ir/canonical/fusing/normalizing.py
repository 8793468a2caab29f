"""Normalisations spelled out in means and roots, as LayerNormalization and RMSNormalization.

The formulas are those of ONNX's texts: (x - mean) / √(variance + ε) · scale + bias, and
x / √(mean of squares + ε) · scale, over the last axes. Squares are ``x²`` or ``x · x``; the root is divided by, or its
reciprocal multiplied. The scale has the sizes of the axes that are normalised. Epsilon is the shortest
decimal that rounds to the float32 attribute that holds it, as 1e-6 is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.ir.canonical.fusing.numbers import in_decimal, is_number, number, operands
from graphkit.ir.producers import made_by
from graphkit.ir.symbols import equal, numbers_of, shape_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ir.edit import Editor

__all__ = ["fuse_bias", "fuse_scale"]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A value divided by the root of the mean of its squares.

    Attributes:
        x: The value.
        epsilon: What is added to the mean.
        axis: First axis that is normalised, from behind.
        square: What squares it.
    """

    x: ir.Value
    epsilon: float
    axis: int
    square: ir.Node


def fuse_scale(edit: Editor) -> bool:
    """Put a normalisation in place of the Mul by its scale; shapes must be known."""
    for unit, scale in operands(edit.node):
        found = _unit(unit)
        if found is None or not _is_scale(scale, found):
            continue
        source = _centred(found, unit)
        op = "RMSNormalization" if source is None else "LayerNormalization"
        x = found.x if source is None else source
        edit.replace(edit.op(op, x, scale, axis=found.axis, epsilon=found.epsilon))
        return True
    return False


def fuse_bias(edit: Editor) -> bool:
    """Make what is added to a LayerNormalization without a bias its bias."""
    for normal, bias in operands(edit.node):
        node = made_by(normal, "LayerNormalization")
        if node is None or len(node.inputs) != 2 or len(node.outputs) != 1 or node.inputs[1] is None:
            continue
        sizes, own = shape_of(bias), shape_of(node.inputs[1])
        if not sizes or own is None or len(sizes) != len(own) or not all(map(equal, sizes, own)):
            continue
        if bias.const_value is None:
            continue
        attrs = {name: attribute.value for name, attribute in node.attributes.items()}
        edit.replace(edit.op("LayerNormalization", *node.inputs, bias, **attrs))
        return True
    return False


def _is_scale(scale: ir.Value, unit: _Unit) -> bool:
    sizes, shape = shape_of(scale), shape_of(unit.x)
    if not sizes or shape is None or scale.dtype != unit.x.dtype:
        return False
    return len(sizes) == -unit.axis and all(map(equal, sizes, shape[unit.axis :]))


def _unit(value: ir.Value) -> _Unit | None:
    divided = made_by(value, "Div")
    if divided is not None:
        x, root = divided.inputs
        return None if x is None else _rooted(x, made_by(root, "Sqrt"))
    for x, inverse in operands(made_by(value, "Mul")):
        found = _rooted(x, _inverse_root(inverse))
        if found is not None:
            return found
    return None


def _inverse_root(value: ir.Value) -> ir.Node | None:
    """The root, or power of -½, whose inverse a value is."""
    inverse = made_by(value, "Reciprocal", "Div", "Pow")
    if inverse is None:
        return None
    if inverse.op_type == "Reciprocal":
        return made_by(inverse.inputs[0], "Sqrt")
    if inverse.op_type == "Div":
        return made_by(inverse.inputs[1], "Sqrt") if number(inverse.inputs[0]) == 1 else None
    return inverse if number(inverse.inputs[1]) == -0.5 else None


def _rooted(x: ir.Value, root: ir.Node | None) -> _Unit | None:
    """The normalisation of a value by the root of the mean of its own squares."""
    for mean, constant in operands(None if root is None else made_by(root.inputs[0], "Add")):
        epsilon, mean_node = number(constant), made_by(mean, "ReduceMean")
        if epsilon is None or epsilon <= 0 or not in_decimal(epsilon) or mean_node is None:
            continue
        axis, squares = _last_axes(mean_node), mean_node.inputs[0]
        square = _square(squares, x)
        if axis is not None and square is not None:
            return _Unit(x, epsilon, axis, square)
    return None


def _square(squares: ir.Value | None, x: ir.Value) -> ir.Node | None:
    node = made_by(squares, "Mul", "Pow")
    if node is None or node.inputs[0] is not x:
        return None
    squared = node.inputs[1] is x if node.op_type == "Mul" else is_number(node.inputs[1], 2.0)
    return node if squared else None


def _last_axes(mean: ir.Node) -> int | None:
    """The first of the last axes, from behind, that a ReduceMean takes the mean over; None where it takes others."""
    x = mean.inputs[0]
    shape = None if x is None else shape_of(x)
    axes = numbers_of(mean.inputs[1]) if len(mean.inputs) > 1 else None
    if shape is None or not axes or not mean.attributes.get_int("keepdims", 1):
        return None
    places = sorted(axis % len(shape) - len(shape) for axis in axes)
    return places[0] if places == list(range(-len(places), 0)) else None


def _centred(unit: _Unit, result: ir.Value) -> ir.Value | None:
    """What is normalised, where the mean over the same axes is taken from it first and nothing else reads that."""
    node = unit.x.producer()
    if node is None or node.op_type != "Sub" or node.domain or unit.x.is_graph_output():
        return None
    x, mean = node.inputs
    mean_node = made_by(mean, "ReduceMean")
    if x is None or mean_node is None or mean_node.inputs[0] is not x or _last_axes(mean_node) != unit.axis:
        return None
    readers = {use.node for use in unit.x.uses()}
    return x if readers <= {unit.square, result.producer()} else None
