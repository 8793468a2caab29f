"""What reading a file may cost and raise, measured while it is read."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphkit.errors import GraphkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HANG", "SLOW", "Finding", "Outcome", "allowed", "measured", "written"]

HANG: Final = 10.0
"""Seconds of the processor after which reading a file counts as hanging."""
SLOW: Final = 1.0
"""Seconds of the processor from which a file is worth a look."""
_SPARE: Final = 100_000_000
_TIMES: Final = 4
_STATEMENT: Final = 10_000
"""Characters that an error may have."""
_PAGE: Final = resource.getpagesize()
_RESET_PEAK: Final = b"5"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that reading a file must not do.

    Attributes:
        kind: ``exception``, ``hang``, ``slow``, ``memory`` or ``message``.
        where: Type of the exception and the innermost function of graphkit that it came from.
        told: The traceback.
    """

    kind: str
    where: str
    told: str

    @property
    def signature(self) -> str:
        """What findings of one cause share; fit for a file's name."""
        return f"{self.kind}-{self.where}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of reading a file.

    Attributes:
        seconds: Time of the processor.
        allocated: Bytes by which the process was larger at its peak.
        accepted: Whether it was read without an error.
        finding: What was wrong, None where nothing was.
    """

    seconds: float
    allocated: int
    accepted: bool
    finding: Finding | None = None


class _Hang(BaseException):
    """Raised in what takes too long, whatever it catches."""


def allowed(size: int) -> int:
    """Bytes that reading a file of ``size`` bytes may allocate."""
    return _TIMES * size + _SPARE


def measured(read: Callable[[bytes], object], data: bytes) -> Outcome:
    """Read a file, under a limit of time and of memory.

    The address space is limited, so that what is allocated and never touched counts, too: a MemoryError is a finding
    even where an error of graphkit's follows from it.
    """
    size, resident = _memory()
    _reset_peak()
    finding, accepted = None, False
    start = time.process_time()
    with _timer(HANG), _address_space(size + allowed(len(data))):
        try:
            read(data)
            accepted = True
        except GraphkitError as error:
            finding = _of_refusal(error)
        except _Hang as error:
            finding = _finding("hang", error)
        except MemoryError as error:
            finding = _finding("memory", error)
        except Exception as error:
            finding = _finding("exception", error)
    seconds = time.process_time() - start
    peak = max(_peak() - resident, 0)
    if finding is None and peak > allowed(len(data)):
        finding = Finding("memory", "resident", f"{peak:,} bytes for a file of {len(data):,}")
    if finding is None and seconds > SLOW:
        finding = Finding("slow", "seconds", f"{seconds:.1f} s for a file of {len(data):,} bytes")
    return Outcome(seconds, peak, accepted, finding)


def _of_refusal(error: GraphkitError) -> Finding | None:
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, MemoryError):
            return _finding("memory", below)
        below = below.__cause__ or below.__context__
    if len(str(error)) > _STATEMENT:
        return _finding("message", error)
    return None


def _finding(kind: str, error: BaseException) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}graphkit{os.sep}" in frame.filename] or frames
    place = Path(own[-1].filename).stem + "." + own[-1].name if own else "nowhere"
    told = "".join(traceback.format_exception(error))
    return Finding(kind, f"{type(error).__name__}-{place}".replace("<", "").replace(">", ""), told[-8000:])


@contextmanager
def _timer(seconds: float) -> Iterator[None]:
    def over(_number: int, _frame: object) -> None:
        raise _Hang(f"it takes longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _address_space(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _memory() -> tuple[int, int]:
    """Bytes of the process's address space, and of memory that it has."""
    with open("/proc/self/statm", "rb") as file:
        total, resident = file.read().split()[:2]
    return int(total) * _PAGE, int(resident) * _PAGE


def _reset_peak() -> None:
    with open("/proc/self/clear_refs", "wb") as file:
        file.write(_RESET_PEAK)


def _peak() -> int:
    with open("/proc/self/status", "rb") as file:
        text = file.read()
    at = text.index(b"VmHWM:")
    return int(text[at + 6 : text.index(b"kB", at)]) * 1024


_folder: Path | None = None


def written(data: bytes, name: str) -> Path:
    """A new file with these bytes, alone in a folder in memory that goes with the process."""
    global _folder
    if _folder is None or not _folder.name.endswith(f"-{os.getpid()}"):
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        _folder = Path(tempfile.mkdtemp(prefix="graphkit-hostile-", suffix=f"-{os.getpid()}", dir=place))
        _left_over(_folder.parent)
    path = _folder / name
    path.unlink(missing_ok=True)  # arrays of the last one may still be mapped
    path.write_bytes(data)
    return path


def _left_over(folder: Path) -> None:
    """Remove the folders of processes that are gone."""
    for path in folder.glob("graphkit-hostile-*"):
        owner = path.name.rpartition("-")[2]
        if not owner.isdigit() or not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)
