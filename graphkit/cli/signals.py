"""Signals that end a command: it ends in order, once, and nothing is heard of what they met."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from graphkit.cli.console import TerminatedError, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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

    def lost(self, report: Callable[[Any], object], found: Any) -> None:
        """Report an exception that Python cannot raise, unless it is a signal's, which is raised at the next one."""
        if found.exc_type is not None and issubclass(found.exc_type, KeyboardInterrupt | TerminatedError):
            self._raised = False
        else:
            report(found)


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
    report = sys.unraisablehook
    try:
        for number in taken:
            signal.signal(number, endings.end)
        if own:
            sys.unraisablehook = lambda found: endings.lost(report, found)
        yield endings
    finally:
        endings.over()
        for number, handler in taken.items():
            signal.signal(number, signal.SIG_IGN if own else handler)
        if not own:
            sys.unraisablehook = report
