"""Opening files that a stranger may have put there."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["opened"]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to read, which is one: a pipe would be waited for, and a device such as ``/dev/zero`` never ends.

    Raises:
        InputError: It cannot be opened or read, or is no file, nor a link to one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"{path} is not a file but a folder, pipe or device. Give a file.")
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
