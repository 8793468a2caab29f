"""numpy's ``.npy`` and ``.npz`` files, read without pickles and with every checksum, and written the same each time.

The formats are those of ``numpy.lib.format`` (versions 1.0 and 2.0) and of the ZIP application note 6.3, with ZIP64
for members past 2 GiB.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import quote

import ml_dtypes
import numpy as np

from graphkit import limits
from graphkit.errors import FormatError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[Any]

T = TypeVar("T")

__all__ = ["Archive", "Writer", "called", "parse_array", "read_array"]

_SUFFIX: Final = ".npy"
_LEVEL: Final = 1
"""Of deflation; higher ones make floats no smaller."""
_PROBE: Final = 1 << 16
"""Bytes of a member that are compressed to see whether that is worth it."""
_WORTH: Final = 0.9
"""Share that compression must leave at most. Of floats without structure it leaves 0.93, at some 40 MB a second."""
_CHUNK: Final = 1 << 16
_HEAD: Final = 1 << 17
"""Bytes in which the header of an array ends."""
_LARGE: Final = 1 << 30
"""Bytes from which a member is written with ZIP64, well before 2 GiB."""
_READABLE: Final = " !#$&'()+,-.:;<=>@[]^_`{}~"
"""Characters that names of members keep as they are."""


def called(name: str) -> str:
    """A tensor's name as part of a member's: letters and most signs stay, what files treat specially is escaped."""
    return quote(name, safe=_READABLE)


class Writer:
    """Writes an ``.npz`` file member by member: the same bytes for the same members in the same order.

    Members bear ZIP's earliest date.

    Args:
        path: File to write; an existing one is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)

    def array(self, name: str, array: Array) -> dict[str, Any]:
        """Write an array.

        Returns:
            What :meth:`Archive.array` must be told to give it back: its dtype, and its shape.

        Raises:
            InputError: It holds Python objects other than strings.
        """
        shape = list(array.shape)
        told = {"dtype": array.dtype.name, "shape": shape}
        if array.dtype.kind in "OSU":
            if not all(isinstance(item, str) for item in array.reshape(-1).tolist()):
                raise InputError(f"{name} holds {array.dtype} and cannot be stored; arrays of numbers and strings can.")
            told["dtype"] = "object" if array.dtype.kind == "O" else "str"
            text = json.dumps(array.reshape(-1).tolist()).encode()
            array = np.frombuffer(text, np.uint8)
        flat = np.ascontiguousarray(array.reshape(-1)).astype(array.dtype.newbyteorder("<"), copy=False)
        stored = array.shape if told["dtype"] in ("object", "str") else tuple(shape)
        descr = f"|V{flat.itemsize}" if flat.dtype.kind == "V" else flat.dtype.str
        head = io.BytesIO()
        fields = {"descr": descr, "fortran_order": False, "shape": stored}
        np.lib.format.write_array_header_1_0(head, fields)  # type: ignore[no-untyped-call]  # numpy says no types of it
        self._member(name + _SUFFIX, head.getvalue(), flat.view(np.uint8).data)
        return told

    def text(self, name: str, content: str) -> None:
        """Write text, as a member that numpy gives as bytes."""
        self._member(name, b"", memoryview(content.encode()))

    def _member(self, name: str, head: bytes, content: memoryview) -> None:
        probe = content[:_PROBE]
        worth = len(zlib.compress(probe, _LEVEL)) < _WORTH * len(probe)
        entry = name if worth else zipfile.ZipInfo(name)  # which is stored as it is
        with self._archive.open(entry, "w", force_zip64=content.nbytes > _LARGE) as member:
            member.write(head)
            for start in range(0, content.nbytes, _CHUNK):
                member.write(content[start : start + _CHUNK])

    def close(self) -> None:
        """Write the directory, without which the file is none."""
        self._archive.close()


class Archive:
    """An ``.npz`` file whose members are read, and their checksums verified, when they are asked for.

    Args:
        path: The file; it stays open until :meth:`close`.

    Raises:
        InputError: It cannot be opened.
        FormatError: It is damaged, or no such file.
        LimitError: It unpacks to more than :attr:`graphkit.limits.Limits.feeds` allows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _guarded(str(path), lambda: open(path, "rb"))  # noqa: SIM115  # closed by close()
        try:
            self._archive = _guarded(str(path), lambda: zipfile.ZipFile(self._file))
            entries = self._archive.infolist()
            if len({entry.filename for entry in entries}) < len(entries):
                raise FormatError(f"{path} has two members of one name; it is damaged.")
            limits.check("feeds", sum(entry.file_size for entry in entries), str(path))
        except BaseException:
            self._file.close()
            raise

    @property
    def names(self) -> list[str]:
        """Names of the members, those of arrays without ``.npy``."""
        return [name.removesuffix(_SUFFIX) for name in self._archive.namelist()]

    def text(self, name: str) -> str:
        """A member that holds text.

        Raises:
            FormatError: It is damaged or not there.
        """
        return _guarded(f"{self._path}: {name!r}", lambda: self._archive.read(name).decode())

    def plain(self, name: str) -> Array:
        """An array as it is stored, read-only.

        Raises:
            FormatError: It is damaged, not there, or holds pickled objects.
        """
        return _guarded(f"{self._path}: {name!r}", lambda: parse_array(self._content(name + _SUFFIX)))

    def array(self, name: str, told: dict[str, Any]) -> Array:
        """An array as it was before :meth:`Writer.array` stored it, read-only.

        Raises:
            FormatError: It is damaged, not there, or not what ``told`` says.
        """
        return _guarded(f"{self._path}: {name!r}", lambda: _restored(self.plain(name), told))

    def _content(self, name: str) -> bytearray:
        """All bytes of a member, whose checksum is verified at their end."""
        found = bytearray()
        with self._archive.open(name) as member:
            while chunk := member.read(_CHUNK):
                found += chunk
        return found

    def close(self) -> None:
        """Close the file."""
        self._archive.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read_array(path: Path) -> Array:
    """The array of an ``.npy`` file, read-only.

    Raises:
        InputError: The file cannot be opened.
        FormatError: It is damaged, is no ``.npy`` file, or holds pickled objects.
    """
    return _guarded(str(path), lambda: parse_array(path.read_bytes()))


def parse_array(data: bytes | bytearray) -> Array:
    """The array whose ``.npy`` file these bytes are, as a read-only view of them.

    Raises:
        ValueError: They are no such file, or hold pickled objects.
    """
    stream = io.BytesIO(data[:_HEAD])
    version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]  # numpy says no types of it
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it is of version {version} of the format, which is for arrays of records")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)  # type: ignore[no-untyped-call]  # as above
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which run code of their author when they are loaded")
    begin, count = stream.tell(), math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(data) - begin:
        raise ValueError(f"its {len(data) - begin} bytes are not those of {dtype.name} of shape {shape}")
    if not dtype.itemsize and count:
        raise ValueError(f"its elements, {dtype}, are of no bytes")
    if not count:
        return np.zeros(shape, dtype)
    found: Array = np.frombuffer(data, dtype, count, begin).reshape(shape, order="F" if fortran else "C")
    found.flags.writeable = False
    return found


def _restored(array: Array, told: dict[str, Any]) -> Array:
    name, shape = told["dtype"], tuple(told["shape"])
    if name in ("object", "str"):
        found = np.array(json.loads(array.tobytes()), object)
        return (found if name == "object" else found.astype(str)).reshape(shape)
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name, name))
    found = array.view(dtype) if array.dtype.kind == "V" else array.astype(array.dtype.newbyteorder("="), copy=False)
    if found.dtype != dtype or found.shape != shape:
        raise ValueError(f"it is {found.dtype} of shape {found.shape}, not {name} of shape {shape}")
    return found


def _guarded(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (InputError, FormatError):
        raise
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # zipfile, zlib and numpy raise all sorts of things on damaged files
        told = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise FormatError(
            f"{what} cannot be read as numpy.save and numpy.savez write it: {told}. It is damaged, or something else."
        ) from error
