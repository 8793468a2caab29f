"""Folders for temporary files, which go with the process that uses them, even if it is killed."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.files.rooms import Rooms

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["scratch"]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of one's own among the temporary files (``TMPDIR``), which is removed with all that is in it."""
    with Rooms([Path(tempfile.gettempdir()).resolve() / "scratch"], [True], make=False, guarded=True) as rooms:
        yield rooms.drafts[0].parent
