"""Zip archives that frameworks save: what may be wrong with them."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Final

__all__ = ["ZIP_FAILURES"]

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
