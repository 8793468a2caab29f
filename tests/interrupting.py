"""Commands that are interrupted, terminated or killed at a random moment, and what must hold of them afterwards."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

__all__ = ["HOW", "Trial", "contents", "descendants_left", "problem", "trial"]

HOW: Final[Mapping[str, tuple[tuple[int, ...], int]]] = {
    "interrupt": ((signal.SIGINT,), 130),
    "interrupt twice": ((signal.SIGINT, signal.SIGINT), 130),
    "terminate": ((signal.SIGTERM,), 143),
    "interrupt, then terminate": ((signal.SIGINT, signal.SIGTERM), 130),
    "kill": ((signal.SIGKILL,), -signal.SIGKILL),
}
"""Signals that are sent one shortly after the other, and the status that a command then ends with."""
_MARK: Final = "GRAPHKIT_TRIAL"
_PATIENCE: Final = 8.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A command that was disturbed.

    Attributes:
        how: How, one of :data:`HOW`.
        after: Seconds after its start.
        begun: Whether Python had come to graphkit by then; before, it ends in its own words.
        status: Exit status.
        out: What it printed.
        err: What it printed to stderr.
        took: Seconds from the last signal until it had ended.
        left: Command lines of processes that were left behind.
    """

    how: str
    after: float
    begun: bool
    status: int
    out: str
    err: str
    took: float
    left: tuple[str, ...]


def trial(arguments: Sequence[str], folder: Path, how: str, after: float, rng: random.Random) -> Trial:
    """Start ``graphkit`` in a folder and disturb it after some seconds.

    Half of the signals go to the process alone, as ``kill`` sends them, and half to its group, as a terminal does.
    """
    mark = secrets.token_hex(8)
    with subprocess.Popen(
        [sys.executable, "-m", "graphkit", *arguments],
        cwd=folder,
        env={**os.environ, _MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        time.sleep(after)
        begun = _begun(process.pid)
        for number in HOW[how][0]:
            if process.poll() is None:
                everyone = rng.random() < 0.5 and number != signal.SIGKILL
                (os.killpg if everyone else os.kill)(process.pid, number)
                time.sleep(rng.choice((0.0, 0.001, 0.02)))
        start = time.monotonic()
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    took = time.monotonic() - start
    return Trial(how, after, begun, process.returncode, out, err, took, descendants_left(mark))


def _begun(pid: int) -> bool:
    """Whether a process hears of terminations, as commands do from their beginning on."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return True
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def descendants_left(mark: str) -> tuple[str, ...]:
    """Command lines of processes that a command has started and that do not end soon after it."""
    end = time.monotonic() + _PATIENCE
    while (left := _marked(f"{_MARK}={mark}".encode())) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def _marked(text: bytes) -> tuple[str, ...]:
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and text in Path(f"/proc/{name}/environ").read_bytes():
                found.append(Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return tuple(found)


def contents(folder: Path) -> dict[str, str]:
    """Hashes of the files below a folder that are not hidden."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def problem(found: Trial, fine: int = 0) -> str:
    """What is wrong with how a disturbed command ended; empty if nothing is.

    Args:
        found: The command.
        fine: Status with which it ends when nothing disturbs it.
    """
    if found.left:
        return f"left processes behind: {found.left}"
    if found.how == "kill":
        return "" if found.status in (-signal.SIGKILL, fine) else f"ended with {found.status}"
    wanted = HOW[found.how][1]
    if found.status == 143 and signal.SIGTERM in HOW[found.how][0]:
        wanted = 143  # of two that come at once either may be first
    if found.status == fine and not any(word in found.err for word in ("Traceback", "Error", "error")):
        return ""  # it was over before
    if not found.begun and found.status != 2:
        return ""
    told = "terminated" if wanted == 143 else "interrupted"
    if found.status != wanted or not found.err.endswith(f"graphkit: {told}.\n") or "Traceback" in found.err:
        return f"ended with {found.status} and said {found.err[-2000:]!r}"
    if found.took > _PATIENCE:
        return f"took {found.took:.1f} seconds to end"
    return ""
