"""Zip archives that frameworks save: what may be wrong with them."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Final

from graphkit import limits

__all__ = ["ZIP_FAILURES", "members"]

ZIP_FAILURES: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    OSError,
)
"""Everything that zipfile raises on damaged archives; OSError where an offset is negative."""


def members(archive: zipfile.ZipFile, size: int, where: str) -> list[zipfile.ZipInfo]:
    """What an archive holds, of which nothing is larger than the archive's length or the limits allow.

    Args:
        archive: The archive, open.
        size: Its length in bytes.
        where: What it is called in errors.

    Raises:
        ValueError: It announces more bytes than it has.
        LimitError: What is compressed in it would be much larger than the archive (``expanded``).
    """
    found = archive.infolist()
    for member in found:
        if member.compress_size > size:
            raise ValueError(f"{member.filename!r} should have {member.compress_size} bytes, more than there are")
    packed = sum(member.file_size for member in found if member.compress_type != zipfile.ZIP_STORED)
    limits.check("expanded", packed - 4 * size, where)
    return found
