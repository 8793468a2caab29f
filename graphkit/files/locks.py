"""Reading files that belong together, and seeing whether somebody works in a folder.

Locks are those of ``flock``: gone with the process that holds them, and unknown to some network drives.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graphkit.files.mover import HELD, lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["steady", "unused"]


@contextmanager
def steady(*paths: Path) -> Iterator[None]:
    """Let nobody replace files that belong together while they are opened.

    Who puts some there (:func:`graphkit.files.whole`) waits until this is done, which must not take long: open or map
    the files, and work with them afterwards. Without locks (:func:`graphkit.files.mover.lock`) nobody waits.

    Args:
        paths: The files, or folders that they lie in.
    """
    descriptors = lock({str(path if path.is_dir() else path.absolute().parent) for path in paths}, fcntl.LOCK_SH)
    try:
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def unused(folder: Path) -> bool | None:
    """Whether nobody has a lock of a folder; None where that cannot be known."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in HELD else None
    finally:
        os.close(descriptor)
    return True
