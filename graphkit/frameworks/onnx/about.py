"""What an ONNX file says of itself, without its graph and weights being read."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.base import About

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from graphkit.frameworks.base import ReadOptions

__all__ = ["about"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf's encoding (https://protobuf.dev/programming-guides/encoding/)."""
_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _MODEL_VERSION, _GRAPH, _OPSET, _FUNCTION = 1, 2, 3, 5, 7, 8, 25
_INITIALIZER, _EXTERNAL = 5, 13
"""Numbers of fields of ModelProto, GraphProto and TensorProto in onnx.proto."""
_TEXT: Final = 200
"""Characters of a text that are kept."""


def about(source: Any, options: ReadOptions, model: ir.Model) -> About:  # noqa: ARG001  # every framework's signature
    """Tell IR version, opsets and producer, and which files hold external weights."""
    path = Path(source)
    facts: dict[str, str] = {}
    opsets: list[str] = []
    locations: dict[str, None] = {}
    functions = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for field, value, end in _fields(data, 0, len(data)):
            if field == _IR_VERSION:
                facts["IR version"] = str(value)
            elif field == _PRODUCER:
                facts["producer"] = _text(data, value, end)
            elif field == _PRODUCER_VERSION:
                facts["producer version"] = _text(data, value, end)
            elif field == _MODEL_VERSION and value:
                facts["model version"] = str(value)
            elif field == _OPSET:
                opsets.append(_opset(data, value, end))
            elif field == _FUNCTION:
                functions += 1
            elif field == _GRAPH:
                locations.update(dict.fromkeys(_locations(data, value, end)))
    facts["opset"] = ", ".join(opsets) or "none"
    if functions:
        facts["functions"] = str(functions)
    beside = (path.resolve().parent / location for location in locations)
    return About("ONNX model", {name: text for name, text in facts.items() if text}, (path, *beside))


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, and the value of an integer or where bytes start and end.

    It ends where the message contradicts itself, which readers refuse.
    """
    while at < end:
        tag, at = _varint(data, at, end)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield field, value, at
        elif wire == _BYTES:
            length, at = _varint(data, at, end)
            if at + length > end:
                return
            yield field, at, at + length
            at += length
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            return


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    number = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    return 0, end


def _text(data: mmap.mmap, start: int, end: int) -> str:
    return data[start : min(end, start + _TEXT)].decode("utf-8", "replace")


def _opset(data: mmap.mmap, start: int, end: int) -> str:
    domain, version = "", 0
    for field, value, stop in _fields(data, start, end):
        if field == 1:
            domain = _text(data, value, stop)
        elif field == 2:
            version = value
    return f"{domain or 'ai.onnx'} {version}"


def _locations(data: mmap.mmap, start: int, end: int) -> Iterator[str]:
    """The files that the initializers of a graph lie in."""
    for field, tensor, tensor_end in _fields(data, start, end):
        if field != _INITIALIZER:
            continue
        for inner, entry, entry_end in _fields(data, tensor, tensor_end):
            if inner == _EXTERNAL:
                texts = {number: _text(data, at, stop) for number, at, stop in _fields(data, entry, entry_end)}
                if texts.get(1) == "location" and 2 in texts:
                    yield texts[2]
