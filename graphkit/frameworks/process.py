"""Starts a process that has a model, asks it to call and to time it, and ends it; ``timed.py`` is its far end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import ExecutionError
from graphkit.frameworks.timing import Answer, Memory, Round

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphkit.frameworks.base import Arrays

__all__ = ["LIMIT", "TimedProcess", "thread_settings"]

LIMIT: Final = 1800.0
"""Seconds that one request may take; compiling a large model takes minutes."""
_WORDS: Final = 600
"""Characters of a process's last words."""
_THREADS: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What tells libraries that compute how many threads to use."""


def thread_settings(threads: int) -> dict[str, str]:
    """Environment variables with which libraries use so many threads."""
    return dict.fromkeys(_THREADS, str(threads))


class TimedProcess:
    """A Python process that has a model: :class:`graphkit.frameworks.timing.Timed`.

    Args:
        label: How people call what runs in it.
        module: Name of the module that imports the runtime and loads the model there.
        job: What the module is told.
        environment: Variables to set for it.

    Raises:
        ExecutionError: It does not start, or does not load the model.
    """

    def __init__(self, label: str, module: str, job: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._label = label
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        near, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "graphkit.frameworks.timed", str(far.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env={**os.environ, **environment},
                pass_fds=[far.fileno()],
                start_new_session=True,
            )
        self._channel = Connection(near.detach())
        try:
            self._ask("start", module, job)
            self._load, self._notes = self._ask("load")
        except BaseException:
            self.close()
            raise

    @property
    def load(self) -> float:
        """Seconds that it took to load the model."""
        return float(self._load)

    @property
    def notes(self) -> tuple[str, ...]:
        """What users must know of how the model is executed."""
        return tuple(self._notes)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def call(self, feeds: Arrays, seeds: Arrays | None) -> Answer:
        """Call the model once on new arrays."""
        return Answer(*self._ask("call", dict(feeds), None if seeds is None else dict(seeds)))

    def measure(self, least: float, lead: bool = True) -> Round:
        """Call the model again and again for some time."""
        found: Round = self._ask("measure", least, lead)
        return found

    def settle(self) -> None:
        """Forget the peak of memory so far."""
        self._ask("settle")

    def memory(self) -> Memory:
        """What it used."""
        found: Memory = self._ask("memory")
        return found

    def close(self) -> None:
        """End the process, and those that it started."""
        with contextlib.suppress(OSError):
            self._channel.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._stderr.close()

    def _ask(self, request: str, *arguments: Any) -> Any:
        try:
            self._channel.send((request, arguments))
            if not self._channel.poll(LIMIT):
                raise ExecutionError(
                    f"{self._label} did not answer within {LIMIT:g} seconds when it was to {request} the model."
                )
            ok, answer = self._channel.recv()
        except (EOFError, OSError) as error:
            raise ExecutionError(self._death(request)) from error
        if ok:
            return answer
        told, trace = answer
        failed = ExecutionError(f"{self._label} failed to {request} the model: {told.rstrip('.')}.")
        failed.add_note(trace)
        raise failed

    def _death(self, request: str) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        status = self._process.poll()
        if status is None:
            told = "fell silent"
        elif status == -signal.SIGKILL:
            told = "was killed, most likely for want of memory,"
        elif status < 0:
            told = f"crashed ({signal.Signals(-status).name})"
        else:
            told = f"ended with exit status {status}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        words = " | ".join(line.strip() for line in lines[-4:] if line.strip())[-_WORDS:]
        last = f" Its last words: {words}" if words else ""
        return f"The process of {self._label} {told} when it was to {request} the model.{last}"
