"""Zip archives whose entries are read where they lie in a mapped file."""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
from typing import TYPE_CHECKING, Final

from graphkit import limits
from graphkit.errors import InputError
from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.zips import ZIP_FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Archive", "mapped"]

_LOCAL_HEADER: Final = struct.Struct("<4s2xH18xHH")
_SIGNATURE: Final = b"PK\x03\x04"
_DEFLATE_LIMIT: Final = 1032
"""Deflate never makes more than this many bytes of one."""


def mapped(path: Path) -> memoryview:
    """The bytes of a file, mapped into memory, read-only.

    Raises:
        InputError: The file is not there or cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not file.seek(0, io.SEEK_END):
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


class Archive:
    """A zip archive in memory, or in a mapped file.

    Args:
        data: Its bytes.

    Raises:
        DamageError: It is no zip archive, or a damaged one.
        LimitError: What it holds compressed is larger than :attr:`graphkit.limits.Limits.expanded` allows.
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data
        try:
            self._zip = zipfile.ZipFile(io.BufferedReader(_Reader(data)))
        except ZIP_FAILURES as error:
            raise DamageError(f"it is a damaged zip archive ({error})") from error
        self._entries = {entry.filename: entry for entry in self._zip.infolist()}
        if len(self._entries) < len(self._zip.infolist()):
            raise DamageError("it is a zip archive with two entries of one name, of which readers take different ones")
        for entry in self._entries.values():
            if entry.file_size > _DEFLATE_LIMIT * (len(data) + 1):
                raise DamageError(
                    f"{entry.filename} in it claims {entry.file_size} bytes, more than the archive can hold"
                )
        packed = sum(entry.file_size for entry in self._entries.values() if entry.compress_type != zipfile.ZIP_STORED)
        limits.check("expanded", packed - 4 * len(data), "The zip archive")
        if min((entry.header_offset for entry in self._zip.infolist()), default=0) != 0:
            # the archive found is one within the file, of weights or example inputs, whose own end is lost
            raise DamageError("it is a zip archive that is cut off")

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> Iterable[str]:
        """Names of the entries, in order."""
        return self._entries

    def size(self, name: str) -> int:
        """Bytes of an entry."""
        return self._entries[name].file_size

    def text(self, name: str) -> str:
        """An entry that is text, its checksum verified."""
        try:
            return bytes(self._unpacked(name)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DamageError(f"{name} in it is no text ({error})") from error

    def view(self, name: str) -> memoryview:
        """The bytes of an entry: where they lie in the archive, or a copy if they are compressed.

        The checksum of what is not compressed is not verified, which would read it all.
        """
        entry = self._entry(name)
        if entry.compress_type != zipfile.ZIP_STORED:
            return memoryview(self._unpacked(name))
        start, end = self._place(entry)
        return self._data[start:end]

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(name)
        if entry is None:
            raise DamageError(f"it lacks {name}")
        return entry

    def _unpacked(self, name: str) -> bytes:
        entry = self._entry(name)
        try:
            return self._zip.read(entry)
        except ZIP_FAILURES as error:
            raise DamageError(f"{name} in it cannot be read ({error})") from error

    def _place(self, entry: zipfile.ZipInfo) -> tuple[int, int]:
        try:
            signature, flags, name, extra = _LOCAL_HEADER.unpack_from(self._data, entry.header_offset)
        except struct.error as error:
            raise DamageError(f"{entry.filename} is not where the archive says") from error
        start = entry.header_offset + 30 + name + extra
        end = start + entry.file_size
        if entry.header_offset < 0 or signature != _SIGNATURE or flags & 1 or end > len(self._data):
            raise DamageError(f"{entry.filename} is not where the archive says")
        return start, end


class _Reader(io.RawIOBase):
    """Bytes in memory as a file, without a copy."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer is a protocol
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        if base + offset < 0:
            raise ValueError("negative seek")
        self._at = base + offset
        return self._at
