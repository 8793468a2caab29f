"""Hidden folders in which drafts of files are written, and the process that moves them to where they belong.

A room is a folder ``.graphkit-`` and 16 hexadecimal digits beside the files that are written. Only its owner may look
into it, so that what replaces a secret file is never open to others. ``new`` in it holds drafts under the names that
they will have, ``old`` what they replace, while they do.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from graphkit.files import mover
from graphkit.files.locks import unused
from graphkit.processes import DETACHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Rooms"]

_ROOM: Final = re.compile(r"\.graphkit-[0-9a-f]{16}")
_YOUNG: Final = 60
"""Seconds for which a room may be without a lock: it is made, or guarded by a process that just begins to move."""
_ABANDONED: Final = 3600
"""Seconds after which a room without changes is left over, where there are no locks."""
_PATIENCE: Final = 10
"""Seconds that the mover has to put back what it began; a disk that takes longer hangs."""
_TRIES: Final = 3
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class Rooms:
    """Rooms beside files, a context manager that removes them with all that is left in them.

    Args:
        ends: The files; those that are to be copied rather than moved have a room in the folder for temporary files.
        copied: Which of them are.
        make: Whether their folders are made where they are not there, and removed again where nothing comes into them.
        guarded: Whether a process of its own moves the files, and removes drafts if this one is killed.
    """

    def __init__(self, ends: Sequence[Path], copied: Sequence[bool], *, make: bool, guarded: bool) -> None:
        temporary = tempfile.gettempdir()
        self._ends = ends
        self._homes = [Path(temporary) if each else end.parent for end, each in zip(ends, copied, strict=True)]
        token = secrets.token_hex(8)
        self._rooms = {home: home / f".graphkit-{token}" for home in self._homes}
        self._copied, self._make, self._guarded = copied, make, guarded
        self._made: list[Path] = []
        self._held: list[int] = []
        self._locks: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._left: list[Path] = []
        self.drafts = tuple(self._room_of(end) / mover.NEW / end.name for end in ends)

    def place(self, stale: Iterable[Path] = ()) -> None:
        """Move drafts to where they belong, all or none; what is missing of them is left as it is.

        Args:
            stale: Gives further files of what is replaced, which are removed; they lie beside the others. It is gone
                through once nobody else places files there.

        Raises:
            OSError: They cannot be. Nothing was changed.
        """
        files = zip(self.drafts, self._ends, self._copied, strict=True)
        moves = [(draft, end) for draft, end, copied in files if not copied and draft.exists()]
        if not moves:
            return
        for draft, end in moves:
            _keep_permissions(end, draft)
        self._ask("sync", *(str(draft) for draft, _ in moves))
        self._ask("lock", *(str(home) for home, copied in zip(self._homes, self._copied, strict=True) if not copied))
        replaced = [end for _, end in moves]
        replaced += [path for path in stale if path not in replaced and path.parent in self._rooms]
        hidden = [self._room_of(path) / mover.OLD / path.name for path in replaced]
        pairs = (*moves, *zip(replaced, hidden, strict=True))
        self._ask("place", str(len(moves)), *(str(path) for pair in pairs for path in pair))
        self._forget({path.name for path in replaced})

    def _room_of(self, path: Path) -> Path:
        return self._rooms[self._homes[self._ends.index(path)] if path in self._ends else path.parent]

    def _ask(self, request: str, *parts: str) -> None:
        """Have the mover do something; do it here where there is none, or where it was killed."""
        if self._process is None:
            self._do(request, parts)
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = None
        with suppress(BrokenPipeError):
            self._process.stdin.write(mover.pack(request, *parts))
            self._process.stdin.flush()
            answer = mover.read(self._process.stdout.fileno())
        if answer is None:
            self._dismiss()
            self._do(request, parts, again=True)
        elif answer[0] == b"failed":
            number, text, path = map(os.fsdecode, answer[1:])
            raise OSError(int(number), text, path or None)

    def _do(self, request: str, parts: Sequence[str], *, again: bool = False) -> None:
        if request == "sync":
            mover.sync(parts)
            return
        if request == "lock":
            self._locks = mover.lock(parts)
        else:
            count, *paths = parts
            pairs = list(zip(paths[::2], paths[1::2], strict=True))
            if not self._locks:
                self._locks = mover.lock({os.path.dirname(target) for _, target in pairs[: int(count)]})
            with _undisturbed():
                mover.place(pairs[: int(count)], pairs[int(count) :], again=again)

    def __enter__(self) -> Self:
        try:
            self._process = _started() if self._guarded else None
            for folder in self._rooms:
                self._sweep(folder)
            for left in reversed(range(_TRIES)):
                self._guard()
                try:
                    self._build()
                    break
                except FileNotFoundError:  # somebody else has removed a folder that had nothing in it
                    if not left or not self._make:
                        raise
        except BaseException:
            self.__exit__()
            raise
        return self

    def _guard(self) -> None:
        """Tell the mover of what is going to be made."""
        missing = [folder for home in self._rooms for folder in (home, *home.parents) if not folder.exists()]
        self._made = list(dict.fromkeys(missing)) if self._make else []
        if self._process is not None:
            assert self._process.stdin is not None
            paths = (*self._rooms.values(), *self._made)
            with suppress(BrokenPipeError):
                self._process.stdin.write(mover.pack("guard", str(len(self._rooms)), *map(str, paths)))
                self._process.stdin.flush()

    def _build(self) -> None:
        for folder in reversed(self._made):
            folder.mkdir(exist_ok=True)
        for room in self._rooms.values():
            room.mkdir(0o700, exist_ok=True)
            self._held += mover.lock([str(room)], fcntl.LOCK_SH)
            for part in (mover.NEW, mover.OLD):
                (room / part).mkdir(exist_ok=True)

    def __exit__(self, *exc: object) -> None:
        with _undisturbed():
            if self._dismiss():
                mover.discard([str(room) for room in self._rooms.values()], [str(folder) for folder in self._made])
            for descriptor in (*self._held, *self._locks):
                os.close(descriptor)
            self._held, self._locks = [], []

    def _dismiss(self) -> bool:
        """Let the mover end, and say whether it has."""
        process, self._process = self._process, None
        if process is None:
            return True
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return False
        finally:
            process.stdout.close()
        return True

    def _sweep(self, folder: Path) -> None:
        """Remove rooms that were left where a process and its mover were killed together, or the power failed."""
        with suppress(OSError):
            rooms = [Path(entry) for entry in os.scandir(folder) if _ROOM.fullmatch(entry.name) and _abandoned(entry)]
            for room in rooms:
                if _holds_old(room):
                    self._left.append(room)
                else:
                    mover.discard([str(room)], [])

    def _forget(self, names: set[str]) -> None:
        """Remove what left rooms hold of files that have just been replaced."""
        for room in self._left:
            with suppress(OSError):
                old = list((room / mover.OLD).iterdir())
                if {path.name for path in old} <= names:
                    for path in old:
                        path.unlink()
                    mover.discard([str(room)], [])


def _started() -> subprocess.Popen[bytes] | None:
    """A mover; None where this process is none that could start one."""
    if not sys.executable:
        return None
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", mover.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, DETACHED: "1"},
            start_new_session=True,
        )
    except OSError:
        return None


def _holds_old(room: Path) -> bool:
    with suppress(FileNotFoundError):
        return any((room / mover.OLD).iterdir())
    return False


def _abandoned(entry: os.DirEntry[str]) -> bool:
    """Whether something is a room that nobody works in."""
    about = entry.stat(follow_symlinks=False)
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        return False
    free = unused(Path(entry))
    if free is None:
        last = max([about.st_mtime, *(draft.lstat().st_mtime for draft in Path(entry, mover.NEW).iterdir())])
        return time.time() - last > _ABANDONED
    return free and time.time() - about.st_mtime > _YOUNG


def _keep_permissions(end: Path, draft: Path) -> None:
    """Give a file the permissions of the one that it replaces, or fewer where it cannot have the same group."""
    try:
        about = end.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(about.st_mode):
        return
    mode = stat.S_IMODE(about.st_mode) & 0o777
    with suppress(OSError):
        os.chown(draft, about.st_uid if os.geteuid() == 0 else -1, about.st_gid)
    if draft.stat().st_gid != about.st_gid:
        mode &= ~0o070 | (mode & 0o007) << 3
    draft.chmod(mode)
    for name in os.listxattr(end) if hasattr(os, "listxattr") else ():
        with suppress(OSError):  # such as one of the system's own
            os.setxattr(draft, name, os.getxattr(end, name))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals that end the process wait until this is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, lambda number, _frame: waiting.append(number))
        yield
    finally:
        for number, handler in before.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, handler)
        for number in dict.fromkeys(waiting):
            signal.raise_signal(number)
