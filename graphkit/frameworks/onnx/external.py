"""Weights in files beside a model, read from nowhere but the model's own folder.

A file is named by the model, and so by whoever made it: what lies outside the folder, be it by ``..``, an absolute path
or a link, and what is no plain file (a device, a pipe) is not opened. Fields: ``external_data`` of ``onnx.proto``.
"""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.provenance import note

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import numpy.typing as npt

__all__ = ["check_external", "is_inside", "map_weights"]


def is_inside(folder: Path, location: str) -> bool:
    """Whether a model may name a file: a path within its folder, links followed.

    Args:
        folder: The model's folder, without links.
        location: The path, as the model says it.
    """
    if not location or "\0" in location or os.path.isabs(location):
        return False
    target = Path(os.path.realpath(folder / location))
    return target != folder and target.is_relative_to(folder)


def check_external(path: Path, where: str, tensor: onnx.TensorProto, wanted: int) -> None:
    """Refuse a tensor whose data is not there, in a plain file of the model's folder.

    Args:
        path: The model.
        where: The tensor, at the start of a sentence.
        tensor: The tensor.
        wanted: Bytes of its data.

    Raises:
        FormatError: It is not.
    """
    entries = [(entry.key, entry.value) for entry in tensor.external_data]
    said = dict(entries)
    if len(said) < len(entries) or not all(isinstance(text, str) for entry in entries for text in entry):
        raise FormatError(f"{where} says twice, or not as text, where its data is; the file is damaged.")
    location = said.get("location", "")
    folder = path.resolve().parent
    if not is_inside(folder, location):
        raise FormatError(
            f"{where} has its data in {location!r}, outside the model's folder, which is not allowed; put it beside "
            "the "
            f"model, and its name alone into the file."
        )
    try:
        found = os.stat(folder / location)
        offset, length = int(said.get("offset") or 0), int(said.get("length") or wanted)
    except OSError as error:
        raise FormatError(
            f"{where} has its data in {location!r}, which is missing; put it beside {path.name}."
        ) from error
    except ValueError as error:
        raise FormatError(f"{where} says nonsense about its data in {location!r}; the file is damaged.") from error
    if not stat.S_ISREG(found.st_mode):
        raise FormatError(f"{where} has its data in {location!r}, which is no plain file; put one there.")
    if length != wanted or offset < 0 or offset + length > found.st_size:
        raise FormatError(
            f"{where} needs {wanted} bytes at offset {offset} of {location!r}, which has {found.st_size}; it is "
            f"truncated, or belongs to another model."
        )


def map_weights(model: ir.Model, absent: Collection[str]) -> None:
    """Map what lies in files into memory, each file once, in place.

    Args:
        model: A model that :func:`check_external` was asked of.
        absent: Names of initializers that are not there, which become ones without data.

    Raises:
        FormatError: A file has been replaced or cut meanwhile.
    """
    files: dict[str, mmap.mmap] = {}
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if not isinstance(tensor, ir.ExternalTensor):
                continue
            if tensor.name in absent:
                value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
                value.const_value = None
            else:
                value.const_value = _tensor(tensor, files)
    for attributes in _attributes(model):
        for name, attribute in tuple(attributes.items()):
            if attribute.is_ref():
                continue
            if attribute.type == ir.AttributeType.TENSOR and isinstance(attribute.value, ir.ExternalTensor):
                attributes[name] = ir.AttrTensor(name, _tensor(attribute.value, files))
            elif attribute.type == ir.AttributeType.TENSORS:
                held = [_tensor(one, files) if isinstance(one, ir.ExternalTensor) else one for one in attribute.value]
                attributes[name] = ir.AttrTensors(name, held)


def _attributes(model: ir.Model) -> Iterator[ir._graph_containers.Attributes]:
    for node in model.graph.all_nodes():
        yield node.attributes
    for function in model.functions.values():
        yield function.attributes
        for node in function.all_nodes():
            yield node.attributes


def _tensor(tensor: ir.ExternalTensor, files: dict[str, mmap.mmap]) -> ir.TensorProtocol:
    """A tensor in a file as a view of the mapped file; of elements smaller than a byte as a copy."""
    offset, folder, location = tensor.offset or 0, Path(tensor.base_dir), str(tensor.location)
    length = -(-tensor.size * tensor.dtype.bitwidth // 8)
    if length and location not in files:
        note(folder / location)
        files[location] = _mapping(folder, location)
    if length and offset + length > len(files[location]):
        raise FormatError(f"{folder / location} was cut while it was read; read the model again.")
    if tensor.dtype.bitwidth < 8 or not length:
        data = files[location][offset : offset + length] if length else b""
        proto = onnx.TensorProto(data_type=int(tensor.dtype), dims=tensor.shape.numpy(), raw_data=data)
        return ir.Tensor(ir.serde.deserialize_tensor(proto).numpy(), dtype=tensor.dtype, name=tensor.name)
    dtype = tensor.dtype.numpy()
    stored = dtype.newbyteorder("<") if dtype.kind in "iufc" else dtype
    array: npt.NDArray[np.generic] = np.ndarray(tensor.shape.numpy(), stored, files[location], offset)
    return ir.Tensor(array, dtype=tensor.dtype, name=tensor.name)


def _mapping(folder: Path, location: str) -> mmap.mmap:
    target = folder / location
    try:
        if not is_inside(folder, location):
            raise FormatError(f"{target} was replaced while the model was read, by a link out of the model's folder.")
        descriptor = os.open(os.path.realpath(target), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FormatError(f"{target} is no plain file; put the model's data there.")
            return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise FormatError(f"{target} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
