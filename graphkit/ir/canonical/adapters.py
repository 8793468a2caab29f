"""What became of each operator between an older opset and the canonical one.

Each adapter rewrites a node of an older opset, in its own meaning there, straight into the canonical opset. Operators
whose later versions only widened types or added optional things need none. Source of every rule: ONNX's changelog of
operators, and ONNX Runtime's behaviour where the old specification left rounding open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir

from graphkit.errors import UnsupportedError, UnsupportedNode
from graphkit.ir.opset import OPSET
from graphkit.ir.symbols import numbers_of, shape_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ir.edit import Editor

__all__ = ["ADAPTERS", "refusal"]

Adapter: TypeAlias = "Callable[[Editor, int], None]"
"""(editor of the node, opset the node is of) -> None; the node is changed in place or replaced."""


def refusal(node: ir.Node, version: int, reason: str) -> UnsupportedError:
    """The error for a node that has no equal in the canonical opset."""
    found = UnsupportedNode(f"{node.op_type} (opset {version})", node.name or "", reason)
    return UnsupportedError(f"opset {OPSET}", [found])


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _take_ints(node: ir.Node, name: str) -> tuple[int, ...] | None:
    attribute = node.attributes.pop(name, None)
    return None if attribute is None else tuple(attribute.as_ints())


def _take_float(node: ir.Node, name: str, default: float) -> np.float32:
    attribute = node.attributes.pop(name, None)
    return np.float32(default if attribute is None else attribute.as_float())


def _number(edit: Editor, role: str, number: np.float32, like: ir.Value | None) -> ir.Value:
    """A float attribute as a scalar constant of an input's dtype, exact to the decimal that its author wrote."""
    dtype = np.dtype(np.float32) if like is None or like.dtype is None else like.dtype.numpy()
    return edit.const(role, number, dtype, exact=float(str(number)))


def _axes_to_input(edit: Editor, _version: int) -> None:
    axes = _take_ints(edit.node, "axes")
    if axes is not None:
        edit.set_inputs(edit.node.inputs[0], edit.const("axes", axes))


def _batch_normalization(edit: Editor, _version: int) -> None:
    node = edit.node
    if node.attributes.pop("spatial", None) is None or not _spatially_normalised(node):
        return
    x, scale, bias, mean, variance = node.inputs
    epsilon = _number(edit, "epsilon", _take_float(node, "epsilon", 1e-5), x)
    deviation = edit.op("Sqrt", edit.op("Add", variance, epsilon))
    normal = edit.op("Div", edit.op("Sub", x, mean), deviation)
    edit.replace(edit.op("Add", edit.op("Mul", normal, scale), bias))


def _spatially_normalised(node: ir.Node) -> bool:
    """Whether the statistics are per activation (``spatial = 0``), which only differs where they have spatial axes."""
    statistics = node.inputs[3]
    shape = None if statistics is None else shape_of(statistics)
    return shape is not None and len(shape) > 1


def _clip(edit: Editor, _version: int) -> None:
    x = edit.node.inputs[0]
    bounds: list[ir.Value | None] = [
        _number(edit, name, np.float32(edit.node.attributes.pop(name).as_float()), x)
        if name in edit.node.attributes
        else None
        for name in ("min", "max")
    ]
    edit.set_inputs(x, *bounds)


def _dft(edit: Editor, _version: int) -> None:
    node = edit.node
    axis = node.attributes.pop("axis", None)
    number = 1 if axis is None else axis.as_int()
    edit.set_inputs(node.inputs[0], _input(node, 1), edit.const("axis", number))


def _dropout(edit: Editor, version: int) -> None:
    node = edit.node
    x = node.inputs[0]
    ratio = _number(edit, "ratio", _take_float(node, "ratio", 0.5), None)
    edit.set_inputs(x, ratio)
    if version < 10 and len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        result, mask = edit.ops("Dropout", 2, x, ratio)
        kind = ir.DataType.FLOAT if x is None or x.dtype is None else x.dtype
        edit.replace(result, edit.op("Cast", mask, to=int(kind)))


def _grid_sample(edit: Editor, _version: int) -> None:
    node = edit.node
    mode = node.attributes.get_string("mode", "bilinear") or "bilinear"
    node.attributes["mode"] = ir.AttrString("mode", mode.removeprefix("bi"))


def _group_normalization(edit: Editor, version: int) -> None:
    """Scale and bias per group become scale and bias per channel."""
    node = edit.node
    x, scale, bias = node.inputs
    groups = node.attributes.get_int("num_groups", 1)
    shape = None if x is None else shape_of(x)
    if shape is None or len(shape) < 2 or not isinstance(shape[1], int):
        raise refusal(node, version, "its scale is per group, and the number of channels is not known")
    per_group = shape[1] // groups

    def per_channel(value: ir.Value | None, role: str) -> ir.Value | None:
        if per_group == 1:
            return value
        column = edit.op("Reshape", value, edit.const(f"{role}_column", [groups, 1]))
        wide = edit.op("Expand", column, edit.const(f"{role}_wide", [groups, per_group]))
        return edit.op("Reshape", wide, edit.const(f"{role}_flat", [shape[1]]))

    edit.set_inputs(x, per_channel(scale, "scale"), per_channel(bias, "bias"))


def _pad(edit: Editor, _version: int) -> None:
    node = edit.node
    x = node.inputs[0]
    pads = _take_ints(node, "pads") or _take_ints(node, "paddings") or ()
    value = _take_float(node, "value", 0.0)
    constant = node.attributes.get_string("mode", "constant") == "constant"
    edit.set_inputs(x, edit.const("pads", pads), _number(edit, "value", value, x) if constant and value else None)


def _resize_by_scales(edit: Editor, version: int) -> None:
    """Upsample 7 and 9, and Resize 10: coordinates are divided by the scale, without any half-pixel shift."""
    node = edit.node
    x = node.inputs[0]
    mode = node.attributes.get_string("mode", "nearest")
    mode = {"bilinear": "linear", "trilinear": "linear"}.get(str(mode), mode)
    attribute = node.attributes.pop("scales", None)
    scales = _input(node, 1) if attribute is None else edit.const("scales", attribute.as_floats(), np.float32)
    settings: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    if mode != "nearest" or node.op_type == "Upsample":
        rounding = "floor" if mode == "nearest" else None
        edit.replace(edit.op("Resize", x, None, scales, nearest_mode=rounding, **settings))
        return
    numbers = sizes_of(scales)
    if numbers is None:
        raise refusal(node, version, "how nearest resizing rounds depends on its scales, which are computed")
    # ONNX Runtime rounds down where it enlarges and up where it shrinks; one node can only do one of the two.
    shrinking = [scale if scale < 1 else 1.0 for scale in numbers.flat]
    enlarging = [scale if scale >= 1 else 1.0 for scale in numbers.flat]
    for factors, rounding in ((enlarging, "floor"), (shrinking, "ceil")):
        if any(factor != 1 for factor in factors) or (rounding == "floor" and shrinking == enlarging):
            factor = edit.const("scales", factors, np.float32)
            x = edit.op("Resize", x, None, factor, nearest_mode=rounding, **settings)
    edit.replace(x)


def _resize_with_roi(edit: Editor, version: int) -> None:
    """Resize 11: ``roi`` and ``scales`` were required, and empty where unused."""
    node = edit.node
    if node.attributes.get_string("coordinate_transformation_mode") == "tf_half_pixel_for_nn":
        raise refusal(node, version, "its coordinate mode tf_half_pixel_for_nn was taken out of ONNX")


def _roi_align(edit: Editor, _version: int) -> None:
    edit.node.attributes["coordinate_transformation_mode"] = ir.AttrString(
        "coordinate_transformation_mode", "output_half_pixel"
    )


def _scan(edit: Editor, version: int) -> None:
    raise refusal(edit.node, version, "Scan had a batch dimension in opset 8; export the model with opset 9 or later")


def _scatter(edit: Editor, _version: int) -> None:
    node = edit.node
    edit.replace(edit.op("ScatterElements", *node.inputs, axis=node.attributes.get_int("axis", 0)))


def _slice(edit: Editor, _version: int) -> None:
    node = edit.node
    starts, ends, axes = (_take_ints(node, name) for name in ("starts", "ends", "axes"))
    starts, ends = starts or (), ends or ()
    axes = tuple(range(len(starts))) if axes is None else axes
    given = (("starts", starts), ("ends", ends), ("axes", axes))
    edit.set_inputs(node.inputs[0], *(edit.const(name, value) for name, value in given))


def _softmax(edit: Editor, _version: int) -> None:
    """Softmax, LogSoftmax and Hardmax saw a matrix: all axes from ``axis`` on as one."""
    node = edit.node
    axis = node.attributes.get_int("axis", 1) or 0
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    if shape is not None:
        place = axis + len(shape) if axis < 0 else axis
        if all(size == 1 for size in shape[place + 1 :]):
            node.attributes["axis"] = ir.AttrInt64("axis", place)
            return
    flat = edit.op(node.op_type, edit.op("Flatten", x, axis=axis), axis=-1)
    edit.replace(edit.op("Reshape", flat, edit.op("Shape", x)))


def _split(edit: Editor, _version: int) -> None:
    node = edit.node
    parts = _take_ints(node, "split")
    if parts is not None:
        edit.set_inputs(node.inputs[0], edit.const("split", parts))
    elif _input(node, 1) is None:
        node.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(node.outputs))


def _topk(edit: Editor, _version: int) -> None:
    node = edit.node
    count = node.attributes.pop("k").as_int()
    edit.set_inputs(node.inputs[0], edit.const("k", [count]))


def _quantize(edit: Editor, version: int) -> None:
    scale = _input(edit.node, 1)
    shape = None if scale is None else shape_of(scale)
    if shape and numbers_of(scale) != [1] and shape != (1,):
        raise refusal(edit.node, version, "it takes one scale only before opset 13")


_REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"]

ADAPTERS: dict[str, Sequence[tuple[int, Adapter]]] = {
    **{f"Reduce{name}": ((18, _axes_to_input),) for name in _REDUCTIONS},
    "BatchNormalization": ((9, _batch_normalization),),
    "Clip": ((11, _clip),),
    "DFT": ((20, _dft),),
    "DequantizeLinear": ((13, _quantize),),
    "Dropout": ((12, _dropout),),
    "GridSample": ((20, _grid_sample),),
    "GroupNormalization": ((21, _group_normalization),),
    "Hardmax": ((13, _softmax),),
    "LogSoftmax": ((13, _softmax),),
    "Pad": ((11, _pad),),
    "QuantizeLinear": ((13, _quantize),),
    "ReduceSum": ((13, _axes_to_input),),
    "Resize": ((11, _resize_by_scales), (13, _resize_with_roi)),
    "RoiAlign": ((16, _roi_align),),
    "Scan": ((9, _scan),),
    "Scatter": ((16, _scatter),),
    "Slice": ((10, _slice),),
    "Softmax": ((13, _softmax),),
    "Split": ((18, _split),),
    "Squeeze": ((13, _axes_to_input),),
    "TopK": ((10, _topk),),
    "Unsqueeze": ((13, _axes_to_input),),
    "Upsample": ((10, _resize_by_scales),),
}
"""By operator: (opset before which a node needs it, adapter), oldest first; the first that applies does all."""
