"""The wire format of protobuf, walked through without parsing: https://protobuf.dev/programming-guides/encoding.

Protobuf makes objects of hundreds of bytes of messages that a file has two for, so that a file of a few megabytes could
take all memory. What it would take is estimated here before it is parsed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import onnx
from google.protobuf.descriptor import FieldDescriptor

from graphkit import limits

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

__all__ = ["FIXED32", "FIXED64", "LENGTH", "VARINT", "check_size", "field", "fields", "varint"]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types."""
_NODE, _MESSAGE, _NAME, _VALUE, _INTEGER = 2500, 1000, 500, 100, 16
"""Bytes of memory that a node takes once it is parsed and read, any other message, a name that a node reads or gives,
any other field, and an element of a packed list of integers."""
_NAMES: Final = frozenset((1, 2))
"""Numbers of the fields of NodeProto that hold names of values."""
_TENSOR_DATA: Final = frozenset((4, 5, 6, 7, 9, 10, 11))
"""Numbers of the fields of TensorProto that hold its elements, which are no part of a graph's description."""

_INTEGERS: Final = frozenset(
    (
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    )
)


def fields(data: mmap.mmap | bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message: number, where the field starts, where its value starts, and where both end.

    Args:
        data: What the message lies in.
        at: Where it starts.
        end: Where it ends.

    Raises:
        ValueError: It is no message.
        IndexError: The same.
    """
    while at < end:
        start = at
        tag, at = varint(data, at)
        kind = tag & 7
        begin = at
        if kind == VARINT:
            _, at = varint(data, at)
        elif kind == LENGTH:
            length, begin = varint(data, at)
            at = begin + length
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if at > end:
            raise ValueError("a field is longer than its message")
        yield tag >> 3, start, begin, at


def varint(data: mmap.mmap | bytes, at: int) -> tuple[int, int]:
    """A number, and where what follows it starts.

    Raises:
        ValueError: It does not end.
        IndexError: The same.
    """
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number does not end")


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, tag and length before them; its number is below 16."""
    head, length = bytearray([number << 3 | LENGTH]), len(content)
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + content


def check_size(content: mmap.mmap | bytes, where: str) -> None:
    """Refuse a model that takes more memory than :attr:`graphkit.limits.Limits.document` once it is parsed.

    It takes a second for each few megabytes of description, and no time for models that are small enough anyway.

    Args:
        content: A serialised ``ModelProto``.
        where: The file.

    Raises:
        LimitError: It does, or it has more nodes than :attr:`graphkit.limits.Limits.nodes`.
        ValueError: It is no message.
        IndexError: The same.
    """
    allowed, most = limits.current(), len(content) * _NODE // 2
    if most <= allowed.document and len(content) // 2 <= allowed.nodes:
        return
    taken = nodes = 0
    waiting: list[tuple[str, int, int]] = [("onnx.ModelProto", 0, len(content))]
    while waiting:
        message, begin, end = waiting.pop()
        inner, integers = _layout(message)
        is_node, is_tensor = message == "onnx.NodeProto", message == "onnx.TensorProto"
        for number, _, start, stop in fields(content, begin, end):
            kind = inner.get(number)
            if kind is not None:
                taken += _NODE if kind == "onnx.NodeProto" else _MESSAGE
                nodes += kind == "onnx.NodeProto"
                waiting.append((kind, start, stop))
            elif is_node and number in _NAMES:
                taken += _NAME + stop - start
            elif not (is_tensor and number in _TENSOR_DATA):
                taken += _VALUE + (stop - start) * (_INTEGER if number in integers else 1)
            if taken > allowed.document or nodes > allowed.nodes:
                limits.check("nodes", nodes, where)
                limits.check("document", max(most, taken), where)


@cache
def _layout(message: str) -> tuple[dict[int, str], frozenset[int]]:
    """The fields of a message that are messages, with their names, and those that are lists of integers."""
    found = onnx.ModelProto.DESCRIPTOR.file.pool.FindMessageTypeByName(message)
    inner = {one.number: one.message_type.full_name for one in found.fields if one.message_type is not None}
    integers = {one.number for one in found.fields if one.is_repeated and one.cpp_type in _INTEGERS}
    return inner, frozenset(integers)
