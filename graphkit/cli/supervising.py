"""A command in a process of its own, which another one watches: for time, memory, signals and crashes.

Native code (runtimes, layout engines) cannot be interrupted in its own process, and may end it. So the process that was
started forks while it is still small; the command goes on in the child, and the parent waits: it passes signals on,
ends what takes too long or too much, together with everything that it started, and tells of a crash. Where a process
cannot be forked a thread watches time and memory.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from graphkit.cli.console import fail, say_ended
from graphkit.cli.signals import ENDING
from graphkit.errors import InputError
from graphkit.processes import Family, adopt_orphans, end_with_parent, reap, send

if TYPE_CHECKING:
    from graphkit.cli.bounds import Bounds
    from graphkit.cli.signals import Endings

__all__ = ["SWITCH", "supervise"]

SWITCH: Final = "GRAPHKIT_SUPERVISE"
"""Environment variable that is 0 where commands are to stay in the process that was started."""
_FAILED: Final = 2
_GRACE: Final = 2.0
"""Seconds that a command has to end in order before it is killed."""
_REPEAT: Final = 0.25
"""Seconds after which a command is told again to end: what it is told first may get lost in a destructor."""
_POLL: Final = 0.05
"""Seconds between looks at the memory in use."""
_LONG: Final = 3600.0
_SHOW_CURSOR: Final = "\x1b[?25h"


def supervise(bounds: Bounds, endings: Endings, *, debug: bool) -> None:
    """Go on in a process that this one watches, or watch this one; returns where the command is to go on.

    The process that watched exits here, with the status of the command.

    Args:
        bounds: What the command may take.
        endings: What signals ask of it.
        debug: Whether Python's own words on a crash are shown.

    Raises:
        InputError: Memory cannot be watched here.
    """
    if bounds.bytes is not None and sys.platform != "linux":
        raise InputError(
            f"--max-memory needs Linux, which tells how much memory processes hold; {sys.platform} does not. Leave it "
            f"out (and GRAPHKIT_MAX_MEMORY), and use a limit of the system's, such as a container's."
        )
    if endings.came:  # and was lost on its way, in what is imported
        raise KeyboardInterrupt
    if not _forks():
        if bounds.seconds is not None or bounds.bytes is not None:
            threading.Thread(target=_watch_itself, args=(bounds, endings), daemon=True).start()
        return
    adopt_orphans()
    taken = {number for number in (*ENDING, signal.SIGTSTP) if signal.getsignal(number) != signal.SIG_IGN}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it cannot wait for children, and some pass that on
    words, mark = os.memfd_create("graphkit-last-words"), mmap.mmap(-1, 1)
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*taken, signal.SIGCHLD})
    parent = os.getpid()
    child = os.fork()
    if not child:
        end_with_parent(parent)
        endings.told()
        endings.mark(mark)
        if not faulthandler.is_enabled():
            faulthandler.enable(words, all_threads=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    watch = _Watch(child, bounds, taken)
    status = watch.told(watch.status(), words, finished=bool(mark[0]), debug=debug)
    sys.stderr.flush()
    os._exit(status)  # all that is left to do was the command's


class _Watch:
    """The parent of the process that a command runs in.

    Args:
        child: Its process id.
        bounds: What the command may take.
        taken: Signals that are blocked, to be waited for.
    """

    def __init__(self, child: int, bounds: Bounds, taken: set[signal.Signals]) -> None:
        self._child, self._bounds = child, bounds
        self._taken = {*taken, signal.SIGCHLD}
        self._family = Family(os.getpid())
        self._asked = 0
        self._problem = ""
        self._end = 0.0
        self._stopped = 0.0

    def status(self) -> int:
        """Wait until the command is over, and its processes are if it did not end by itself; its exit status."""
        status: int | None = None
        while status is None:
            if not self._asked and (problem := self._bounds.exceeded(self._family, self._stopped)):
                self._problem = problem
                self._ask(signal.SIGTERM)
            came = signal.sigtimedwait(self._taken, self._pause())
            if came is not None and came.si_signo == signal.SIGTSTP:
                self._stop()
            elif came is not None and came.si_signo != signal.SIGCHLD and not self._asked:
                self._ask(came.si_signo)
            elif self._asked:
                self._press()
            status = reap().get(self._child)
        if self._asked or status < 0:
            self._family.kill()
        return status

    def told(self, status: int, words: int, *, finished: bool, debug: bool) -> int:
        """Say why the command ended, unless it has; the status to exit with."""
        if status < 0 and sys.stderr.isatty():
            sys.stderr.write(_SHOW_CURSOR)
        if self._problem and status != 0:
            fail(self._problem)
            return _FAILED
        if status < 0 and (self._asked or -status in ENDING):
            status = 128 + (self._asked or -status)
        if status < 0:
            from graphkit.cli.crashes import crash

            fail(crash(-status, os.pread(words, 1 << 16, 0), debug=debug))
            return _FAILED
        if not finished and not self._asked:
            fail(
                f"graphkit's process ended itself with exit status {status} before the command was over: code of the "
                f"source, or a library, did that. Nothing was left half written, and nothing that was asked for is "
                f"certain to be done. Do not use a file from a stranger that does this."
            )
            return _FAILED
        if status - 128 in ENDING:
            say_ended(status - 128)
        return status

    def _pause(self) -> float:
        if self._asked:
            return max(min(_REPEAT, self._end - time.monotonic()), 0.0)
        left = self._bounds.left()
        pauses = [_LONG if self._bounds.bytes is None else _POLL, _LONG if left is None else left + self._stopped]
        return min(pauses)

    def _ask(self, number: int) -> None:
        """Have the command end in order."""
        self._asked = number
        self._end = time.monotonic() + _GRACE
        send([self._child], number)
        send([self._child], signal.SIGCONT)

    def _press(self) -> None:
        """Ask again, or end it."""
        late = time.monotonic() >= self._end
        send([self._child], signal.SIGKILL if late else self._asked)
        self._end += _GRACE if late else 0.0

    def _stop(self) -> None:
        """Stop with everything below, as the terminal asks, until the shell has it go on."""
        members = [pid for pid in self._family.members() if pid != self._child]
        send([self._child], signal.SIGTSTP)
        send(members, signal.SIGSTOP)
        start = time.monotonic()
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})  # stops here
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
        self._stopped += time.monotonic() - start
        send([self._child, *members], signal.SIGCONT)


def _forks() -> bool:
    """Whether the process may fork: on Linux, where it has one thread, and no debugger or profiler looks on."""
    return (
        sys.platform == "linux"
        and os.environ.get(SWITCH) != "0"
        and threading.current_thread() is threading.main_thread()
        and threading.active_count() == 1
        and sys.gettrace() is None
        and sys.getprofile() is None
    )


def _watch_itself(bounds: Bounds, endings: Endings) -> None:
    """End this process once a bound is exceeded."""
    family = Family(os.getpid(), itself=True)
    while not (problem := bounds.exceeded(family)):
        time.sleep(_POLL)
    endings.told(_FAILED)
    fail(problem)
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGTERM)  # so that its waiting is interrupted
    else:
        signal.raise_signal(signal.SIGTERM)
    time.sleep(_GRACE)
    Family(os.getpid()).kill()
    os._exit(_FAILED)
