"""What figures depend on besides the model: the machine, how busy it is, versions."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from graphkit.report.environment import environment as versions

__all__ = ["busy", "environment", "usable_processors"]

_CPUINFO: Final = Path("/proc/cpuinfo")
_MEMINFO: Final = Path("/proc/meminfo")
_LOAD: Final = 0.25
"""Processes that want to run, per processor, from which on a machine counts as busy."""


def environment(threads: int) -> dict[str, str]:
    """The machine, the time, and the versions under every conversion.

    Args:
        threads: Threads that each contestant is given.
    """
    found = {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "processor": _processor()}
    # Contestants are told their threads by the same variable, whatever it is here.
    known = {name: value for name, value in versions().items() if name != "OMP_NUM_THREADS"}
    found |= {"threads": str(threads)} | known
    found["platform"] = platform.platform()
    if memory := _memory():
        found["memory"] = memory
    if (load := _load()) is not None:
        found["load average at start"] = f"{load:.2f}"
    return found


def busy() -> str:
    """A warning where other programs are running; empty where they are not."""
    load = _load()
    if load is None or load <= _LOAD * (os.cpu_count() or 1):
        return ""
    return (
        f"The machine was busy before the benchmark began (load average {load:.2f} on {os.cpu_count()} processors): "
        f"compare ratios rather than seconds, or run it again when it is idle."
    )


def usable_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _processor() -> str:
    total = os.cpu_count() or 1
    usable = usable_processors()
    told = f"{total} processors" if usable == total else f"{total} processors, {usable} of them usable"
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    fields = (line.partition(":") for line in lines)
    names = [value.strip() for key, _, value in fields if key.strip() in ("model name", "Model")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {told}"


def _memory() -> str:
    try:
        first = _MEMINFO.read_text().partition("\n")[0]
        return f"{int(first.split()[1]) * 1024 / 1e9:.1f} GB"
    except (OSError, ValueError, IndexError):
        return ""
