"""What MXNet 2.0 writes instead of its own format: numpy's ``.npz`` (a zip of ``.npy``) and ``.npy``."""

from __future__ import annotations

import ast
import math
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from graphkit.errors import FormatError
from graphkit.frameworks.mxnet.arrays import ParamsFile, Record
from graphkit.frameworks.zips import ZIP_FAILURES, members
from graphkit.ir.dtypes import dtype_of

if TYPE_CHECKING:
    import mmap
    from pathlib import Path

__all__ = ["parse", "recognises"]

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_NPY = b"\x93NUMPY"
_SUFFIX = ".npy"
_LONGEST_HEADER = 10_000
"""Characters to which numpy itself trusts Python's parser with the header of a file."""


def recognises(data: mmap.mmap | bytes) -> bool:
    """Whether a file is a zip archive or an ``.npy`` file."""
    return data[:4] in _ZIP or data[:6] == _NPY


def parse(data: mmap.mmap | bytes, path: Path) -> ParamsFile:
    """Read the arrays as views on the mapped file; only compressed members are copied to memory.

    Raises:
        FormatError: The file is damaged, or holds something else than arrays that MXNet saves.
        LimitError: Its compressed arrays are much larger than the file.
    """
    try:
        if data[:6] == _NPY:
            return _file([_array(data, 0, len(data))], None)
        return _archive(data, path)
    except ZIP_FAILURES as error:
        raise FormatError(
            f"{path} cannot be read as numpy arrays, which is what MXNet 2.0 saves: {error}. Copy the file again from "
            "where it came, or save it again with MXNet."
        ) from error


def _archive(data: mmap.mmap | bytes, path: Path) -> ParamsFile:
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    with zipfile.ZipFile(path) as archive:
        for member in members(archive, len(data), str(path)):
            name = member.filename.removesuffix(_SUFFIX)
            if name == member.filename:
                raise ValueError(f"it is a zip archive with {name!r} in it, which is no array")
            if name.endswith("/format"):
                raise ValueError(f"{name.removesuffix('/format')!r} is sparse, which is not read; save it dense")
            if name in arrays:
                raise ValueError(f"{name!r} stands twice in it")
            if member.compress_type == zipfile.ZIP_STORED:
                start, end = _place(data, member)
                arrays[name] = _array(data, start, end, name)
            elif member.compress_type != zipfile.ZIP_DEFLATED:
                raise ValueError(f"{member.filename!r} is compressed in a way that numpy does not use")
            else:
                content = archive.read(member)
                arrays[name] = _array(content, 0, len(content), name)
    return _file(list(arrays.values()), list(arrays))


def _file(arrays: list[npt.NDArray[np.generic]], names: list[str] | None) -> ParamsFile:
    version = 3 if any(array.ndim == 0 for array in arrays) else 2
    return ParamsFile([Record(array, version) for array in arrays], names)


def _place(data: mmap.mmap | bytes, member: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of an uncompressed member lie, checksum verified."""
    if member.header_offset < 0:
        raise ValueError(f"{member.filename!r} is not where the archive says")
    sign, flags, name, extra = struct.unpack_from("<4s2xH18xHH", data, member.header_offset)
    start = member.header_offset + 30 + name + extra
    end = start + member.file_size
    if sign != _ZIP[0] or flags & 1 or end > len(data):
        raise ValueError(f"{member.filename!r} is not where the archive says")
    with memoryview(data) as view, view[start:end] as content:
        if zlib.crc32(content) != member.CRC:
            raise ValueError(f"the checksum of {member.filename!r} is wrong")
    return start, end


def _array(data: mmap.mmap | bytes, start: int, end: int, name: str = "array") -> npt.NDArray[np.generic]:
    """The array of an ``.npy`` file that lies in a range of bytes."""
    magic, major = struct.unpack_from("<6sB", data, start)
    if magic != _NPY or major not in (1, 2, 3):
        raise ValueError(f"{name!r} is no array of numpy's format 1, 2 or 3")
    form = "<H" if major == 1 else "<I"
    begin = start + 8 + struct.calcsize(form)
    begin, header = begin + struct.unpack_from(form, data, start + 8)[0], begin
    if begin > end or begin - header > _LONGEST_HEADER:
        raise ValueError(f"the header of {name!r} is longer than the array")
    dtype, shape, order = _header(bytes(data[header:begin]), name)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(f"{name!r} of shape {shape}, {dtype.name}, has {end - begin} bytes of data")
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.ndarray(shape, dtype, data, begin, order="F" if order else "C")


def _header(text: bytes, name: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    try:
        fields = ast.literal_eval(text.decode("utf-8").strip())
        shape, order = fields["shape"], fields["fortran_order"]
        dtype: np.dtype[Any] = np.lib.format.descr_to_dtype(fields["descr"])  # type: ignore[no-untyped-call]
        if dtype.names == ("bfloat16",) and dtype.itemsize == 2:
            dtype = np.dtype(ml_dtypes.bfloat16)
        dtype_of(dtype)
    except (SyntaxError, ValueError, TypeError, KeyError, MemoryError, RecursionError, FormatError) as error:
        raise ValueError(f"the header of {name!r} makes no sense") from error
    if not (isinstance(shape, tuple) and all(type(dim) is int for dim in shape) and isinstance(order, bool)):
        raise ValueError(f"the header of {name!r} makes no sense")
    return dtype, shape, order
