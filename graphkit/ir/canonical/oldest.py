"""What became of the operators of opsets 1 to 6, and of the experimental ones that ONNX took out later.

Source of every rule: ONNX's changelog of operators (experimental ones: that of ONNX 1.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.canonical.adapters import ADAPTERS, refusal
from graphkit.ir.symbols import shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ir.canonical.adapters import Adapter
    from graphkit.ir.edit import Editor

__all__ = ["OLDEST_FORMS", "forget_legacy"]

_LEGACY: Final = ("consumed_inputs", "is_test", "output_sequence")
"""Attributes that said how a framework runs a node, never what it computes."""


def forget_legacy(node: ir.Node) -> None:
    """Take out attributes without meaning for the result."""
    for name in _LEGACY:
        node.attributes.pop(name, None)


def _broadcasting(edit: Editor, version: int) -> None:
    """The second operand's axes began at ``axis`` of the first's, or were its last ones."""
    node = edit.node
    node.attributes.pop("broadcast", None)
    axis = node.attributes.pop("axis", None)
    if axis is None:
        return
    left, right = node.inputs
    ranks = [None if value is None or (shape := shape_of(value)) is None else len(shape) for value in (left, right)]
    if ranks[0] is None or ranks[1] is None:
        raise refusal(node, version, "its second input is aligned at an axis, and the ranks of its inputs are unknown")
    place = axis.as_int() + (ranks[0] if axis.as_int() < 0 else 0)
    behind = ranks[0] - place - ranks[1]
    if behind > 0 and ranks[1]:
        axes = edit.const("axes", [ranks[1] + index for index in range(behind)])
        edit.set_inputs(left, edit.op("Unsqueeze", right, axes))


def _cast(edit: Editor, version: int) -> None:
    to = edit.node.attributes.get("to")
    if to is not None and to.type == ir.AttributeType.STRING:
        name = str(to.as_string()).upper()
        if name not in ir.DataType.__members__:
            raise refusal(edit.node, version, f"ONNX has no element type {to.as_string()!r}")
        edit.node.attributes["to"] = ir.AttrInt64("to", int(ir.DataType[name]))


def _concat(edit: Editor, _version: int) -> None:
    if "axis" not in edit.node.attributes:
        edit.node.attributes["axis"] = ir.AttrInt64("axis", 1)


def _gemm(edit: Editor, _version: int) -> None:
    edit.node.attributes.pop("broadcast", None)


def _lp_pool(edit: Editor, version: int) -> None:
    power = edit.node.attributes.get("p")
    if power is not None and power.type == ir.AttributeType.FLOAT:
        if not power.as_float().is_integer():
            raise refusal(edit.node, version, "its p is no whole number, as ONNX asks for since opset 2")
        edit.node.attributes["p"] = ir.AttrInt64("p", int(power.as_float()))


def _prelu(edit: Editor, _version: int) -> None:
    """A slope of one axis was one number per channel."""
    x, slope = edit.node.inputs
    ranks = [None if value is None or (shape := shape_of(value)) is None else shape for value in (x, slope)]
    if ranks[0] is None or ranks[1] is None or len(ranks[1]) != 1 or len(ranks[0]) < 3 or ranks[1][0] == 1:
        return
    axes = edit.const("axes", list(range(1, len(ranks[0]) - 1)))
    edit.set_inputs(x, edit.op("Unsqueeze", slope, axes))


def _reshape(edit: Editor, _version: int) -> None:
    shape = edit.node.attributes.pop("shape", None)
    if shape is not None:
        edit.set_inputs(edit.node.inputs[0], edit.const("shape", shape.as_ints()))


def _selu(edit: Editor, _version: int) -> None:
    for name, default in (("alpha", 1.6732), ("gamma", 1.0507)):
        if name not in edit.node.attributes:
            edit.node.attributes[name] = ir.AttrFloat32(name, default)


def _split(edit: Editor, _version: int) -> None:
    if "axis" not in edit.node.attributes:
        edit.node.attributes["axis"] = ir.AttrInt64("axis", 0)
    ADAPTERS["Split"][0][1](edit, 2)


def _tile(edit: Editor, version: int) -> None:
    """One axis was repeated; both the number and the axis were inputs."""
    node = edit.node
    if len(node.inputs) < 3:
        return
    x, tiles, axis = node.inputs
    shape = None if x is None else shape_of(x)
    place = None if axis is None or axis.const_value is None else int(axis.const_value.numpy().reshape(-1)[0])
    if shape is None or place is None:
        raise refusal(node, version, "the axis that it repeats, or the rank of its input, is not known")
    count = edit.op("Reshape", edit.op("Cast", tiles, to=int(ir.DataType.INT64)), edit.const("one", [1]))
    before, after = edit.const("before", [1] * place), edit.const("after", [1] * (len(shape) - place - 1))
    edit.set_inputs(x, edit.op("Concat", before, count, after, axis=0))


def _upsample(edit: Editor, _version: int) -> None:
    node = edit.node
    height, width = (node.attributes.pop(name, None) for name in ("height_scale", "width_scale"))
    if height is not None and width is not None:
        scales = [1.0, 1.0, height.as_float(), width.as_float()]
        node.attributes["scales"] = ir.AttrFloat32s("scales", scales)
    ADAPTERS["Upsample"][0][1](edit, 7)


def _settings(edit: Editor, **defaults: float) -> list[ir.Value]:
    x = edit.node.inputs[0]
    dtype: Any = np.float32 if x is None or x.dtype is None else x.dtype.numpy()
    numbers = {name: np.float32(edit.node.attributes.get_float(name, value)) for name, value in defaults.items()}
    return [edit.const(name, number, dtype, exact=float(str(number))) for name, number in numbers.items()]


def _affine(edit: Editor, _version: int) -> None:
    alpha, beta = _settings(edit, alpha=1.0, beta=0.0)
    edit.replace(edit.op("Add", edit.op("Mul", edit.node.inputs[0], alpha), beta))


def _crop(edit: Editor, version: int) -> None:
    node = edit.node
    border = node.attributes.get_ints("border", None) or ()
    scale = node.attributes.get_ints("scale", None)
    if len(border) != 4:
        raise refusal(node, version, f"its border has {len(border)} numbers; it must have 4")
    left, top, right, bottom = border
    far = 2**63 - 1
    ends = [-bottom or far, -right or far] if scale is None else [top + scale[0], left + scale[1]]
    bounds = (("starts", [top, left]), ("ends", ends), ("axes", [2, 3]))
    edit.replace(edit.op("Slice", node.inputs[0], *(edit.const(name, numbers) for name, numbers in bounds)))


def _image_scaler(edit: Editor, _version: int) -> None:
    (scale,) = _settings(edit, scale=1.0)
    x = edit.node.inputs[0]
    scaled = edit.op("Mul", x, scale)
    bias = edit.node.attributes.get("bias")
    if bias is not None:
        dtype: Any = np.float32 if x is None or x.dtype is None else x.dtype.numpy()
        scaled = edit.op("Add", scaled, edit.const("bias", np.reshape(bias.as_floats(), (-1, 1, 1)), dtype))
    edit.replace(scaled)


def _mean_variance(edit: Editor, version: int) -> None:
    node = edit.node
    across = node.attributes.pop("across_channels", None)
    scaled = node.attributes.pop("normalize_variance", None)
    if scaled is not None and not scaled.as_int():
        raise refusal(node, version, "it leaves the variance as it is (normalize_variance=0)")
    if across is not None:
        axes = [0, 1, 2, 3] if across.as_int() else [0, 2, 3]
        node.attributes["axes"] = ir.AttrInt64s("axes", axes)


def _parametric_softplus(edit: Editor, _version: int) -> None:
    alpha, beta = _settings(edit, alpha=1.0, beta=1.0)
    edit.replace(edit.op("Mul", alpha, edit.op("Softplus", edit.op("Mul", beta, edit.node.inputs[0]))))


def _scale(edit: Editor, _version: int) -> None:
    (scale,) = _settings(edit, scale=1.0)
    edit.replace(edit.op("Mul", edit.node.inputs[0], scale))


def _scaled_tanh(edit: Editor, _version: int) -> None:
    alpha, beta = _settings(edit, alpha=1.0, beta=1.0)
    edit.replace(edit.op("Mul", alpha, edit.op("Tanh", edit.op("Mul", beta, edit.node.inputs[0]))))


_BINARY = ("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor")

OLDEST_FORMS: dict[str, Sequence[tuple[int, Adapter]]] = {
    **dict.fromkeys(_BINARY, ((7, _broadcasting),)),
    "Affine": ((10, _affine),),
    "Cast": ((6, _cast),),
    "Concat": ((4, _concat),),
    "Crop": ((10, _crop),),
    "Gemm": ((7, _gemm),),
    "GlobalLpPool": ((2, _lp_pool),),
    "ImageScaler": ((10, _image_scaler),),
    "LpPool": ((2, _lp_pool),),
    "MeanVarianceNormalization": ((9, _mean_variance),),
    "PRelu": ((7, _prelu),),
    "ParametricSoftplus": ((10, _parametric_softplus),),
    "Reshape": ((5, _reshape),),
    "Scale": ((10, _scale),),
    "ScaledTanh": ((10, _scaled_tanh),),
    "Selu": ((6, _selu),),
    "Split": ((2, _split),),
    "Tile": ((6, _tile),),
    "Upsample": ((7, _upsample),),
}
"""By operator: (opset before which a node needs it, adapter); one that applies does all."""
