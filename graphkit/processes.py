"""Processes of this machine: what descends from one, how much memory they take, and how they end.

Linux alone tells all of this (proc(5), prctl(2)); elsewhere functions find nothing, and say so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DETACHED",
    "Family",
    "LastWords",
    "adopt_orphans",
    "end_group",
    "end_with_parent",
    "ending",
    "has_ended",
    "reap",
    "send",
    "signal_name",
]

DETACHED: Final = "GRAPHKIT_DETACHED"
"""Environment variable of processes that the user's own programs go on with, such as a browser: no part of a family."""
_SET_PDEATHSIG: Final = 1
_SET_CHILD_SUBREAPER: Final = 36
_LINUX: Final = sys.platform == "linux"
_SEARCH: Final = 0.2
"""Seconds between searches for new processes at least."""
_SHARE: Final = 100
"""A search lasts at most this part of the time until the next one."""
_KEPT: Final = 1 << 14
"""Bytes of what a process wrote last that are kept."""
_LINES, _WORDS = 4, 600
"""Lines and characters of its last words."""
_PATIENCE: Final = 5.0
"""Seconds that killed processes may take to be gone."""


def _control(option: int, value: int) -> bool:
    if not _LINUX:
        return False
    try:
        return ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0  # type: ignore[no-any-return]
    except (OSError, AttributeError):
        return False


def adopt_orphans() -> bool:
    """Have processes whose parents end become this one's children, so that none gets lost; whether the system can."""
    return _control(_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int) -> None:
    """Have the system kill this process when the thread that started it ends, whatever either is at.

    Args:
        parent: Process id of the one that started it, which may have ended already.
    """
    if _LINUX and _control(_SET_PDEATHSIG, signal.SIGKILL) and os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def signal_name(number: int) -> str:
    """What a signal is called, e.g. ``SIGSEGV``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def ending(status: int | None) -> str:
    """How a process ended, as the rest of a sentence about it.

    Args:
        status: Its exit status, negative for the number of a signal; None if it has not ended.
    """
    if status is None:
        return "fell silent"
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL), most likely for want of memory,"
    return f"crashed ({signal_name(-status)})" if status < 0 else f"ended with exit status {status}"


def has_ended(child: int) -> bool:
    """Whether a child has ended; it is left to be waited for, so that its number stays its own and its group's."""
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def end_group(leader: int) -> None:
    """Kill a process that was started as the leader of its group and has not been waited for, with all of the group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


class Family:
    """The processes that descend from one, as far as the system tells.

    Args:
        root: Process id of the one.
        itself: Whether it is a member, too.
    """

    def __init__(self, root: int, *, itself: bool = False) -> None:
        self._root, self._itself = root, itself
        self._known: set[int] = set()
        self._foreign: set[int] = set()
        self._next = 0.0

    def members(self) -> list[int]:
        """Process ids of all that run now."""
        parents: dict[int, int] = {}
        for name in os.listdir("/proc") if _LINUX else ():
            if name.isdigit() and (parent := _parent(int(name))) is not None:
                parents[int(name)] = parent
        found, level = set[int](), {self._root}
        while level:
            level = {pid for pid, parent in parents.items() if parent in level and pid not in found}
            self._foreign |= {pid for pid in level - self._foreign if _is_detached(pid)}
            level -= self._foreign
            found |= level
        self._foreign &= set(parents)
        self._known = found | ({self._root} if self._itself else set())
        return sorted(self._known)

    def memory(self) -> int:
        """Bytes of memory that they hold and that are not mapped from files.

        New members are looked for a few times a second: that takes longer the more processes the machine has.
        """
        now = time.monotonic()
        if now >= self._next:
            self.members()
            after = time.monotonic()
            self._next = after + max(_SEARCH, (after - now) * _SHARE)
        return sum(_held(pid) for pid in self._known)

    def kill(self) -> None:
        """Kill all of them and wait until they are gone, those too that they start meanwhile."""
        end = time.monotonic() + _PATIENCE
        while members := self.members():
            send(members, signal.SIGKILL)
            reap()
            if time.monotonic() > end:
                return
            time.sleep(0.002)
        reap()


def send(pids: Iterable[int], number: int) -> None:
    """Send processes a signal, as far as they are there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def reap() -> dict[int, int]:
    """Wait for the children that have ended; their exit statuses, negative where a signal ended them."""
    found = {}
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found[ended[0]] = os.waitstatus_to_exitcode(ended[1])
    return found


def _parent(pid: int) -> int | None:
    """The parent of a process that has not ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in (b"Z", b"X") else int(parent)


def _is_detached(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return DETACHED.encode() + b"=" in file.read()
    except OSError:
        return False


def _held(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith((b"RssAnon:", b"RssShmem:")))


class LastWords:
    """What a process has written lately to a pipe, which is read as long as it is open, in a thread.

    Args:
        pipe: The pipe, which is closed at its end.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._kept, self._turn = pipe, b"", threading.Lock()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def forget(self) -> None:
        """Forget what was written until now."""
        with self._turn:
            self._kept = b""

    def told(self, noise: tuple[str, ...] = ()) -> str:
        """A sentence of the last lines, to stand behind another one; nothing where there are none.

        Args:
            noise: What lines that tell nothing begin with.
        """
        with self._turn:
            text = self._kept.decode(errors="replace")
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith(noise)][-_LINES:]
        return f" Its last words: {' | '.join(lines)[-_WORDS:]}" if lines else ""

    def join(self, seconds: float) -> None:
        """Wait until the process has closed the pipe, for some time."""
        self._listener.join(seconds)

    def _listen(self) -> None:
        with self._pipe, contextlib.suppress(OSError, ValueError):
            while part := os.read(self._pipe.fileno(), _KEPT):
                with self._turn:
                    self._kept = (self._kept + part)[-_KEPT:]
