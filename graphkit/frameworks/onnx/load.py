"""ONNX files as models that are whole: parsed, checked, their weights mapped into memory."""

from __future__ import annotations

import logging
import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.onnx.stripped import parse_stripped
from graphkit.frameworks.onnx.validate import check_complete, check_proto
from graphkit.ir.edit import nodes_of
from graphkit.ir.origin import Origin, origin_of, set_origin
from graphkit.provenance import KEY, note, note_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphkit.frameworks.onnx.validate import Findings

__all__ = ["load"]


def load(path: Path, findings: Findings | None = None) -> tuple[ir.Model, onnx.ModelProto]:
    """Parse an ``.onnx`` file and check that it is whole.

    Large weights are mapped into memory, not loaded; those in external files must lie in the model's own folder. Every
    node notes its origin.

    Args:
        path: The file.
        findings: Notes what a model that is only looked at may lack, and such weights are without data. None refuses
            such models.

    Returns:
        The model, and the protobuf that it is of.

    Raises:
        FormatError: The file is damaged, truncated, or contradicts itself.
        InputError: It cannot be read.
    """
    proto = _parse(path, findings)
    check_proto(path, proto, findings)
    try:
        with _quiet():
            model = ir.serde.deserialize_model(proto)
        ir.external_data.set_base_dir(model.graph, path.resolve().parent)
    except Exception as error:
        cause = error
        while cause.__cause__ is not None:
            cause = cause.__cause__  # type: ignore[assignment]
        raise FormatError(f"{path} is damaged: {' '.join(str(cause).split())}.") from error
    note_record(model.metadata_props.pop(KEY, None))
    try:
        check_complete(model)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    _map_weights(model, findings)
    for node in nodes_of(model):
        if origin_of(node) == Origin():
            set_origin(node, Origin(framework="onnx", op=node.op_type, name=node.name or ""))
    return model, proto


def _parse(path: Path, findings: Findings | None) -> onnx.ModelProto:
    try:
        stripped = parse_stripped(path)
        proto = onnx.ModelProto.FromString(path.read_bytes()) if stripped is None else stripped
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except DecodeError as error:
        raise FormatError(f"{path} is not an ONNX file, or is damaged or truncated: {error}.") from error
    if findings is not None and proto.HasField("graph") and not proto.opset_import:
        findings.notes.append(f"{path} does not say of which opset it is; it is taken for 1, as the oldest files are.")
        proto.opset_import.add(version=1)
    if not proto.HasField("graph") or not proto.opset_import:
        raise FormatError(f"{path} is not an ONNX file: it holds no graph, or does not say of which opset it is.")
    return proto


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


def _map_weights(model: ir.Model, findings: Findings | None) -> None:
    """Map what lies in files into memory, each file once; what is not there becomes a tensor without data."""
    files: dict[str, mmap.mmap] = {}
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if not isinstance(tensor, ir.ExternalTensor):
                continue
            if findings is not None and tensor.name in findings.absent:
                value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
                value.const_value = None
            else:
                note(tensor.path)
                value.const_value = ir.Tensor(_mapped(tensor, files), dtype=tensor.dtype, name=tensor.name)


def _mapped(
    tensor: ir.ExternalTensor, files: dict[str, mmap.mmap]
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    if tensor.dtype.bitwidth < 8 or not tensor.nbytes:
        return tensor.numpy()
    if tensor.path not in files:
        with open(tensor.path, "rb") as file:
            files[tensor.path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    dtype = tensor.dtype.numpy()
    stored = dtype.newbyteorder("<") if dtype.kind in "iufc" else dtype
    return np.ndarray(tensor.shape.numpy(), stored, files[tensor.path], tensor.offset or 0)
