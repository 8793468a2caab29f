"""Canonical models to ONNX files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx

from graphkit._version import __version__
from graphkit.errors import InputError, UnsupportedError, UnsupportedNode
from graphkit.files import release, whole, write_array, written
from graphkit.frameworks.onnx.proto import weightless_proto
from graphkit.ir.edit import nodes_of
from graphkit.ir.training import padding_row, stops_gradient
from graphkit.provenance import KEY, sources_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    import onnx_ir as ir

    from graphkit.frameworks.base import WriteOptions
    from graphkit.provenance import Record

__all__ = ["check", "write"]

INLINE_LIMIT: Final = 2**31 - 2**20
"""Bytes from which on weights go into a file of their own; a protobuf ends at 2 GiB."""
_OLDER: Final = 21
_LATE: Final = frozenset(
    [
        "Bernoulli",
        "GlobalLpPool",
        "MaxRoiPool",
        "Multinomial",
        "RandomGamma",
        "RandomNormal",
        "RandomNormalLike",
        "RandomPoisson",
        "RandomUniform",
        "RandomUniformLike",
        "RoiAlign",
    ]
)
"""Operators that ONNX Runtime (1.31) runs in opset 21 and not in 22, which only widened their types."""
_ALIGNMENT: Final = 64
_BYTES: Final = 2
"""Wire type of messages and bytes in protobuf's encoding."""


def write(model: ir.Model, path: Path, options: WriteOptions) -> list[Path]:
    """Write an ``.onnx`` file, and past 2 GiB a data file ``<name>.data`` beside it, which it names without a folder.

    Where no opset is asked for it is the canonical one, or 21 for operators that ONNX Runtime runs no later.

    The file carries kinds and origins as metadata, so that graphkit reads back what it wrote, and the record of how it
    was made (:mod:`graphkit.provenance`), as the last field, when what it was made from has been hashed. Both files
    appear complete or not at all. Weights are streamed from where they are (:func:`graphkit.files.write_array`).

    Returns:
        The files written.

    Raises:
        UnsupportedError: ``options.opset`` cannot express nodes; all of them are listed.
        InputError: The files cannot be written.
    """
    if stopped := [node for node in nodes_of(model) if stops_gradient(node) and _lies_between(node)]:
        nodes = "1 node stops" if len(stopped) == 1 else f"{len(stopped)} nodes stop"
        options.warn(
            f"{nodes} gradients (the first is {stopped[0].name!r}), which ONNX cannot say: graphkit heeds the note "
            f"that it leaves in the file, other tools let gradients through."
        )
    if padded := [node for node in nodes_of(model) if padding_row(node) is not None]:
        nodes = "1 node gives its" if len(padded) == 1 else f"{len(padded)} nodes give their"
        options.warn(
            f"{nodes} padding row no gradient (the first is {padded[0].name!r}), which ONNX cannot say: graphkit heeds "
            f"the note that it leaves in the file, other tools let gradients through."
        )
    proto, weights = _proto(model, options.opset)
    proto.producer_name, proto.producer_version = "graphkit", __version__
    size = _size(model, proto) + sum(tensor.nbytes for tensor in weights.values())
    if options.record is not None:
        size += len(_entry(options.record.expected()))
    if size < INLINE_LIMIT:
        with whole(path, size=size) as (draft,), draft.open("wb") as file:
            _write_inline(proto, weights, file)
            if options.record is not None:
                file.write(_entry(options.record.record()))
        return [path]
    beside = Path(os.path.realpath(path)) if path.is_symlink() else path
    data = beside.with_name(beside.name + ".data")
    _check_foreign(model, path, data)
    with whole(path, data, size=size) as (draft, data_draft):
        with data_draft.open("wb") as file:
            _write_beside(proto, weights, file, data.name)
        entry = b"" if options.record is None else _entry(options.record.record())
        draft.write_bytes(proto.SerializeToString() + entry)
    return [path, data]


def _check_foreign(model: ir.Model, path: Path, data: Path) -> None:
    """Refuse to replace a file that holds the weights of another model, that which is written."""
    known = sources_of(model)
    files = {} if known is None else known.files
    if os.path.realpath(data) in files and os.path.realpath(path) not in files:
        raise InputError(
            f"{path} cannot be written: its weights would go to {data}, which holds those of the source, and the "
            f"source would be left without. Give another name or folder."
        )


def _entry(record: Record) -> bytes:
    """A record as an entry of a model's metadata, to follow its other fields."""
    entry: bytes = onnx.StringStringEntryProto(key=KEY, value=record.text()).SerializeToString()
    return _start(onnx.ModelProto.METADATA_PROPS_FIELD_NUMBER, len(entry)) + entry


def check(model: ir.Model, options: WriteOptions) -> None:
    """Refuse what :func:`write` would.

    Raises:
        UnsupportedError: ``options.opset`` cannot express nodes; all of them are listed.
    """
    proto, _ = _proto(model, options.opset)
    _size(model, proto)


def _size(model: ir.Model, proto: onnx.ModelProto) -> int:
    """Bytes of a protobuf without its weights."""
    size: int = proto.ByteSize()
    if size >= INLINE_LIMIT:
        raise _too_much(model, size)
    return size


def _proto(model: ir.Model, opset: int | None) -> tuple[onnx.ModelProto, Mapping[str, ir.TensorProtocol]]:
    if opset is None and any(node.op_type in _LATE for node in model.graph.all_nodes()):
        with contextlib.suppress(UnsupportedError):
            return weightless_proto(model, opset=_OLDER)
    return weightless_proto(model, opset=opset)


def _lies_between(node: ir.Node) -> bool:
    """Whether other nodes of the graph lie before and after a node."""
    source = node.inputs[0]
    return bool(node.outputs[0].uses()) and source is not None and not source.is_graph_input()


def _write_inline(proto: onnx.ModelProto, weights: Mapping[str, ir.TensorProtocol], file: BinaryIO) -> None:
    """Write a protobuf with its weights, whose fields follow those that are small.

    Protobuf's encoding allows the fields of a message in any order, those of submessages too
    (https://protobuf.dev/programming-guides/encoding/).
    """
    pieces: list[tuple[bytes, ir.TensorProtocol | None]] = []
    for tensor in proto.graph.initializer:
        data = weights.get(tensor.name)
        if data is not None:
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
        header = tensor.SerializeToString()
        if data is not None:
            header += _start(onnx.TensorProto.RAW_DATA_FIELD_NUMBER, data.nbytes)
        length = len(header) + (0 if data is None else data.nbytes)
        pieces.append((_start(onnx.GraphProto.INITIALIZER_FIELD_NUMBER, length) + header, data))
    del proto.graph.initializer[:]
    body = proto.graph.SerializeToString()
    length = len(body) + sum(len(header) + (0 if data is None else data.nbytes) for header, data in pieces)
    proto.ClearField("graph")
    file.write(proto.SerializeToString() + _start(onnx.ModelProto.GRAPH_FIELD_NUMBER, length) + body)
    for header, data in pieces:
        file.write(header)
        if data is not None:
            _stream(data, file)


def _write_beside(
    proto: onnx.ModelProto, weights: Mapping[str, ir.TensorProtocol], file: BinaryIO, location: str
) -> None:
    """Write weights to a file of their own, and to the protobuf where in it they are."""
    for tensor in proto.graph.initializer:
        data = weights.get(tensor.name)
        if data is None:
            continue
        file.write(b"\0" * (-file.tell() % _ALIGNMENT))
        del tensor.external_data[:]
        for key, value in (("location", location), ("offset", file.tell()), ("length", data.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        _stream(data, file)


def _stream(tensor: ir.TensorProtocol, file: BinaryIO) -> None:
    if tensor.dtype.bitwidth >= 8:
        write_array(file, tensor.numpy())
        return
    start = file.tell()
    tensor.tofile(file)  # type: ignore[attr-defined]  # every tensor of onnx_ir has it, the protocol does not say so
    if file.tell() - start != tensor.nbytes:
        raise OSError(f"{tensor.name!r} should be {tensor.nbytes} bytes, and {file.tell() - start} were written")
    written(tensor.nbytes)
    if isinstance(tensor.raw, np.ndarray):
        release(tensor.raw)


def _too_much(model: ir.Model, size: int) -> UnsupportedError:
    reason = f"all but its weights takes {size:,} bytes, and a protobuf ends at 2 GiB"
    return UnsupportedError("ONNX", [UnsupportedNode("graph", model.graph.name or "", reason)])


def _start(field: int, length: int) -> bytes:
    """What stands before a message or bytes of a length."""
    return _varint(field << 3 | _BYTES) + _varint(length)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
