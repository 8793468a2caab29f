"""Whether processes are still there."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["gone", "state"]


def state(pid: int) -> str:
    """The state that proc(5) tells of a process, e.g. ``S``; ``gone`` where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


def gone(pid: int) -> bool:
    """Whether a process ends within ten seconds, or has."""
    end = time.monotonic() + 10
    while state(pid) not in ("gone", "Z") and time.monotonic() < end:
        time.sleep(0.01)
    return state(pid) in ("gone", "Z")
