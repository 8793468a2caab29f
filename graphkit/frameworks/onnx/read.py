"""ONNX files to canonical models."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from graphkit.errors import FormatError, InputError
from graphkit.ir.canonical import canonical
from graphkit.ir.edit import graphs_of, nodes_of
from graphkit.ir.origin import Origin, Source, origin_of, set_origin, set_source
from graphkit.ir.symbols import numbers_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphkit.frameworks.base import InputSpec, ReadOptions

__all__ = ["read"]


def read(path: Path, options: ReadOptions) -> ir.Model:
    """Read an ``.onnx`` file of opset 7 or later.

    Weights in external files are mapped into memory, not loaded; they must lie in the model's own folder. The batch
    dimension is as free as the file says; ``options.inputs`` frees or pins dimensions.

    Raises:
        FormatError: The file is damaged, truncated, of an older opset, or contradicts itself.
        InputError: The file cannot be read, or a given input does not fit the model.
        UnsupportedError: Nodes have no equal in canonical form.
    """
    model = _load(path)
    try:
        _check_complete(model)
        _note_origins(model)
        freed = _apply_inputs(model, options.inputs)
        if options.inputs:
            _forget_shapes(model)
        canonical(model)
        _check_free(model, freed)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    set_source(model, Source("onnx", path.name, path))
    return model


def _load(path: Path) -> ir.Model:
    try:
        proto = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except DecodeError as error:
        raise FormatError(f"{path} is not an ONNX file, or is damaged or truncated: {error}.") from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise FormatError(f"{path} is not an ONNX file: it holds no graph, or does not say of which opset it is.")
    for tensor in _tensors(proto.graph):
        _check_tensor(path, tensor)
    try:
        with _quiet():
            model = ir.serde.deserialize_model(proto)
        ir.external_data.set_base_dir(model.graph, path.resolve().parent)
    except Exception as error:
        cause = error
        while cause.__cause__ is not None:
            cause = cause.__cause__  # type: ignore[assignment]
        raise FormatError(f"{path} is damaged: {' '.join(str(cause).split())}.") from error
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what onnx_ir logs about damaged graphs, which are refused afterwards."""
    logger = logging.getLogger("onnx_ir.serde")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            for inner in attribute.graphs:
                yield from _tensors(inner)


def _check_tensor(path: Path, tensor: onnx.TensorProto) -> None:
    """Refuse a tensor whose data is not what its shape and type ask for, or lies outside the model's folder."""
    where = f"{path}: tensor {tensor.name!r}"
    try:
        dtype = ir.DataType(tensor.data_type)
    except ValueError as error:
        raise FormatError(f"{where} has the unknown element type {tensor.data_type}; the file is damaged.") from error
    if any(size < 0 for size in tensor.dims):
        raise FormatError(f"{where} has the shape {tuple(tensor.dims)}; the file is damaged.")
    if dtype in (ir.DataType.STRING, ir.DataType.UNDEFINED):
        return
    count = 1
    for size in tensor.dims:
        count *= size
    wanted = -(-count * dtype.bitwidth // 8)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        _check_external(path, where, tensor, wanted)
    elif tensor.HasField("raw_data") and len(tensor.raw_data) != wanted:
        raise FormatError(
            f"{where} of shape {tuple(tensor.dims)} and type {dtype.name} needs {wanted} bytes, but has "
            f"{len(tensor.raw_data)}; the file is damaged."
        )


def _check_external(path: Path, where: str, tensor: onnx.TensorProto, wanted: int) -> None:
    said = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.resolve().parent
    location = said.get("location", "")
    target = os.path.realpath(folder / location)
    if not location or os.path.isabs(location) or not os.path.realpath(target).startswith(f"{folder}{os.sep}"):
        raise FormatError(f"{where} has its data in {location!r}, outside the model's folder, which is not allowed.")
    try:
        size = os.stat(target).st_size
        offset, length = int(said.get("offset") or 0), int(said.get("length") or wanted)
    except OSError as error:
        raise FormatError(
            f"{where} has its data in {location!r}, which is missing; put it beside {path.name}."
        ) from error
    except ValueError as error:
        raise FormatError(f"{where} says nonsense about its data in {location!r}; the file is damaged.") from error
    if length != wanted or offset < 0 or offset + length > size:
        raise FormatError(
            f"{where} needs {wanted} bytes at offset {offset} of {location!r}, which has {size}; it is truncated, or "
            f"belongs to another model."
        )


def _check_complete(model: ir.Model) -> None:
    """Refuse a graph that reads values which nothing gives."""
    given: set[ir.Value] = set()
    for graph in graphs_of(model.graph):
        given.update(graph.inputs, graph.initializers.values())
        given.update(value for node in graph for value in node.outputs)
    for function in model.functions.values():
        given.update(function.inputs)
        given.update(value for node in function for value in node.outputs)
    for node in nodes_of(model):
        for value in node.inputs:
            if value is not None and value not in given:
                raise FormatError(
                    f"Node {node.name!r} ({node.op_type}) reads {value.name!r}, which is no input, no initializer and "
                    f"no other node's output; the file is damaged."
                )
    for graph in graphs_of(model.graph):
        for value in graph.outputs:
            if value not in given:
                raise FormatError(f"Output {value.name!r} is computed by no node; the file is damaged.")
        if not graph.outputs:
            raise FormatError("The graph has no outputs; the file is damaged.")


def _note_origins(model: ir.Model) -> None:
    for node in nodes_of(model):
        if origin_of(node) == Origin():
            set_origin(node, Origin(framework="onnx", op=node.op_type, name=node.name or ""))


def _apply_inputs(model: ir.Model, specs: tuple[InputSpec, ...]) -> dict[str, int]:
    """Free and pin the dimensions that were asked for.

    Returns:
        For each dimension that the file fixed and that is free now, its new name and the number it had.
    """
    inputs = {value.name or "": value for value in model.graph.inputs if not value.is_initializer()}
    nameless = iter(inputs)
    pinned: dict[str, int] = {}
    freed: dict[str, int] = {}
    for spec in specs:
        name = spec.name or next(nameless, "")
        if name not in inputs:
            known = ", ".join(map(repr, inputs)) or "none"
            raise InputError(f"The model has no input {name!r}; its inputs are {known}.")
        value = inputs[name]
        if spec.dtype and value.dtype is not None and value.dtype.numpy().name != spec.dtype:
            raise InputError(f"Input {name!r} is {value.dtype.numpy().name} in the file, not {spec.dtype}.")
        dims: list[int | ir.SymbolicDim | None] = [None] * len(spec.shape)
        if value.shape is not None:
            dims = list(value.shape)
        if len(dims) != len(spec.shape):
            raise InputError(f"Input {name!r} has {len(dims)} dimensions in the file, {len(spec.shape)} were given.")
        for axis, (old, new) in enumerate(zip(dims, spec.shape, strict=True)):
            if new is not None:
                if isinstance(old, ir.SymbolicDim) and old.value is not None:
                    pinned[old.value] = new
                dims[axis] = new
            elif isinstance(old, int):
                label = "batch" if axis == 0 else f"{name}_d{axis}"
                freed[label] = old
                dims[axis] = ir.SymbolicDim(label)
        value.shape = ir.Shape(dims)
    for value in inputs.values():
        if value.shape is not None:
            value.shape = ir.Shape(
                [
                    pinned.get(dim.value, dim) if isinstance(dim, ir.SymbolicDim) and dim.value is not None else dim
                    for dim in value.shape
                ]
            )
    return freed


def _forget_shapes(model: ir.Model) -> None:
    for node in nodes_of(model):
        for value in node.outputs:
            if node.domain in ("", "ai.onnx"):
                value.shape = None


def _check_free(model: ir.Model, freed: dict[str, int]) -> None:
    """Refuse to free a dimension that a Reshape of the file fixes again."""
    if not freed:
        return
    for node in nodes_of(model):
        if node.op_type != "Reshape" or node.inputs[0] is None:
            continue
        codes, shape = numbers_of(node.inputs[1]), shape_of(node.inputs[0])
        for axis, code in enumerate(codes or []):
            size = shape[axis] if shape is not None and axis < len(shape) else None
            if str(size) in freed and code == freed[str(size)]:
                raise InputError(
                    f"Dimension {axis} cannot be freed: node {node.name!r} (Reshape) fixes it at {code}. Export the "
                    f"model with that dimension dynamic."
                )
