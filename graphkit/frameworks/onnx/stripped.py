"""ONNX files parsed without their large weights, which stay where they are in the file.

Protobuf parses messages whole, so that a file of a gigabyte takes two in memory before the first node is seen. What is
parsed here is a copy of the message in which each large tensor says that its data lies in a file, which is the model's
own. Numbers of fields: ``onnx.proto``.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from typing import TYPE_CHECKING, Final

import onnx
from google.protobuf.message import DecodeError

from graphkit.frameworks.onnx.wire import check_size, field, fields

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["parse_stripped"]

_LARGE: Final = 1 << 16
"""Bytes of a tensor from which on it stays in the file."""
_WORTHWHILE: Final = 1 << 24
"""Bytes of a file from which on it is not read as a whole."""
_GRAPH: Final = 7
_INITIALIZER: Final = 5
_RAW_DATA: Final = 9


def parse_stripped(path: Path) -> onnx.ModelProto:
    """Parse a file; of a large one the large initializers of raw data become external data in the file itself.

    Raises:
        OSError: The file cannot be read.
        DecodeError: It is damaged.
        LimitError: It would take more memory than the limits allow (:func:`graphkit.frameworks.onnx.wire.check_size`).
    """
    with open(path, "rb", opener=_unwaiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        try:
            if file.seek(0, os.SEEK_END) < _WORTHWHILE:
                file.seek(0)
                content = file.read()
                check_size(content, str(path))
            else:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    check_size(data, str(path))
                    content = _stripped_model(data, path.resolve().name)
        except (IndexError, ValueError) as error:
            raise DecodeError("its messages do not end where they say") from error
    proto: onnx.ModelProto = onnx.ModelProto.FromString(content)
    return proto


def _unwaiting(path: str, flags: int) -> int:
    """Open a file without waiting for who writes to it, as opening a pipe does."""
    return os.open(path, flags | os.O_NONBLOCK)


def _stripped_model(data: mmap.mmap, location: str) -> bytes:
    parts: list[bytes] = []
    for number, start, begin, end in fields(data, 0, len(data)):
        if number == _GRAPH:
            parts.append(field(_GRAPH, _stripped_graph(data, begin, end, location)))
        else:
            parts.append(data[start:end])
    return b"".join(parts)


def _stripped_graph(data: mmap.mmap, begin: int, end: int, location: str) -> bytes:
    parts: list[bytes] = []
    for number, start, inner, stop in fields(data, begin, end):
        large = number == _INITIALIZER and stop - inner > _LARGE
        parts.append(field(_INITIALIZER, _stripped_tensor(data, inner, stop, location)) if large else data[start:stop])
    return b"".join(parts)


def _stripped_tensor(data: mmap.mmap, begin: int, end: int, location: str) -> bytes:
    parts: list[bytes] = []
    for number, start, inner, stop in fields(data, begin, end):
        if number == _RAW_DATA and stop - inner > _LARGE:
            tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
            for key, value in (("location", location), ("offset", inner), ("length", stop - inner)):
                tensor.external_data.add(key=key, value=str(value))
            parts.append(tensor.SerializeToString())
        else:
            parts.append(data[start:stop])
    return b"".join(parts)
