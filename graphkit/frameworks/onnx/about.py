"""What an ONNX file says of itself, without its graph and weights being read."""

from __future__ import annotations

import contextlib
import itertools
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.base import About
from graphkit.frameworks.onnx.external import is_inside
from graphkit.frameworks.onnx.wire import LENGTH, VARINT, fields, varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from graphkit.frameworks.base import ReadOptions

__all__ = ["about", "maker"]

_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _MODEL_VERSION, _GRAPH, _OPSET, _FUNCTION = 1, 2, 3, 5, 7, 8, 25
_INITIALIZER, _EXTERNAL = 5, 13
"""Numbers of fields of ModelProto, GraphProto and TensorProto in onnx.proto."""
_METADATA: Final = 14
_MAKER: Final = {_PRODUCER: "producer", _PRODUCER_VERSION: "producer version"}
_ENTRY: Final = 1 << 20
"""Bytes of an entry of metadata that is looked at."""
_ENTRIES: Final = 1000
_FIELDS: Final = 1_000_000
"""Fields of a model that are gone through; the graph is one of them, each function another."""
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
    folder = path.resolve().parent
    beside = (folder / location for location in locations if is_inside(folder, location))
    return About("ONNX model", {name: text for name, text in facts.items() if text}, (path, *beside))


def maker(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What a file says of who made it, and its metadata, without its graph being looked at.

    Raises:
        OSError: It cannot be read.
    """
    facts: dict[str, str] = {}
    metadata: dict[str, str] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for field, value, end in itertools.islice(_fields(data, 0, len(data)), _FIELDS):
            if field in _MAKER:
                facts[_MAKER[field]] = _text(data, value, end)
            elif field == _METADATA and end - value <= _ENTRY and len(metadata) < _ENTRIES:
                texts = {
                    number: data[at:stop].decode("utf-8", "replace") for number, at, stop in _fields(data, value, end)
                }
                metadata[texts.get(1, "")] = texts.get(2, "")
    return facts, metadata


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, and the value of an integer or where bytes start and end.

    It ends where the message contradicts itself, which readers refuse.
    """
    with contextlib.suppress(IndexError, ValueError):
        for number, start, begin, stop in fields(data, at, end):
            kind = data[start] & 7
            if kind == VARINT:
                yield number, varint(data, begin)[0], stop
            elif kind == LENGTH:
                yield number, begin, stop


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
