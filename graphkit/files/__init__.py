"""Output files that are written whole or not at all, and input files that are mapped into memory.

How files get into place is said in :mod:`graphkit.files.whole`, and for users in ``docs/files.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.files.arrays import aside, joined_aside, release, write_array
from graphkit.files.locks import steady
from graphkit.files.progress import showing, written
from graphkit.files.scratch import scratch
from graphkit.files.sizes import parse_size, sized
from graphkit.files.whole import whole, write_whole

if TYPE_CHECKING:
    from graphkit.files.progress import Progress as Progress

__all__ = [
    "aside",
    "joined_aside",
    "parse_size",
    "release",
    "scratch",
    "showing",
    "sized",
    "steady",
    "whole",
    "write_array",
    "write_whole",
    "written",
]
