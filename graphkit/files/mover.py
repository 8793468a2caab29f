"""Puts files into place for a process that may be killed at any moment, and tidies up after it.

It is run as ``python -I -S mover.py``, in a session of its own, so that what kills a command and its process group does
not hit it, and imports nothing but what Python has built in. Requests come on stdin, answers go to stdout. When stdin
ends before files were to be placed, the process that asked has failed or is dead, and its drafts are removed.

A message is a list of byte strings: its length in eight hexadecimal digits, then the strings, each followed by a zero
byte. Requests are

- ``guard, rooms, folders…``: as many folders of drafts as the number says, and folders that were made for the files;
- ``sync, drafts…``: have the system put drafts on the disk;
- ``lock, folders…``: wait until nobody else places files in folders, nor opens several there, see :func:`lock`;
- ``place, count, (draft, target)…, (file, hidden)…``: :func:`place`, ``count`` drafts.

Each but the first is answered with ``done``, or ``failed``, the number of the system's error, its text and a path.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn

__all__ = ["HELD", "NEW", "OLD", "CanceledError", "discard", "lock", "pack", "place", "read", "sync"]

NEW = "new"
"""What the part of a room is called that holds drafts."""
OLD = "old"
"""What the part of a room is called that holds what is replaced, while it is."""
HELD = (errno.EAGAIN, errno.EACCES)
"""Errors of locks that somebody else has."""
PATIENCE = 10.0
"""Seconds after which a lock is not one of graphkit's, which last for as long as renaming files takes."""
_POLL = 0.005
_DIGITS = 8
_NO_SYNC = (errno.EINVAL, errno.EROFS, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""Errors of file systems that have nothing to put on a disk."""


class CanceledError(Exception):
    """Who asked wants it no more, or is dead."""


def pack(*parts: str | bytes) -> bytes:
    """A message."""
    body = b"".join(os.fsencode(part) + b"\0" for part in parts)
    return b"%0*x" % (_DIGITS, len(body)) + body


def read(stream: int) -> list[bytes] | None:
    """The next message; None where the stream ends before one is complete."""
    head = _exactly(stream, _DIGITS)
    body = None if head is None else _exactly(stream, int(head, 16))
    return None if body is None else body.split(b"\0")[:-1]


def _exactly(stream: int, count: int) -> bytes | None:
    found = b""
    while len(found) < count:
        more = os.read(stream, count - len(found))
        if not more:
            return None
        found += more
    return found


def lock(folders: Iterable[str], kind: int = fcntl.LOCK_EX, go_on: Callable[[], object] = lambda: None) -> list[int]:
    """Wait until nobody else has a lock of folders (``flock``), and take it.

    There are none on some network drives, and of folders that may not be listed. Somebody who does not give one away
    for ten seconds is not waited for: it is not graphkit that holds it.

    Args:
        folders: The folders.
        kind: ``LOCK_EX`` to write there, ``LOCK_SH`` to read.
        go_on: Is called again and again, to raise an error when nobody wants the lock any more.

    Returns:
        Descriptors, with which the locks go when they are closed.
    """
    found: dict[tuple[int, int], int] = {}
    try:
        for folder in folders:
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue
            about = os.fstat(descriptor)
            if found.setdefault((about.st_dev, about.st_ino), descriptor) != descriptor:
                os.close(descriptor)
        end = time.monotonic() + PATIENCE
        for _, descriptor in sorted(found.items()):  # in the same order in all processes
            while not _taken(descriptor, kind) and time.monotonic() < end:
                go_on()
                time.sleep(_POLL)
    except BaseException:
        for descriptor in found.values():
            os.close(descriptor)
        raise
    return list(found.values())


def _taken(descriptor: int, kind: int) -> bool:
    """Whether a lock is taken, or there is none to take."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in HELD
    return True


def sync(paths: Sequence[str]) -> None:
    """Have the system put files on the disk, with what a full disk has against it.

    Raises:
        OSError: They do not fit, or the disk fails.
    """
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise OSError(error.errno, error.strerror, path) from error
        finally:
            os.close(file)


def place(moves: Sequence[tuple[str, str]], replaced: Sequence[tuple[str, str]], *, again: bool = False) -> None:
    """Move drafts to where they belong, all or none.

    What they replace is moved away before the first of them is in place: whoever looks meanwhile may find files
    missing, but never an old one beside a new one. A single file takes the place of another one at once.

    Args:
        moves: Drafts, and the files that they become.
        replaced: Files that are replaced or removed, as far as they are there, and where each is kept meanwhile.
        again: Whether a mover was killed while it did the same, which is now completed.

    Raises:
        OSError: One cannot be moved. The others are where they were.
    """
    for path in (*(target for _, target in moves), *(path for path, _ in replaced)):
        if _is_folder(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if len(moves) == 1 and all(path == moves[0][1] for path, _ in replaced):
        if not again or os.path.lexists(moves[0][0]):
            os.replace(*moves[0])
        _sync_folders(moves)
        return
    kept: list[tuple[str, str]] = []
    placed: list[tuple[str, str]] = []
    begun = again and not all(os.path.lexists(draft) for draft, _ in moves)
    try:
        for path, hidden in replaced:
            there = again and os.path.lexists(hidden)
            if begun and not there:
                continue  # what is at the path is new
            if not there:
                try:
                    os.rename(path, hidden)
                except FileNotFoundError:
                    continue
            kept.append((path, hidden))
        for draft, target in moves:
            if not again or os.path.lexists(draft):
                os.rename(draft, target)
            placed.append((draft, target))
    except BaseException:
        _put_back([*placed, *kept])
        raise
    _sync_folders(moves)
    _unlink(hidden for _, hidden in kept)


def _put_back(moved: Sequence[tuple[str, str]]) -> None:
    """Undo moves of files to others; those that cannot be undone are left, as nothing better can be done."""
    for source, target in moved:
        try:
            os.rename(target, source)
        except OSError:
            continue


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _sync_folders(moves: Sequence[tuple[str, str]]) -> None:
    """Have the system note on the disk what files are called."""
    for folder in {os.path.dirname(target) for _, target in moves}:
        try:
            file = os.open(folder, os.O_RDONLY)
        except OSError:
            continue  # a folder that may not be listed
        try:
            os.fsync(file)
        except OSError:
            pass  # the files are in place, and what is in memory is right
        finally:
            os.close(file)


def discard(rooms: Sequence[str], made: Sequence[str]) -> None:
    """Remove drafts, the folders they lay in, and folders that were made for nothing.

    What was replaced and could not be put back is kept.

    Args:
        rooms: Folders of drafts.
        made: Folders that were made, inner ones first; those with something in them stay.
    """
    for room in rooms:
        _clear(os.path.join(room, NEW))
        for folder in (os.path.join(room, OLD), room):
            _remove(folder)
    for folder in made:
        _remove(folder)


def _clear(folder: str) -> None:
    """Remove a folder with all that is in it; links are removed, not followed."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    paths = [os.path.join(folder, name) for name in names]
    inner = [path for path in paths if _is_folder(path)]
    for path in inner:
        _clear(path)
    _unlink(path for path in paths if path not in inner)
    _remove(folder)


def _unlink(paths: Iterable[str]) -> None:
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            continue


def _remove(folder: str) -> None:
    try:  # noqa: SIM105  # contextlib takes longer to import than everything else here
        os.rmdir(folder)
    except OSError:
        pass  # it is not there, not empty or not to be changed


def _go_on(requests: int) -> None:
    """End what was asked for where nobody wants it any more."""
    if select.select([requests], [], [], 0)[0]:  # nothing is asked before an answer, so the stream has ended
        raise CanceledError


def _answer(kind: str, parts: Sequence[str], rooms: Sequence[str], requests: int) -> bytes:
    try:
        if kind == "sync":
            for path in parts:
                _go_on(requests)
                sync([path])
        elif kind == "lock":
            lock(rooms, fcntl.LOCK_SH)
            lock(parts, go_on=lambda: _go_on(requests))
        else:
            count, *paths = parts
            pairs = list(zip(paths[::2], paths[1::2], strict=True))
            _go_on(requests)
            place(pairs[: int(count)], pairs[int(count) :])
    except OSError as error:
        return pack("failed", str(error.errno or errno.EIO), error.strerror or str(error), error.filename or b"")
    return pack("done")


def _main(requests: int, answers: int) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    rooms: list[str] = []
    made: list[str] = []
    try:
        while (message := read(requests)) is not None:
            kind, *parts = map(os.fsdecode, message)
            if kind == "guard":
                count = int(parts[0]) + 1
                rooms, made = parts[1:count], parts[count:]
            else:
                os.write(answers, _answer(kind, parts, rooms, requests))
    except (CanceledError, BrokenPipeError):
        pass  # nobody is there to be told
    finally:
        discard(rooms, made)
    os._exit(0)  # at once, without what an interpreter does at its end


if __name__ == "__main__":
    _main(sys.stdin.fileno(), sys.stdout.fileno())
