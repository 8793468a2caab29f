"""Timing calls, and the memory of a process, inside of the process itself."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphkit.frameworks.timing import Round

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["forget_peak", "measured", "peak", "resident", "rest"]

_STATUS: Final = Path("/proc/self/status")
_MACHINE: Final = Path("/proc/stat")
_CLEAR: Final = Path("/proc/self/clear_refs")
_PAUSE: Final = 0.02
_REST: Final = 0.5
"""Seconds that threads which wait for work by spinning are given to go to sleep."""


def measured(call: Callable[[], None], least: float, lead: bool) -> Round:
    """Call something for some time.

    The process is idle afterwards: threads that spin for some time once there is nothing to do would take processors
    from what is timed next.

    Args:
        call: What is timed; it returns when it is done.
        least: Seconds to fill with calls; at least one is made.
        lead: Whether a call that does not count is made before.
    """
    if lead:
        call()
    calls, busy, total, start = 0, time.process_time(), _total(), time.perf_counter()
    while True:
        call()
        calls += 1
        seconds = time.perf_counter() - start
        if seconds >= least:
            break
    busy, total = time.process_time() - busy, _total() - total
    rest()
    return Round(calls, seconds / calls, busy / seconds, max(total - busy, 0.0) / seconds)


def rest() -> None:
    """Wait until no thread of the process works any more, for half a second at most."""
    end = time.perf_counter() + _REST
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(_PAUSE)
        if time.process_time() - before < _PAUSE / 10:
            return


def _total() -> float:
    """Seconds that all processors of the machine were busy since it started; 0 where the system does not tell.

    Source: proc(5), /proc/stat: user, nice, system, idle, iowait, irq, softirq and steal in ticks.
    """
    try:
        ticks = [int(field) for field in _MACHINE.read_text().partition("\n")[0].split()[1:9]]
    except (OSError, ValueError):
        return 0.0
    return (sum(ticks) - sum(ticks[3:5])) / os.sysconf("SC_CLK_TCK")


def resident() -> int:
    """Bytes of memory that the process has now; its peak where the system does not tell."""
    return _told("VmRSS:")


def peak() -> int:
    """Bytes of memory that the process has had at most since it started, or since :func:`forget_peak`."""
    return _told("VmHWM:")


def forget_peak() -> None:
    """Let :func:`peak` count from now on, where the system can do that (Linux: proc(5), clear_refs)."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def _told(key: str) -> int:
    try:
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
