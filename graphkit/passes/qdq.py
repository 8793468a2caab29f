"""MXNet's layers of integers as runtimes of ONNX look for them: floats between DequantizeLinear and QuantizeLinear.

A quantized layer of MXNet is read as exact sums of integers (``ConvInteger`` or ``MatMulInteger``, a bias of int32),
the sums times their steps, then ``QuantizeLinear``. Here it becomes a ``Conv``, a ``Gemm``, or a ``MatMul`` where data
has more than two axes, of dequantized data, weights and bias, whose result is quantized (ONNX's QDQ form). ONNX
Runtime, TensorRT and others make one layer of integers of that, and what does not know the pattern computes it in
floats. The integers are the same; products of their steps are rounded at other places, so that a number within rounding
of the middle between two steps may fall to the other one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.canonical.aliases import drop_unused
from graphkit.ir.edit import Editor, nodes_of
from graphkit.ir.origin import origin_of, set_source, source_of
from graphkit.ops.quantized.ranges import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Array = npt.NDArray[np.generic]
    Floats = npt.NDArray[np.float32]

__all__ = ["as_qdq"]

_SUMS: Final = ("ConvInteger", "MatMulInteger")
_ZERO_POINT: Final = 2
"""Input of QuantizeLinear, DequantizeLinear and of sums that is a zero point."""
_MATRIX: Final = 2
"""Axes of a matrix."""
_BYTES: Final = (ir.DataType.INT8, ir.DataType.UINT8)
_MOVES: Final = frozenset({"Flatten", "Reshape", "Transpose", "Identity", "Squeeze", "Unsqueeze"})
"""Operators whose result holds the numbers of their first operand, in the same steps."""
_POOLS: Final = frozenset({"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "Round"})
"""What stands between casts to floats and back where integers are pooled, in the same steps."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """Sums of integers and what makes real numbers of them.

    Attributes:
        sums: ConvInteger or MatMulInteger.
        nodes: It and what follows, the last of which gives the real numbers.
        bias: What is added to the sums; None for nothing.
        steps: What they are multiplied by, a number or one for each filter.
    """

    sums: ir.Node
    nodes: tuple[ir.Node, ...]
    bias: Array | None
    steps: Floats


def as_qdq(model: ir.Model, warn: Callable[[str], None] | None = None) -> ir.Model:
    """A canonical model with the integer layers of MXNet in QDQ form.

    Left as they are: products of two computed operands (attention's). Means of integers are too, as their halves are
    rounded to even exactly.

    Args:
        model: A canonical model; it is left as it is.
        warn: Told of the deviation.

    Returns:
        A copy, with the same names of inputs, outputs and weights; the model itself where it has no such layers.
    """
    if not any(node.op_type in _SUMS and _is_mxnet(node) for node in model.graph.all_nodes()):
        return model
    if warn is not None:
        warn(
            "Quantized layers are written as floats between DequantizeLinear and QuantizeLinear, which runtimes make "
            "layers of integers of: numbers within rounding of the middle between two steps may fall to the other one."
        )
    copy = model.clone()
    copy.meta.update(model.meta)
    source = source_of(model)
    if source is not None:
        set_source(copy, replace(source))
    for node in nodes_of(copy):
        if node.op_type == "QuantizeLinear" and _is_mxnet(node):
            _quantize(copy, node)
    for node in nodes_of(copy):
        if node.op_type == "MaxPool" and _is_mxnet(node):
            _pool(copy, node)
    for node in nodes_of(copy):
        if node.op_type in _SUMS and _is_mxnet(node) and (layer := _layer(node)) is not None:
            _rewrite(copy, layer)
    drop_unused(copy)
    return copy


def _is_mxnet(node: ir.Node) -> bool:
    return not node.domain and origin_of(node).framework == "mxnet"


def _array(value: ir.Value | None) -> Array | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _only_user(value: ir.Value) -> ir.Node | None:
    users = [user for user, _ in value.uses()]
    return users[0] if len(users) == 1 and not value.is_graph_output() else None


def _quantize(model: ir.Model, node: ir.Node) -> None:
    """Let QuantizeLinear divide by the step, where numbers are in steps before it, and name its zero."""
    data, one = node.inputs[0], _array(node.inputs[1])
    if len(node.inputs) > _ZERO_POINT or data is None or one is None or one.size != 1:
        return
    scale = np.float32(one.reshape(-1)[0])
    steps = node.metadata_props.pop(STEPS, None)
    factors = None if steps is None else _factors(data)
    if steps is not None and factors is not None:
        scale = np.float32(1 / float(steps))
        for user, index in factors:
            array = np.asarray(_array(user.inputs[index]), np.float32)
            own = array / np.float32(steps)
            if user.op_type == "Mul" and user.outputs[0] is node.inputs[0] and (own == 1).all():
                data = user.inputs[0]
            else:
                user.replace_input_with(index, Editor(model, user).const("real", own, np.float32))
    edit = Editor(model, node)
    dtype = np.int8 if node.outputs[0].dtype == ir.DataType.INT8 else np.uint8
    edit.replace(edit.op("QuantizeLinear", data, edit.const("scale", scale, np.float32), edit.const("zero", 0, dtype)))


def _factors(value: ir.Value) -> list[tuple[ir.Node, int]] | None:
    """Where the numbers stand that a value is proportional to; None where it is not, or others use them, too."""
    node = value.producer()
    if node is None or _only_user(value) is None:
        return None
    if node.op_type in ("DequantizeLinear", "Min", "Mul") and _array(node.inputs[1]) is not None:
        if node.op_type != "Min":
            return [(node, 1)]
        inner = None if node.inputs[0] is None else _factors(node.inputs[0])
        return None if inner is None else [*inner, (node, 1)]
    if node.op_type not in ("Add", "LeakyRelu", "Relu"):
        return None
    found: list[tuple[ir.Node, int]] = []
    for operand in node.inputs:
        inner = None if operand is None else _factors(operand)
        if inner is None:
            return None
        found += inner
    return found


def _step_of(value: ir.Value | None) -> np.float32 | None:
    """The step in which integers of 8 bits are counted; None where it is not known."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == "QuantizeLinear":
            step = _array(node.inputs[1])
            return None if step is None or step.size != 1 else np.float32(step.reshape(-1)[0])
        if node.op_type not in _MOVES and node.op_type not in _POOLS and node.op_type != "Cast":
            return None
        value = node.inputs[0]
    return None


def _pool(model: ir.Model, node: ir.Node) -> None:
    """Take the largest of dequantized numbers rather than of integers that were cast."""
    source = node.inputs[0]
    before = None if source is None else source.producer()
    after = _only_user(node.outputs[0])
    if before is None or before.op_type != "Cast" or after is None or after.op_type != "Cast" or len(node.outputs) > 1:
        return
    data = before.inputs[0]
    step = _step_of(data)
    if data is None or step is None or data.dtype not in _BYTES or after.outputs[0].dtype != data.dtype:
        return
    edit = Editor(model, after)
    scale, zero = edit.const("scale", step, np.float32), edit.const("zero", 0, data.dtype.numpy())
    pooled = edit.op("MaxPool", edit.op("DequantizeLinear", data, scale, zero), **_attributes(node))
    edit.replace(edit.op("QuantizeLinear", pooled, scale, zero))
    _remove(node, before)


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in node.attributes.items()}


def _remove(*nodes: ir.Node) -> None:
    """Remove nodes that nothing uses any more, the last first."""
    for node in nodes:
        if node.graph is not None and not any(value.uses() or value.is_graph_output() for value in node.outputs):
            node.graph.remove(node, safe=True)


def _layer(sums: ir.Node) -> _Layer | None:
    """Sums whose steps are stored; None where they are not."""
    weight = sums.inputs[1]
    if len(sums.inputs) > _ZERO_POINT or _array(weight) is None:
        return None
    nodes, bias = [sums], None
    user = _only_user(sums.outputs[0])
    if user is not None and user.op_type == "Add":
        bias = _array(user.inputs[1])
        if bias is None:
            return None
        nodes.append(user)
        user = _only_user(user.outputs[0])
    if user is not None and user.op_type == "DequantizeLinear":
        steps = _array(user.inputs[1]) if len(user.inputs) == _ZERO_POINT else None
    elif user is not None and user.op_type == "Cast" and user.outputs[0].dtype == ir.DataType.FLOAT:
        nodes.append(user)
        user = _only_user(user.outputs[0])
        steps = None if user is None or user.op_type != "Mul" else _array(user.inputs[1])
    else:
        return None
    if user is None or steps is None or steps.dtype != np.float32:
        return None
    layer = _Layer(sums, (*nodes, user), bias, steps.astype(np.float32).reshape(-1))
    return (
        layer if layer.steps.size in (1, _filters(layer)) and _fits_bias(layer) and _rank(layer) is not None else None
    )


def _filters(layer: _Layer) -> int:
    weight = _array(layer.sums.inputs[1])
    assert weight is not None
    return int(weight.shape[0] if layer.sums.op_type == "ConvInteger" else weight.shape[-1])


def _fits_bias(layer: _Layer) -> bool:
    return layer.bias is None or layer.bias.size in (1, _filters(layer))


def _rank(layer: _Layer) -> int | None:
    data = layer.sums.inputs[0]
    return None if data is None or data.shape is None else len(data.shape)


def _rewrite(model: ir.Model, layer: _Layer) -> None:
    sums, last = layer.sums, layer.nodes[-1]
    data, weight = sums.inputs[0], sums.inputs[1]
    if data is None or weight is None or data.dtype is None or weight.dtype is None:
        return
    edit = Editor(model, last)
    step = _step_of(data) or np.float32(1)
    own = (layer.steps / step).astype(np.float32)
    conv = sums.op_type == "ConvInteger"
    floats = edit.op(
        "DequantizeLinear", data, edit.const("data_scale", step, np.float32), edit.const("zero", 0, data.dtype.numpy())
    )
    axis = 0 if conv else 1
    operands = [floats, _dequantized(edit, weight, own, axis, "weight")]
    if layer.bias is not None:
        bias = np.broadcast_to(layer.bias.reshape(-1), (_filters(layer),)).astype(np.int32)
        operands.append(
            _dequantized(edit, edit.const("bias", bias, np.int32), (own * step).astype(np.float32), 0, "bias")
        )
    if conv:
        made = edit.op("Conv", *operands, **_attributes(sums))
    elif _rank(layer) == _MATRIX:
        made = edit.op("Gemm", *operands)
    else:
        made = edit.op("MatMul", *operands[:2])
        made = made if layer.bias is None else edit.op("Add", made, operands[2])
    edit.replace(made)
    _remove(*reversed(layer.nodes[:-1]))


def _dequantized(edit: Editor, value: ir.Value, steps: Floats, axis: int, role: str) -> ir.Value:
    assert value.dtype is not None
    shape = steps.shape if steps.size > 1 else ()
    return edit.op(
        "DequantizeLinear",
        value,
        edit.const(f"{role}_scale", steps.reshape(shape), np.float32),
        edit.const(f"{role}_zero", np.zeros(shape), value.dtype.numpy()),
        axis=axis if shape else None,
    )
