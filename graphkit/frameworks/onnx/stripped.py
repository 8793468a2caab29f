"""ONNX files parsed without their large weights, which stay where they are in the file.

Protobuf parses messages whole, so that a file of a gigabyte takes two in memory before the first node is seen. What is
parsed here is a copy of the message in which each large tensor says that its data lies in a file, which is the model's
own. Fields and wire format: ``onnx.proto`` and https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

import onnx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["parse_stripped"]

_LARGE: Final = 1 << 16
"""Bytes of a tensor from which on it stays in the file."""
_WORTHWHILE: Final = 1 << 24
"""Bytes of a file from which on it is not read as a whole."""
_GRAPH: Final = 7
_INITIALIZER: Final = 5
_RAW_DATA: Final = 9
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def parse_stripped(path: Path) -> onnx.ModelProto | None:
    """Parse a large file.

    Returns:
        The model, its large initializers of raw data as external data in the file itself; None for a small file, and
        for one that is not what it should be, of which a whole parse tells more.

    Raises:
        OSError: The file cannot be read.
        DecodeError: It is damaged.
    """
    with path.open("rb") as file:
        if file.seek(0, 2) < _WORTHWHILE:
            return None
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with data:
        try:
            content = _stripped_model(data, path.resolve().name)
        except (IndexError, ValueError):
            return None
    return None if content is None else onnx.ModelProto.FromString(content)


def _stripped_model(data: mmap.mmap, location: str) -> bytes | None:
    parts: list[bytes] = []
    graphs = 0
    for number, start, begin, end in _fields(data, 0, len(data)):
        if number == _GRAPH:
            graphs += 1
            parts.append(_field(_GRAPH, _stripped_graph(data, begin, end, location)))
        else:
            parts.append(data[start:end])
    return b"".join(parts) if graphs == 1 else None


def _stripped_graph(data: mmap.mmap, begin: int, end: int, location: str) -> bytes:
    parts: list[bytes] = []
    for number, start, inner, stop in _fields(data, begin, end):
        large = number == _INITIALIZER and stop - inner > _LARGE
        parts.append(_field(_INITIALIZER, _stripped_tensor(data, inner, stop, location)) if large else data[start:stop])
    return b"".join(parts)


def _stripped_tensor(data: mmap.mmap, begin: int, end: int, location: str) -> bytes:
    parts: list[bytes] = []
    for number, start, inner, stop in _fields(data, begin, end):
        if number == _RAW_DATA and stop - inner > _LARGE:
            tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
            for key, value in (("location", location), ("offset", inner), ("length", stop - inner)):
                tensor.external_data.add(key=key, value=str(value))
            parts.append(tensor.SerializeToString())
        else:
            parts.append(data[start:stop])
    return b"".join(parts)


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message: number, where the field starts, where its value starts, and where both end.

    Raises:
        ValueError: It is no message.
        IndexError: The same.
    """
    while at < end:
        start = at
        tag, at = _varint(data, at)
        kind = tag & 7
        begin = at
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _LENGTH:
            length, begin = _varint(data, at)
            at = begin + length
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if at > end:
            raise ValueError("a field is longer than its message")
        yield tag >> 3, start, begin, at


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A number, and where what follows it starts."""
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number does not end")


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, tag and length before them."""
    head, length = bytearray([number << 3 | _LENGTH]), len(content)
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + content
