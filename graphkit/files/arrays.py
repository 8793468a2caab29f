"""Arrays that go to files, and arrays that are mapped from them."""

from __future__ import annotations

import math
import mmap
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from graphkit.errors import InputError
from graphkit.files.progress import written
from graphkit.files.sizes import sized

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

__all__ = ["BLOCK", "aside", "joined_aside", "release", "write_array"]

BLOCK: Final = 1 << 26
"""Bytes that writing an array takes in memory at most, whatever the size of the array."""
_TILE: Final = 64
"""Columns that are turned at once, so that the rows they come from stay in the processor's cache."""
_LARGE: Final = 1 << 24
"""Bytes from which on an array that was computed lies in a file rather than in memory."""


def write_array(file: BinaryIO, array: npt.NDArray[np.generic], dtype: npt.DTypeLike = None) -> None:
    """Write the elements of an array in C order, little-endian.

    Whatever its size, its strides and its type, at most :data:`BLOCK` bytes of it are in memory besides pages of the
    file that it is mapped from, which are given back.

    Args:
        file: What to write to, opened for bytes.
        array: The array.
        dtype: Element type to write it in; None for its own.
    """
    import numpy as np

    wanted = np.dtype(array.dtype if dtype is None else dtype)
    wanted = wanted.newbyteorder("<") if wanted.kind in "iufc" else wanted
    if array.size == 0:
        return
    if array.dtype == wanted and array.flags.c_contiguous:
        data = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), BLOCK):
            file.write(data[start : start + BLOCK])
            written(min(BLOCK, len(data) - start))
    else:
        _ahead(array)
        buffer = np.empty(min(BLOCK, array.size * wanted.itemsize), np.uint8)
        _write_arranged(file, array.reshape(1) if array.ndim == 0 else array, wanted, buffer)
    release(array)


def _write_arranged(
    file: BinaryIO, array: npt.NDArray[np.generic], wanted: np.dtype[Any], buffer: npt.NDArray[np.uint8]
) -> None:
    row = array[0].size * wanted.itemsize
    if row > len(buffer) and array.ndim > 1:
        for item in array:
            _write_arranged(file, item, wanted, buffer)
        return
    step = max(1, len(buffer) // row)
    for start in range(0, len(array), step):
        block = array[start : start + step]
        size = block.size * wanted.itemsize
        out = buffer[:size].view(wanted).reshape(block.shape)
        turned = block.ndim > 1 and abs(block.strides[-1]) > min(abs(stride) for stride in block.strides)
        for column in range(0, block.shape[-1], _TILE if turned else block.shape[-1]):
            part = slice(column, column + _TILE) if turned else slice(None)
            out[..., part] = block[..., part]
        file.write(buffer[:size].data)
        written(size)


def aside(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """An array that was computed, from a file of no name if it is large: the system writes its pages there, if need be.

    The file is gone when nothing uses the array any more, or the process ends. It lies in the folder for temporary
    files (``TMPDIR``). An array that is mapped from a file already is returned as it is.

    Args:
        array: The array, of which nothing else holds a reference.

    Raises:
        InputError: The disk with the folder for temporary files is full.
    """
    if array.nbytes < _LARGE or _mapping(array) is not None:
        return array
    return joined_aside((array,), array.shape, array.dtype)


def joined_aside(
    parts: Iterable[npt.NDArray[np.generic]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> npt.NDArray[np.generic]:
    """An array of the elements of several, one after the other; if it is large from a file, as :func:`aside` has it.

    At most :data:`BLOCK` bytes of a large one are in memory.

    Args:
        parts: Arrays.
        shape: Shape of the whole.
        dtype: Its element type.

    Raises:
        InputError: The disk with the folder for temporary files is full.
    """
    import numpy as np

    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        found: npt.NDArray[np.generic] = np.concatenate([part.reshape(-1) for part in parts])
        return found.astype(dtype, copy=False).reshape(shape)
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for part in parts:
                write_array(file, part, dtype)
            file.flush()
            data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(
            f"A rearranged weight of {sized(size)} cannot be kept in {folder}: {error.strerror}. Make room "
            f"there, or name another folder in the environment variable TMPDIR."
        ) from error
    return np.ndarray(shape, dtype.newbyteorder("<") if dtype.kind in "iufc" else dtype, data)


def release(array: npt.NDArray[np.generic]) -> None:
    """Give back the memory of the file that a read-only array is mapped from; what is needed again is read again.

    Does nothing to arrays that are in memory, or that may have been written to.
    """
    data = _mapping(array)
    if data is not None and hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED)


def _ahead(array: npt.NDArray[np.generic]) -> None:
    """Have the file that an array is mapped from read in order, before it is gone through in another one."""
    import numpy as np

    data = _mapping(array)
    if data is None or not hasattr(mmap, "MADV_WILLNEED") or any(stride < 0 for stride in array.strides):
        return
    start = array.__array_interface__["data"][0] - np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    length = array.itemsize + sum((size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True))
    first = start // mmap.PAGESIZE * mmap.PAGESIZE
    data.madvise(mmap.MADV_WILLNEED, first, min(start + length, len(data)) - first)


def _mapping(array: npt.NDArray[np.generic]) -> mmap.mmap | None:
    """The file that an array is mapped from to be read only."""
    base: object = array
    while (inner := getattr(base, "obj", getattr(base, "base", None))) is not None:
        base = inner
    return base if isinstance(base, mmap.mmap) and memoryview(base).readonly else None
