"""Canonical models to ONNX files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx_ir as ir

from graphkit._version import __version__
from graphkit.files import whole
from graphkit.frameworks.onnx.proto import self_contained
from graphkit.ir.opset import OPSET
from graphkit.passes.lower_opset import lower_opset

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from graphkit.frameworks.base import WriteOptions

__all__ = ["write"]

INLINE_LIMIT: Final = 2**31 - 2**26
"""Bytes of weights from which on they go into a file of their own; a protobuf ends at 2 GiB."""
_ALONE: Final = 1024
"""Bytes up to which a tensor stays in the protobuf all the same, so that shapes and scalars can be read there."""
_ALIGNMENT: Final = 64


def write(model: ir.Model, path: Path, options: WriteOptions) -> list[Path]:
    """Write an ``.onnx`` file, and past 2 GiB of weights a data file ``<name>.data`` beside it.

    The file carries kinds and origins as metadata, so that graphkit reads back what it wrote. Both files appear
    complete or not at all; weights are streamed.

    Returns:
        The files written.

    Raises:
        UnsupportedError: ``options.opset`` cannot express nodes; all of them are listed.
        InputError: The files cannot be written.
    """
    copy = model.clone()
    copy.producer_name, copy.producer_version = "graphkit", __version__
    if options.opset is not None and options.opset != OPSET:
        lower_opset(copy, options.opset)
    tensors = [value for value in copy.graph.initializers.values() if value.const_value is not None]
    total = sum(value.const_value.nbytes for value in tensors if value.const_value is not None)
    if total < INLINE_LIMIT:
        with whole(path) as (draft,):
            draft.write_bytes(ir.serde.serialize_model(self_contained(copy)).SerializeToString())
        return [path]
    data = path.with_name(path.name + ".data")
    with whole(path, data) as (draft, data_draft):
        with data_draft.open("wb") as file:
            for value in tensors:
                _move_out(value, file, data.name)
        draft.write_bytes(ir.serde.serialize_model(copy).SerializeToString())
    return [path, data]


def _move_out(value: ir.Value, file: BinaryIO, location: str) -> None:
    tensor = value.const_value
    if tensor is None or tensor.nbytes <= _ALONE or tensor.dtype == ir.DataType.STRING:
        return
    file.write(b"\0" * (-file.tell() % _ALIGNMENT))
    offset = file.tell()
    tensor.tofile(file)  # type: ignore[attr-defined]  # every tensor of onnx_ir has it, the protocol does not say so
    value.const_value = ir.ExternalTensor(
        location,
        offset,
        file.tell() - offset,
        tensor.dtype,
        shape=ir.Shape(tensor.shape.numpy()),
        name=value.name or "",
    )
