"""Which initializers of a foreign ONNX file are parameters, buffers and constants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from graphkit.ir.canonical.literals import LIFTED
from graphkit.ir.edit import nodes_of
from graphkit.ir.params import KIND, set_kind

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["classify"]

_RECURRENT = frozenset({1, 2, 3})
WEIGHTS: Final[dict[str, frozenset[int]]] = {
    "BatchNormalization": frozenset({1, 2}),
    "Conv": frozenset({1, 2}),
    "ConvTranspose": frozenset({1, 2}),
    "DeformConv": frozenset({1, 3}),
    "GRU": _RECURRENT,
    "Gather": frozenset({0}),
    "Gemm": frozenset({1, 2}),
    "GroupNormalization": frozenset({1, 2}),
    "InstanceNormalization": frozenset({1, 2}),
    "LSTM": _RECURRENT | {7},
    "LayerNormalization": frozenset({1, 2}),
    "MatMul": frozenset({0, 1}),
    "PRelu": frozenset({1}),
    "RMSNormalization": frozenset({1}),
    "RNN": _RECURRENT,
}
"""Inputs that hold what is trained."""
SETTINGS: Final[dict[str, frozenset[int]]] = {
    "Clip": frozenset({1, 2}),
    "DequantizeLinear": frozenset({1, 2}),
    "Dropout": frozenset({1, 2}),
    "OneHot": frozenset({1, 2}),
    "Pad": frozenset({2}),
    "QLinearConv": frozenset({1, 4, 6}),
    "QLinearMatMul": frozenset({1, 4, 6}),
    "QuantizeLinear": frozenset({1, 2}),
    "Range": frozenset({0, 1, 2}),
    "Resize": frozenset({1, 2}),
    "ThresholdedRelu": frozenset({1}),
}
"""Inputs that configure an operator."""
CONTRIB_SETTINGS: Final[dict[str, frozenset[int]]] = {
    "DequantizeLinear": frozenset({1, 2}),
    "DynamicQuantizeMatMul": frozenset({2}),
    "GatherBlockQuantized": frozenset({2}),
    "GroupQueryAttention": frozenset({7, 8}),
    "MatMulIntegerToFloat": frozenset({2, 3}),
    "MatMulNBits": frozenset({2, 3}),
    "QAttention": frozenset({3, 4}),
    "QEmbedLayerNormalization": frozenset(range(8, 13)),
    "QGemm": frozenset({1, 4, 7}),
    "QuantizeLinear": frozenset({1, 2}),
    "RotaryEmbedding": frozenset({2, 3}),
}
"""The same for operators of ``com.microsoft``: scales of quantized numbers, and tables of angles."""


def classify(model: ir.Model) -> None:
    """Give every initializer of a model its kind, in place.

    Kinds that a reader noted stay, and then everything it did not note is a constant. A file without kinds is judged
    by use, first rule first:

    1. Not float: a constant (shapes, axes, tables, quantised weights).
    2. Mean or variance of a BatchNormalization: a buffer.
    3. In a place where weights go (:data:`WEIGHTS`): a parameter. If it was written as a Constant node, then only
       where it has several elements and is no table of a Gather.
    4. In a place where settings go (:data:`SETTINGS`), one element only, or written as a Constant node: a constant.
    5. Any other float tensor: a parameter.
    """
    values = list(model.graph.initializers.values())
    noted = any(KIND in value.metadata_props and LIFTED not in value.metadata_props for value in values)
    statistics: set[ir.Value] = set()
    weights: set[ir.Value] = set()
    settings: set[ir.Value] = set()
    if not noted:
        for node in nodes_of(model):
            for index, value in enumerate(node.inputs):
                if value is None or not (value.const_value is not None or value.is_initializer()):
                    continue
                if node.domain:
                    if node.domain == "com.microsoft" and index in CONTRIB_SETTINGS.get(node.op_type, ()):
                        settings.add(value)
                    continue
                if node.op_type == "BatchNormalization" and index in (3, 4):
                    statistics.add(value)
                elif node.op_type == "Gather" and LIFTED in value.metadata_props:
                    settings.add(value)
                elif index in WEIGHTS.get(node.op_type, ()):
                    weights.add(value)
                elif index in SETTINGS.get(node.op_type, ()):
                    settings.add(value)
    for value in values:
        lifted = value.metadata_props.pop(LIFTED, None) is not None
        if KIND in value.metadata_props:
            continue
        dtype = value.dtype if value.const_value is None else value.const_value.dtype
        if noted or dtype is None or not dtype.is_floating_point():
            set_kind(value, "constant")
        elif value in statistics:
            set_kind(value, "buffer")
        elif value in weights and (not lifted or _size(value) > 1):
            set_kind(value, "parameter")
        elif value in settings or lifted or _size(value) <= 1:
            set_kind(value, "constant")
        else:
            set_kind(value, "parameter")


def _size(value: ir.Value) -> int:
    """Number of elements; of a weight that a model was read without, as far as its shape tells."""
    if value.const_value is not None:
        return int(value.const_value.size)
    return math.prod(dim for dim in value.shape if isinstance(dim, int)) if value.shape is not None else 0
