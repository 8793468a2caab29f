"""One spelling where ONNX has several for the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.errors import GraphkitError, UnsupportedError, UnsupportedNode
from graphkit.ir.chance import note_active
from graphkit.ir.edit import Editor, nodes_of
from graphkit.ir.keeping import STUMBLES
from graphkit.ir.symbols import numbers_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.ir.keeping import Keeping

__all__ = ["spell"]


def spell(model: ir.Model, keeping: Keeping | None = None) -> None:
    """Give every node its one spelling, in place.

    - BatchNormalization and Dropout are in inference form: they follow the session's mode (mode-neutral).
    - ``auto_pad`` becomes explicit pads where the spatial sizes are known.
    - CastLike becomes Cast.
    - Empty optional inputs of Resize are absent.
    - ``allowzero`` goes where no zero is.
    - Range has scalar inputs.
    - STFT says whether its spectra are one-sided, as ONNX's shape inference takes no default.
    - Squeeze says which axes where all sizes are numbers.

    - A BatchNormalization in training mode whose updated statistics are used is said by other operators.

    Args:
        model: The model.
        keeping: Keeps nodes that cannot be spelled so; None refuses them.

    Raises:
        UnsupportedError: Such statistics are used, and the rank of the input is not known.
    """
    for node in nodes_of(model):
        if not node.domain and (rule := _RULES.get(node.op_type)) is not None:
            try:
                rule(Editor(model, node))
            except (GraphkitError, *STUMBLES) as error:
                if keeping is None:
                    raise
                keeping.keep(node, error)


def _batch_normalization(edit: Editor) -> None:
    node = edit.node
    used = [output for output in node.outputs[1:] if output.uses() or output.is_graph_output()]
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    training = node.attributes.get_int("training_mode", 0)
    if used and training and shape is not None:
        _batch_statistics(edit, len(shape))
        return
    for output in node.outputs[1:]:
        if output in used:
            reason = (
                f"its updated statistics ({output.name!r}) are used, but they follow the session's mode; export the "
                f"model in inference mode"
            )
            raise UnsupportedError("canonical form", [UnsupportedNode(node.op_type, node.name or "", reason)])
    node.resize_outputs(1)
    for name in ("training_mode", "spatial"):
        node.attributes.pop(name, None)


def _batch_statistics(edit: Editor, rank: int) -> None:
    """Normalise by the batch's own mean and variance, and give the statistics that these move."""
    node = edit.node
    x, scale, bias, *running = node.inputs
    axes = edit.const("axes", [axis for axis in range(rank) if axis != 1])
    column = edit.const("column", [1, -1, *[1] * (rank - 2)])
    mean = edit.op("ReduceMean", x, axes, keepdims=1)
    centred = edit.op("Sub", x, mean)
    variance = edit.op("ReduceMean", edit.op("Mul", centred, centred), axes, keepdims=1)
    kind = np.dtype(np.float32) if x is None or x.dtype is None else x.dtype.numpy()
    epsilon, momentum = (
        edit.const(name, number, kind, exact=float(str(np.float32(number))))
        for name, number in (
            ("epsilon", node.attributes.get_float("epsilon", 1e-5)),
            ("momentum", node.attributes.get_float("momentum", 0.9)),
        )
    )
    normal = edit.op("Div", centred, edit.op("Sqrt", edit.op("Add", variance, epsilon)))
    scaled = edit.op("Mul", normal, _like(edit, edit.op("Reshape", scale, column), x))
    rest = edit.op("Sub", edit.const("one", 1, kind), momentum)
    flat = edit.const("flat", [-1])
    moved = []
    for old, new in zip(running, (mean, variance), strict=True):
        own = edit.op("Mul", edit.op("Reshape", new, flat), rest)
        moved.append(edit.op("Add", edit.op("Mul", old, _like(edit, momentum, old)), _like(edit, own, old)))
    edit.replace(edit.op("Add", scaled, _like(edit, edit.op("Reshape", bias, column), x)), *moved)


def _like(edit: Editor, value: ir.Value, like: ir.Value | None) -> ir.Value:
    """A value in the element type of another."""
    if like is None or like.dtype is None or like.dtype == value.dtype:
        return value
    return edit.op("Cast", value, to=int(like.dtype))


def _cast_like(edit: Editor) -> None:
    x, like = edit.node.inputs
    if like is not None and like.dtype is not None:
        saturate = edit.node.attributes.get_int("saturate", 1)
        edit.replace(edit.op("Cast", x, to=int(like.dtype), saturate=None if saturate else 0))


def _dropout(edit: Editor) -> None:
    node = edit.node
    if len(node.inputs) > 2:
        training = node.inputs[2]
        if training is not None and (training.const_value is None or training.const_value.numpy().any()):
            note_active(node)
        node.resize_inputs(2)
    node.attributes.pop("seed", None)


def _resize(edit: Editor) -> None:
    node = edit.node
    for index, value in enumerate(node.inputs):
        if index and value is not None and value.const_value is not None and value.const_value.size == 0:
            node.replace_input_with(index, None)


def _range(edit: Editor) -> None:
    """Shape arithmetic often leaves one-element lists here, which ONNX does not allow."""
    inputs = [value if value is None or not shape_of(value) else _scalar(edit, value) for value in edit.node.inputs]
    edit.set_inputs(*inputs)


def _scalar(edit: Editor, value: ir.Value) -> ir.Value:
    return edit.op("Reshape", value, edit.const("scalar", []))


def _reshape(edit: Editor) -> None:
    target = numbers_of(edit.node.inputs[1])
    if target is not None and 0 not in target:
        edit.node.attributes.pop("allowzero", None)


def _stft(edit: Editor) -> None:
    if "onesided" not in edit.node.attributes:
        edit.node.attributes["onesided"] = ir.AttrInt64("onesided", 1)


def _squeeze(edit: Editor) -> None:
    node = edit.node
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    absent = len(node.inputs) < 2 or node.inputs[1] is None
    if absent and shape is not None and all(isinstance(size, int) for size in shape):
        edit.set_inputs(x, edit.const("axes", [axis for axis, size in enumerate(shape) if size == 1]))


def _auto_pad(edit: Editor) -> None:
    node = edit.node
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode == "NOTSET":
        node.attributes.pop("auto_pad", None)
        return
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    kernel = _kernel(node)
    if shape is None or kernel is None:
        return
    rank = len(kernel)
    if mode == "VALID":
        pads = [0] * (2 * rank)
    else:
        if not all(isinstance(size, int) for size in shape[2:]):
            return
        ones = [1] * rank
        strides = node.attributes.get_ints("strides", None) or ones
        dilations = node.attributes.get_ints("dilations", None) or ones
        totals = []
        for axis in range(rank):
            size, stride = int(shape[axis + 2]), strides[axis]
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            totals.append(max(0, (-(-size // stride) - 1) * stride + reach - size))
        small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
        pads = [*small, *large] if mode == "SAME_UPPER" else [*large, *small]
    for name in ("auto_pad", "ceil_mode"):  # both modes fix the output's size without it
        node.attributes.pop(name, None)
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)


def _kernel(node: ir.Node) -> tuple[int, ...] | None:
    given = node.attributes.get_ints("kernel_shape", None)
    if given is not None:
        return tuple(given)
    weight = node.inputs[1] if node.op_type == "Conv" else None
    shape = None if weight is None else shape_of(weight)
    if shape is None or not all(isinstance(size, int) for size in shape):
        return None
    return tuple(int(size) for size in shape[2:])


def _conv_transpose(edit: Editor) -> None:
    """``auto_pad`` and ``output_shape`` become pads, as ONNX defines them."""
    node = edit.node
    x, weight = node.inputs[0], node.inputs[1]
    shape = None if x is None else shape_of(x)
    kernel = None if weight is None else shape_of(weight)
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    target = node.attributes.get_ints("output_shape", None)
    if mode == "NOTSET" and target is None:
        node.attributes.pop("auto_pad", None)
        return
    if shape is None or kernel is None or not all(isinstance(size, int) for size in kernel[2:]):
        return
    rank = len(shape) - 2
    ones = [1] * rank
    strides = node.attributes.get_ints("strides", None) or ones
    dilations = node.attributes.get_ints("dilations", None) or ones
    extra = node.attributes.get_ints("output_padding", None) or [0] * rank
    totals: list[int] = []
    for axis in range(rank):
        reach = (int(kernel[axis + 2]) - 1) * dilations[axis] + 1
        if target is not None:
            size = shape[axis + 2]
            if not isinstance(size, int):
                return
            totals.append(strides[axis] * (size - 1) + extra[axis] + reach - target[-rank:][axis])
        else:
            totals.append(0 if mode == "VALID" else reach + extra[axis] - strides[axis])
    if any(total < 0 for total in totals):
        return
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    pads = [*small, *large] if mode == "SAME_UPPER" else [*large, *small]
    for name in ("auto_pad", "output_shape"):
        node.attributes.pop(name, None)
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)


_RULES: dict[str, Callable[[Editor], None]] = {
    "AveragePool": _auto_pad,
    "BatchNormalization": _batch_normalization,
    "CastLike": _cast_like,
    "Conv": _auto_pad,
    "ConvTranspose": _conv_transpose,
    "Dropout": _dropout,
    "LpPool": _auto_pad,
    "MaxPool": _auto_pad,
    "Range": _range,
    "Reshape": _reshape,
    "Resize": _resize,
    "STFT": _stft,
    "Squeeze": _squeeze,
}
