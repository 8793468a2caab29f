"""How Resize was said before: by all axes, with every input, by scales, and as Upsample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.symbols import numbers_of, shape_of

if TYPE_CHECKING:
    from graphkit.ir.edit import Editor

__all__ = ["all_axes", "all_inputs", "by_scales", "upsample", "upsample_with_attribute"]


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def all_axes(edit: Editor) -> str | None:
    """Before opset 18 sizes and scales were said for all axes."""
    node = edit.node
    axes = node.attributes.pop("axes", None)
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    rank = None if shape is None else len(shape)
    if axes is None:
        return None
    if rank is None or shape is None:
        return "it resizes some axes only, and all are said there"
    places = [axis % rank for axis in axes.as_ints()]
    sizes = _input(node, 3)
    if sizes is not None:
        numbers = numbers_of(sizes)
        if numbers is None:
            return "it resizes some axes only, and all are said there"
        parts: list[ir.Value | None] = []
        for axis in range(rank):
            if axis in places:
                parts.append(edit.const("sizes", [numbers[places.index(axis)]]))
            elif isinstance(shape[axis], int):
                parts.append(edit.const("sizes", [shape[axis]]))
            else:
                whole = edit.op("Shape", x)
                parts.append(edit.op("Gather", whole, edit.const("axis", [axis])))
        edit.set_inputs(x, _input(node, 1), None, edit.op("Concat", *parts, axis=0))
        return None
    scales = _input(node, 2)
    tensor = None if scales is None else scales.const_value
    if tensor is None:
        return "its scales are computed for some axes only"
    factors = [1.0] * rank
    for index, axis in enumerate(places):
        factors[axis] = float(tensor.numpy()[index])
    edit.set_inputs(x, _input(node, 1), edit.const("scales", factors, np.float32))
    return None


def all_inputs(edit: Editor) -> str | None:
    """Before opset 13 ``roi`` and ``scales`` were required, and empty where unused."""
    node = edit.node
    inputs = [*node.inputs, None, None, None][:4]
    for index, name in ((1, "roi"), (2, "scales")):
        if inputs[index] is None:
            inputs[index] = edit.const(name, np.zeros(0), np.float32)
    edit.set_inputs(*(inputs if inputs[3] is not None else inputs[:3]))
    return None


def by_scales(edit: Editor) -> str | None:
    """Resize 10 divides coordinates by the scale, and rounds down where it enlarges."""
    node = edit.node
    scales = _input(node, 2)
    tensor = None if scales is None else scales.const_value
    if tensor is None or not tensor.size:
        return "it resizes to sizes, and by scales only there"
    mode = node.attributes.get_string("mode", "nearest")
    coordinates = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    factors = [float(factor) for factor in tensor.numpy()]
    enlarges = all(factor >= 1 for factor in factors)
    whole = enlarges and all(factor.is_integer() for factor in factors)
    if mode == "nearest":
        halves = coordinates == "half_pixel" and rounding in ("round_prefer_floor", "round_prefer_ceil")
        same = (enlarges and coordinates == "asymmetric" and rounding == "floor") or (whole and halves)
    else:
        same = mode == "linear" and coordinates == "asymmetric"
    if not same:
        return "its coordinates are mapped in a way that is newer than that opset"
    for name in ("coordinate_transformation_mode", "nearest_mode"):
        node.attributes.pop(name, None)
    edit.set_inputs(node.inputs[0], scales)
    return None


def upsample(edit: Editor) -> str | None:
    """Before opset 10 it was Upsample, which only enlarges."""
    node = edit.node
    scales = _input(node, 1)
    tensor = None if scales is None else scales.const_value
    if tensor is None or (tensor.numpy() < 1).any():
        return "it shrinks, and only enlarges there"
    mode = node.attributes.get_string("mode", "nearest")
    # Upsample is gone from the canonical opset, so nothing can be inferred for it.
    node.op_type = "Upsample"
    node.attributes.clear()
    node.attributes["mode"] = ir.AttrString("mode", str(mode))
    return None


def upsample_with_attribute(edit: Editor) -> str | None:
    """Before opset 9 the scales were an attribute."""
    node = edit.node
    scales = _input(node, 1)
    if scales is None or scales.const_value is None:
        return "its scales are computed, and an attribute there"
    node.attributes["scales"] = ir.AttrFloat32s("scales", [float(factor) for factor in scales.const_value.numpy()])
    edit.set_inputs(node.inputs[0])
    return None
