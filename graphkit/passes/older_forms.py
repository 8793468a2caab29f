"""How canonical operators were said before the opset that brought their present form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import onnx_ir as ir

from graphkit.ir.symbols import ceil_div, equal, numbers_of, shape_of
from graphkit.passes import older_resize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ir.edit import Editor

__all__ = ["OLDER_FORMS"]

Adapter: TypeAlias = "Callable[[Editor], str | None]"
"""Says a node as the version before did, in place or by replacing it; returns why it cannot, None when it could."""


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _numbers(node: ir.Node, index: int) -> list[int] | None:
    return numbers_of(_input(node, index))


def _rank(node: ir.Node) -> int | None:
    x = _input(node, 0)
    shape = None if x is None else shape_of(x)
    return None if shape is None else len(shape)


def _to_attribute(name: str, index: int = 1) -> Adapter:
    """Turn a constant integer input into an attribute, and drop the inputs from there on."""

    def adapter(edit: Editor) -> str | None:
        node = edit.node
        if _input(node, index) is None:
            node.resize_inputs(min(len(node.inputs), index))
            return None
        numbers = _numbers(node, index)
        if numbers is None:
            return f"its {name} are computed, and an attribute there"
        node.attributes[name] = ir.AttrInt64s(name, numbers)
        node.resize_inputs(index)
        return None

    return adapter


_axes = _to_attribute("axes")


def _reduce(edit: Editor) -> str | None:
    node = edit.node
    noop = node.attributes.pop("noop_with_empty_axes", None)
    if noop is not None and noop.as_int() and not _numbers(node, 1):
        if _input(node, 1) is not None and _numbers(node, 1) is None:
            return "its axes are computed, and an attribute there"
        edit.replace(edit.op("Identity", node.inputs[0]))
        return None
    return _axes(edit)


def _split_sizes(edit: Editor) -> str | None:
    """An equal split says its sizes where the last one is smaller."""
    node = edit.node
    count = node.attributes.pop("num_outputs", None)
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    if count is None or shape is None:
        return None
    size = shape[(node.attributes.get_int("axis", 0) or 0) % len(shape)]
    if not isinstance(size, int):
        return None
    chunk = -(-size // count.as_int())
    if chunk * count.as_int() != size:
        edit.set_inputs(x, edit.const("split", [*[chunk] * (count.as_int() - 1), size - chunk * (count.as_int() - 1)]))
    return None


def _float_of(value: ir.Value | None) -> float | None:
    tensor = None if value is None else value.const_value
    return float(tensor.numpy().reshape(())) if tensor is not None and tensor.size == 1 else None


def _clip(edit: Editor) -> str | None:
    node = edit.node
    for index, name in ((1, "min"), (2, "max")):
        bound = _input(node, index)
        number = _float_of(bound)
        if bound is not None and number is None:
            return "its bounds are computed, and attributes there"
        if number is not None:
            node.attributes[name] = ir.AttrFloat32(name, number)
    node.resize_inputs(1)
    return None


def _dft(edit: Editor) -> str | None:
    axis = _numbers(edit.node, 2)
    if axis is None or axis[0] < 0:
        return "its axis is computed or counted from the end, and an attribute from the front there"
    edit.node.attributes["axis"] = ir.AttrInt64("axis", axis[0])
    edit.node.resize_inputs(2)
    return None


def _dropout(edit: Editor) -> str | None:
    node = edit.node
    ratio = _float_of(_input(node, 1))
    if _input(node, 1) is not None and ratio is None:
        return "its ratio is computed, and an attribute there"
    if ratio is not None:
        node.attributes["ratio"] = ir.AttrFloat32("ratio", ratio)
    node.resize_inputs(1)
    return None


def _unused_mask(edit: Editor) -> str | None:
    mask = edit.node.outputs[1] if len(edit.node.outputs) > 1 else None
    used = mask is not None and (mask.uses() or mask.is_graph_output())
    return "its mask is used, whose content in inference was open there" if used else None


def _grid_sample(edit: Editor) -> str | None:
    mode = edit.node.attributes.get_string("mode", "linear")
    names = {"linear": "bilinear", "cubic": "bicubic"}
    edit.node.attributes["mode"] = ir.AttrString("mode", names.get(str(mode), str(mode)))
    return None if _rank(edit.node) == 4 else "it samples images only there"


def _group_normalization(edit: Editor) -> str | None:
    """Groups become channels of an InstanceNormalization; scale and bias come after."""
    node = edit.node
    x, scale, bias = node.inputs
    rank = _rank(node)
    if x is None or rank is None or x.dtype is None:
        return "the rank of its input is not known"
    groups = node.attributes.get_int("num_groups", 1)
    dtype = x.dtype.numpy()
    epsilon = node.attributes.get_float("epsilon", None)
    grouped = edit.op("Reshape", x, edit.const("groups", [0, groups, -1]))
    ones, zeros = edit.const("ones", np.ones(groups), dtype), edit.const("zeros", np.zeros(groups), dtype)
    normal = edit.op("InstanceNormalization", grouped, ones, zeros, epsilon=epsilon)
    whole = edit.op("Reshape", normal, edit.op("Shape", x))
    column = edit.const("column", [-1, *[1] * (rank - 2)])
    scaled = edit.op("Mul", whole, edit.op("Reshape", scale, column))
    edit.replace(edit.op("Add", scaled, edit.op("Reshape", bias, column)))
    return None


def _pad_all_axes(edit: Editor) -> str | None:
    node = edit.node
    if _input(node, 3) is None:
        node.resize_inputs(min(len(node.inputs), 3))
        return None
    axes, pads, rank = _numbers(node, 3), _numbers(node, 1), _rank(node)
    if axes is None or pads is None or rank is None:
        return "it pads some axes only, and all are said there"
    found = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        found[axis % rank] = pads[index]
        found[axis % rank + rank] = pads[index + len(axes)]
    edit.set_inputs(node.inputs[0], edit.const("pads", found), _input(node, 2))
    return None


def _no_wrap(edit: Editor) -> str | None:
    wraps = edit.node.attributes.get_string("mode", "constant") == "wrap"
    return "its mode wrap is newer than that opset" if wraps else None


def _pad(edit: Editor) -> str | None:
    node = edit.node
    value = _float_of(_input(node, 2))
    if _input(node, 2) is not None and value is None:
        return "its value is computed, and an attribute there"
    if value:
        node.attributes["value"] = ir.AttrFloat32("value", value)
    return _to_attribute("pads")(edit)


def _scatter(edit: Editor) -> str | None:
    if edit.node.attributes.get_string("reduction", "none") != "none":
        return "it reduces, which is newer than that opset"
    edit.node.attributes.pop("reduction", None)
    edit.node.op_type = "Scatter"
    return None


def _slice(edit: Editor) -> str | None:
    node = edit.node
    steps = _numbers(node, 4)
    if _input(node, 4) is not None and (steps is None or any(step != 1 for step in steps)):
        return "it has steps, which are newer than that opset"
    for index, name in ((1, "starts"), (2, "ends"), (3, "axes")):
        numbers = _numbers(node, index)
        if _input(node, index) is not None and numbers is None:
            return f"its {name} are computed, and attributes there"
        if numbers is not None:
            node.attributes[name] = ir.AttrInt64s(name, numbers)
    node.resize_inputs(1)
    return None


def _shape_part(edit: Editor) -> str | None:
    node = edit.node
    rank = _rank(node)
    start, end = node.attributes.pop("start", None), node.attributes.pop("end", None)
    if start is None and end is None:
        return None
    if rank is None:
        return "it gives part of the shape, which is newer than that opset"
    kept = range(rank)[None if start is None else start.as_int() : None if end is None else end.as_int()]
    edit.replace(edit.op("Gather", edit.op("Shape", node.inputs[0]), edit.const("axes", list(kept)), axis=0))
    return None


def _softmax(edit: Editor) -> str | None:
    """Before opset 13 all axes from ``axis`` on were one: only the last axis says the same."""
    node = edit.node
    rank = _rank(node)
    if rank is None:
        return "the rank of its input is not known"
    axis = node.attributes.get_int("axis", -1) % rank
    node.attributes["axis"] = ir.AttrInt64("axis", rank - 1)
    if axis != rank - 1:
        order = [*(place for place in range(rank) if place != axis), axis]
        last = edit.op("Transpose", node.inputs[0], perm=order)
        # Inference knows the canonical opset only, in which the same axis means the same here.
        normal = edit.op(node.op_type, last, axis=rank - 1)
        edit.replace(edit.op("Transpose", normal, perm=[order.index(place) for place in range(rank)]))
    return None


def _topk_order(edit: Editor) -> str | None:
    node = edit.node
    given = [node.attributes.pop(name, None) for name in ("largest", "sorted")]
    if given[0] is not None and not given[0].as_int():
        return "it takes the smallest, which is newer than that opset"
    return None


def _topk(edit: Editor) -> str | None:
    node = edit.node
    count = _numbers(node, 1)
    if count is None:
        return "its k is computed, and an attribute there"
    node.attributes["k"] = ir.AttrInt64("k", count[0])
    node.resize_inputs(1)
    return None


def _gemm_bias(edit: Editor) -> str | None:
    node = edit.node
    x = node.inputs[0]
    if _input(node, 2) is None and x is not None and x.dtype is not None:
        edit.set_inputs(*node.inputs[:2], edit.const("bias", 0.0, x.dtype.numpy()))
    return None


def _not(op_type: str) -> Adapter:
    def adapter(edit: Editor) -> str | None:
        edit.replace(edit.op("Not", edit.op(op_type, *edit.node.inputs)))
        return None

    return adapter


def _roi_align(edit: Editor) -> str | None:
    mode = edit.node.attributes.pop("coordinate_transformation_mode", None)
    if mode is None or mode.as_string() != "output_half_pixel":
        return "its coordinate mode half_pixel is newer than that opset"
    return None


def _no_dropped_window(edit: Editor) -> str | None:
    """Before opset 22 ``ceil_mode`` kept a last window that starts in the end padding."""
    node = edit.node
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    result = shape_of(node.outputs[0])
    if not node.attributes.get_int("ceil_mode", 0) or shape is None or result is None:
        return None
    kernel = node.attributes.get_ints("kernel_shape", [])
    rank = len(kernel)
    strides = node.attributes.get_ints("strides", None) or [1] * rank
    dilations = node.attributes.get_ints("dilations", None) or [1] * rank
    pads = node.attributes.get_ints("pads", None) or [0] * (2 * rank)
    for axis in range(rank):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        size, found = shape[axis + 2], result[axis + 2]
        if isinstance(size, int) and isinstance(found, int):
            count = ceil_div(size + pads[axis] + pads[axis + rank] - reach, strides[axis]) + 1
            if count != found:
                return "its last window starts in the padding, which only later opsets leave out"
    return None


def _broadcast_by_pairs(op_type: str | None) -> Adapter:
    """Before opset 8 operators of many inputs did not broadcast; those of two did."""

    def adapter(edit: Editor) -> str | None:
        inputs = list(edit.node.inputs)
        shapes = [None if value is None else shape_of(value) for value in inputs]
        first = shapes[0]
        if first is not None and all(
            shape is not None and len(shape) == len(first) and all(map(equal, shape, first)) for shape in shapes
        ):
            return None
        if op_type is None:
            return "its inputs have different shapes, which have to be equal there"
        total = inputs[0]
        for value in inputs[1:]:
            total = edit.op(op_type, total, value)
        edit.replace(total)
        return None

    return adapter


def _no_batch_dims(edit: Editor) -> str | None:
    return "its batch_dims are newer than that opset" if edit.node.attributes.get_int("batch_dims", 0) else None


_REDUCTIONS: Final = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
_FLAT: Final = (13, _softmax)
OLDER_FORMS: dict[str, Sequence[tuple[int, Adapter]]] = {
    **{f"Reduce{name}": ((18, _reduce),) for name in _REDUCTIONS},
    "Clip": ((11, _clip),),
    "AveragePool": ((22, _no_dropped_window),),
    "DFT": ((20, _dft),),
    "Dropout": ((12, _unused_mask), (12, _dropout)),
    "GatherND": ((12, _no_batch_dims),),
    "Gemm": ((11, _gemm_bias),),
    "GreaterOrEqual": ((12, _not("Less")),),
    "GridSample": ((20, _grid_sample),),
    "GroupNormalization": ((21, _group_normalization),),
    "Hardmax": (_FLAT,),
    "LessOrEqual": ((12, _not("Greater")),),
    "LogSoftmax": (_FLAT,),
    "LpPool": ((22, _no_dropped_window),),
    "Max": ((8, _broadcast_by_pairs(None)),),
    "MaxPool": ((22, _no_dropped_window),),
    "Mean": ((8, _broadcast_by_pairs(None)),),
    "Min": ((8, _broadcast_by_pairs(None)),),
    "Pad": ((19, _no_wrap), (18, _pad_all_axes), (11, _pad)),
    "ReduceSum": ((13, _reduce),),
    "Resize": (
        (18, older_resize.all_axes),
        (13, older_resize.all_inputs),
        (11, older_resize.by_scales),
        (10, older_resize.upsample),
        (9, older_resize.upsample_with_attribute),
    ),
    "RoiAlign": ((16, _roi_align),),
    "ScatterElements": ((11, _scatter),),
    "Shape": ((15, _shape_part),),
    "Slice": ((10, _slice),),
    "Softmax": (_FLAT,),
    "Split": ((18, _split_sizes), (13, _to_attribute("split"))),
    "Squeeze": ((13, _axes),),
    "Sum": ((8, _broadcast_by_pairs("Add")),),
    "TopK": ((11, _topk_order), (10, _topk)),
    "Unsqueeze": ((13, _axes),),
}
"""By operator: (opset that brought its later form, how to say it before), newest first; all that apply run in order."""
