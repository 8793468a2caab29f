"""Messages between processes, as bytes that nothing executes: a header of JSON, and arrays.

A frame is, little-endian:

    4 bytes  "GKMX"
    u32      length of the header
    header   a JSON object; its "arrays" lists [name, dtype, shape] of the arrays that follow
    arrays   their elements, C order, one array after the other

What a process answers that has read a stranger's model may be anything, and is checked before memory is taken for it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import select
import struct
import time
from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np

from graphkit.files import sized

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

__all__ = ["Frames", "packed", "unpacked"]

_MAGIC: Final = b"GKMX"
_HEADER: Final = 1 << 24
"""Bytes of the longest header that is believed: names, shapes and an error with its trace."""
_DIMS: Final = 32
_NATIVE: Final = frozenset(
    {"bool", "complex64", "complex128", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""Element types of numpy that arrays may have."""
_MORE: Final = frozenset(
    {"bfloat16", "int2", "int4", "uint2", "uint4", "float4_e2m1fn"}
    | {"float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"}
)
"""Those of ml_dtypes."""


class Frames:
    """The near end of a connection; not for several threads at once.

    Args:
        source: Descriptor to read from.
        target: Descriptor to write to; it may be the same.
        header: Bytes that the header of what is received may have.
        process: Process id of a child at the other end. When it ends so does the connection, though processes that it
            started may have inherited it.
    """

    def __init__(self, source: int, target: int, header: int = _HEADER, process: int | None = None) -> None:
        self._source, self._target, self._header = source, target, header
        self._process: int | None = None
        if process is not None and hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # an older kernel
                self._process = os.pidfd_open(process)
        for descriptor in (source, target):
            os.set_blocking(descriptor, False)

    def close(self) -> None:
        """Free what the connection has besides its descriptors, which stay open."""
        if self._process is not None:
            os.close(self._process)
            self._process = None

    def send(
        self, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[np.generic]], deadline: float | None = None
    ) -> None:
        """Send a frame; arrays leave from where they lie, without a copy.

        Args:
            header: What is said, as JSON has it.
            arrays: Arrays that go with it, by name.
            deadline: When all must be sent, as :func:`time.monotonic` has it; None for no limit.

        Raises:
            TimeoutError: The other end does not read it by then.
            BrokenPipeError: Nobody reads it.
        """
        kept = {name: _contiguous(array) for name, array in arrays.items()}
        listed = [[name, array.dtype.name, array.shape] for name, array in kept.items()]
        text = json.dumps({**header, "arrays": listed}).encode()
        self._write(memoryview(struct.pack("<4sI", _MAGIC, len(text)) + text), deadline)
        for array in kept.values():
            self._write(_bytes_of(array), deadline)

    def receive(self, deadline: float | None = None) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.generic]]]:
        """The next frame: its header, without "arrays", and its arrays.

        Args:
            deadline: When it must be complete; None for no limit.

        Raises:
            TimeoutError: It is not complete by then.
            EOFError: The other end closed the connection.
            ValueError: It is no frame, or one of more memory than the machine has.
        """
        prefix = bytearray(8)
        self._read(memoryview(prefix), deadline)
        magic, length = struct.unpack("<4sI", prefix)
        if magic != _MAGIC:
            raise ValueError(f"it starts with {bytes(prefix)!r}")
        if length > self._header:
            raise ValueError(f"its header has {sized(length)}, and at most {sized(self._header)} are read")
        text = bytearray(length)
        self._read(memoryview(text), deadline)
        try:
            header = json.loads(text)
        except RecursionError as error:
            raise ValueError("its header is too deep") from error
        if not isinstance(header, dict):
            raise ValueError("its header is no object")
        found: dict[str, npt.NDArray[np.generic]] = {}
        for name, dtype, shape in _announced(header.pop("arrays", None)):
            array: npt.NDArray[np.generic] = np.empty(shape, dtype)
            self._read(_bytes_of(array), deadline)
            found[name] = array
        return header, found

    def _write(self, view: memoryview, deadline: float | None) -> None:
        while view:
            self._wait(self._target, select.POLLOUT, deadline)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._target, view) :]

    def _read(self, view: memoryview, deadline: float | None) -> None:
        while view:
            self._wait(self._source, select.POLLIN, deadline)
            with contextlib.suppress(BlockingIOError):
                count = os.readv(self._source, [view])
                if not count:
                    raise EOFError("it ended")
                view = view[count:]

    def _wait(self, descriptor: int, event: int, deadline: float | None) -> None:
        poller = select.poll()
        poller.register(descriptor, event)
        if self._process is not None:
            poller.register(self._process, select.POLLIN)
        left = None if deadline is None else (deadline - time.monotonic()) * 1000
        ready = [] if left is not None and left <= 0 else poller.poll(left)
        if not ready:
            raise TimeoutError
        if all(found != descriptor for found, _ in ready):
            raise EOFError("it ended")


def packed(value: Any, arrays: dict[str, npt.NDArray[np.generic]]) -> Any:
    """A value as JSON that refers to arrays, which are added to those given.

    Args:
        value: None, truths, numbers, texts, arrays, and lists, tuples and mappings of such; keys are texts.
        arrays: Arrays of the frame so far.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [packed(item, arrays) for item in value]
    if not isinstance(value, np.ndarray | np.generic):
        return {"items": {key: packed(item, arrays) for key, item in value.items()}}
    array = np.asarray(value)
    if array.dtype.kind in "OUT":
        return {"texts": [str(text) for text in array.ravel().tolist()], "shape": array.shape}
    arrays[str(len(arrays))] = array
    return {"array": str(len(arrays) - 1)}


def unpacked(found: Any, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Any:
    """What :func:`packed` was given; tuples have become lists, and texts arrays of objects.

    Raises:
        ValueError: It is nothing that :func:`packed` makes.
    """
    if isinstance(found, list):
        return [unpacked(item, arrays) for item in found]
    if not isinstance(found, dict):
        return found
    match found:
        case {"items": dict(items)}:
            return {key: unpacked(item, arrays) for key, item in items.items()}
        case {"array": str(key)} if key in arrays:
            return arrays[key]
        case {"texts": list(texts), "shape": list(shape)} if all(isinstance(text, str) for text in texts):
            return np.array(texts, object).reshape(_shape(shape))
    raise ValueError(f"it has {str(found)[:80]!r}")


def _announced(listed: object) -> list[tuple[str, np.dtype[Any], tuple[int, ...]]]:
    """The arrays that a header lists, none too large to be there."""
    if not isinstance(listed, list):
        raise ValueError("it lists no arrays")
    found, total, names = [], 0, set[str]()
    for entry in listed:
        match entry:
            case [str(name), str(kind), list(sizes)] if name not in names:
                dtype, shape = _dtype(kind), _shape(sizes)
            case _:
                raise ValueError(f"it lists {str(entry)[:80]!r} among its arrays")
        total += math.prod(shape) * dtype.itemsize
        if total > _machine():
            raise ValueError(f"its arrays have {sized(total)}, and this machine has {sized(_machine())} of memory")
        names.add(name)
        found.append((name, dtype, shape))
    return found


def _shape(sizes: list[Any]) -> tuple[int, ...]:
    if len(sizes) > _DIMS or not all(type(size) is int and 0 <= size < 1 << 62 for size in sizes):
        raise ValueError(f"it has an array of the shape {str(sizes)[:80]}")
    if math.prod(filter(None, sizes)) >= 1 << 62:
        raise ValueError(f"it has an array of the shape {str(sizes)[:80]}")
    return tuple(sizes)


def _dtype(name: str) -> np.dtype[Any]:
    if name in _NATIVE:
        return np.dtype(name)
    if name in _MORE and hasattr(ml_dtypes, name):
        return np.dtype(getattr(ml_dtypes, name))
    raise ValueError(f"it has an array of {name[:80]!r}")


@functools.cache
def _machine() -> int:
    """Bytes of memory that the machine has, with what it may move to disk."""
    try:
        with open("/proc/meminfo") as file:
            lines = [line.split() for line in file]
        return sum(int(line[1]) * 1024 for line in lines if line[0] in ("MemTotal:", "SwapTotal:"))
    except OSError:
        return 1 << 46


def _contiguous(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return np.ascontiguousarray(native).reshape(array.shape)


def _bytes_of(array: npt.NDArray[np.generic]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
