"""A model computing in another float precision."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.edit import graphs_of
from graphkit.ir.opset import schema_of
from graphkit.ir.origin import set_source, source_of
from graphkit.ir.params import exact

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["cast_floats"]

_EAGER = 1024
"""Elements up to which a tensor is converted at once."""
_DTYPE_ATTRIBUTES: Final = {
    "Attention": "softmax_precision",
    "Bernoulli": "dtype",
    "BlackmanWindow": "output_datatype",
    "Cast": "to",
    "DequantizeLinear": "output_dtype",
    "EyeLike": "dtype",
    "HammingWindow": "output_datatype",
    "HannWindow": "output_datatype",
    "MelWeightMatrix": "output_datatype",
    "RandomNormal": "dtype",
    "RandomNormalLike": "dtype",
    "RandomUniform": "dtype",
    "RandomUniformLike": "dtype",
}
"""The attribute that says in which type an operator computes, or answers.

``stash_type`` of the normalisations is not among them: every runtime computes those in the input's own type.
"""
_FLOAT_UNSAID: Final = frozenset(
    {"BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix", "RandomNormal", "RandomUniform"}
)
"""Operators that answer in float32 where the attribute is left out."""


def cast_floats(model: ir.Model, dtype: str) -> ir.Model:
    """A copy of a canonical model in which every float tensor is of one type.

    Inputs, outputs, initializers, intermediate values, and attributes that name a float type change; where ONNX knows
    one type only (the scales of Resize, the boxes of NonMaxSuppression), a float32 copy or cast is put in between.
    Constants become the numbers that they were rounded from where those are known (:func:`graphkit.ir.params.exact`).
    Large weights are converted when they are read, so that the copy holds no second set of them.

    Args:
        model: A canonical model; it is left as it is.
        dtype: ``"float16"``, ``"float32"`` or ``"float64"``.

    Returns:
        The copy, with the same names, metadata, kinds and source; the source knows of the cast.

    Raises:
        ValueError: ``dtype`` is none of these.
    """
    targets = {
        "float16": ir.DataType.FLOAT16,
        "float32": ir.DataType.FLOAT,
        "float64": ir.DataType.DOUBLE,
    }
    if dtype not in targets:
        raise ValueError(f"{dtype!r} is not one of {', '.join(targets)}")
    target = targets[dtype]
    copy = model.clone()
    copy.meta.update(model.meta)
    source = source_of(model)
    if source is not None:
        set_source(copy, replace(source, dtype=dtype, recast=source.recast or _is_apart(model, target)))
    for graph in graphs_of(copy.graph):
        for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
            value.type = _cast_type(value.type, target)
        for node in graph:
            _cast_attributes(node, target)
    singles = _single_inputs(copy) if target != ir.DataType.FLOAT else []
    originals = {value: value.const_value for value in copy.graph.initializers.values()}
    for value, tensor in originals.items():
        value.type = _cast_type(value.type, target)
        if tensor is not None and _is_float(tensor.dtype) and tensor.dtype != target:
            value.const_value = _cast_tensor(tensor, exact(value), target)
    for node, index in singles:
        _keep_single(copy, node, index, originals)
    return copy


def _is_apart(model: ir.Model, target: ir.DataType) -> bool:
    """Whether a model is fed or computes floats of another precision; doubles among floats of 32 bits do not count."""
    same = (target, ir.DataType.DOUBLE) if target == ir.DataType.FLOAT else (target,)
    return any(
        _is_float(value.dtype) and value.dtype not in same
        for graph in graphs_of(model.graph)
        for value in (*graph.inputs, *(made for node in graph for made in node.outputs))
    )


def _is_float(dtype: ir.DataType | None) -> bool:
    return dtype is not None and dtype.is_floating_point() and dtype.bitwidth >= 16


def _cast_type(kind: ir.TypeProtocol | None, target: ir.DataType) -> ir.TypeProtocol | None:
    if isinstance(kind, ir.TensorType):
        return ir.TensorType(target, denotation=kind.denotation) if _is_float(kind.dtype) else kind
    if isinstance(kind, ir.SequenceType | ir.OptionalType):
        inner = _cast_type(kind.elem_type, target)
        return kind if inner is None else type(kind)(inner, denotation=kind.denotation)
    return kind


def _cast_attributes(node: ir.Node, target: ir.DataType) -> None:
    if node.domain:
        return
    name = _DTYPE_ATTRIBUTES.get(node.op_type, "")
    unsaid = int(ir.DataType.FLOAT if node.op_type in _FLOAT_UNSAID else ir.DataType.UNDEFINED)
    if name and _is_float(ir.DataType(node.attributes.get_int(name, unsaid))):
        node.attributes[name] = ir.AttrInt64(name, int(target))
    if node.op_type == "ConstantOfShape":
        attribute = node.attributes.get("value")
        tensor = ir.tensor(np.zeros(1, np.float32)) if attribute is None else attribute.as_tensor()
        if _is_float(tensor.dtype):
            decimal = np.array([float(str(number)) for number in tensor.numpy().flat], np.float64)
            node.attributes["value"] = ir.AttrTensor("value", _cast_tensor(tensor, decimal, target))


def _cast_tensor(
    tensor: ir.TensorProtocol, doubles: npt.NDArray[np.float64] | None, target: ir.DataType
) -> ir.TensorProtocol:
    dtype = target.numpy()
    if target != ir.DataType.DOUBLE:
        doubles = None
    if tensor.size <= _EAGER:
        return _converted(tensor, doubles, dtype)
    shape = ir.Shape(tensor.shape.numpy())
    return ir.LazyTensor(partial(_converted, tensor, doubles, dtype), target, shape, name=tensor.name)


def _converted(
    tensor: ir.TensorProtocol, doubles: npt.NDArray[np.float64] | None, dtype: np.dtype[np.generic]
) -> ir.TensorProtocol:
    array = tensor.numpy() if doubles is None else doubles.reshape(tensor.shape.numpy())
    with np.errstate(over="ignore"):
        return ir.tensor(array.astype(dtype), name=tensor.name)


def _single_inputs(model: ir.Model) -> list[tuple[ir.Node, int]]:
    """Where operators take float32 and nothing else."""
    found: list[tuple[ir.Node, int]] = []
    for graph in graphs_of(model.graph):
        for node in graph:
            schema = None if node.domain else schema_of(node.op_type)
            if schema is None:
                continue
            formal = schema.inputs
            for index, value in enumerate(node.inputs):
                if value is not None and formal[min(index, len(formal) - 1)].type_str == "tensor(float)":
                    found.append((node, index))
    return found


def _keep_single(
    model: ir.Model, node: ir.Node, index: int, originals: dict[ir.Value, ir.TensorProtocol | None]
) -> None:
    value = node.inputs[index]
    if value is None or node.graph is None:
        return
    tensor = originals.get(value)
    name = f"{value.name}_float32"
    if tensor is not None and tensor.dtype == ir.DataType.FLOAT:
        if len(value.uses()) == 1:
            value.const_value = tensor
            value.type = ir.TensorType(ir.DataType.FLOAT)
            return
        single = model.graph.initializers.get(name)
        if single is None:
            single = ir.val(name, const_value=tensor)
            single.metadata_props.update(value.metadata_props)
            model.graph.register_initializer(single)
        node.replace_input_with(index, single)
        return
    cast = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)}, name=f"{node.name}_{index}_float32")
    cast.outputs[0].name = f"{node.name}_{index}_float32"
    cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), value.shape
    node.graph.insert_before(node, cast)
    node.replace_input_with(index, cast.outputs[0])
