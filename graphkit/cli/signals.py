"""Signals that end a command: it ends in order, once, and nothing is heard of what they met."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from graphkit.cli.console import TerminatedError, explain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

__all__ = ["ENDING", "Endings", "ending_in_order"]

ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a command."""


class Endings:
    """What signals have asked of a command. The first of them is raised; others find it ending already."""

    def __init__(self) -> None:
        self._first = 0
        self._raised = False
        self._over = False
        self._silent = False
        self._status = 0
        self._mark: mmap | None = None

    def mark(self, page: mmap) -> None:
        """Have a byte of memory set once the command is over, so that who shares it knows."""
        self._mark = page

    def told(self, status: int = 0) -> None:
        """Another one tells of the end that signals make.

        Args:
            status: What the process is to exit with then; 0 for the status that says which signal it was.
        """
        self._silent, self._status = True, status

    @property
    def came(self) -> bool:
        """Whether a signal has ended the command, or is about to."""
        return self._first != 0

    def explain(self, problem: BaseException, *, debug: bool) -> int:
        """Print what went wrong, unless another one does, and say with which status to exit."""
        if not self._first:
            return explain(problem, debug=debug)
        # Libraries make errors of their own of what a signal raises in them.
        status = explain(_ending(self._first), debug=debug, silent=self._silent)
        return self._status or status

    def over(self) -> None:
        """The command is over: signals change nothing any more."""
        self._over = True
        if self._mark is not None:
            self._mark[0] = 1

    def end(self, number: int, _frame: object) -> None:
        """A signal has come."""
        self._first = self._first or number
        if not self._raised and not self._over:
            self._raised = True
            raise _ending(self._first)

    def lose(self, kind: type[BaseException] | None) -> bool:
        """Note an exception that cannot be raised; whether it is a signal's, which is then raised at the next one."""
        if kind is None or not issubclass(kind, KeyboardInterrupt | TerminatedError):
            return False
        self._raised = False
        return True


def _ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else TerminatedError(number)


@contextmanager
def ending_in_order(own: bool) -> Iterator[Endings]:
    """Let what would end the process at once (kill, a closed terminal) end it so that drafts of files are removed.

    Args:
        own: Whether the process is the command's own. Then interrupts are taken, too, and signals are ignored once it
            is over.
    """
    endings = Endings()
    if threading.current_thread() is not threading.main_thread():
        yield endings
        return
    usual = {signal.SIG_DFL, signal.default_int_handler} if own else {signal.SIG_DFL}
    taken = {number: handler for number in ENDING if (handler := signal.getsignal(number)) in usual}
    report, show = sys.unraisablehook, sys.excepthook
    try:
        for number in taken:
            signal.signal(number, endings.end)
        if own:
            # Destructors report what is raised in them, and some native code shows what is raised while it imports.
            sys.unraisablehook = lambda found: None if endings.lose(found.exc_type) else report(found)
            sys.excepthook = lambda kind, error, trace: None if endings.lose(kind) else show(kind, error, trace)
        yield endings
    finally:
        endings.over()
        for number, handler in taken.items():
            signal.signal(number, signal.SIG_IGN if own else handler)
