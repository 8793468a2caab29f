"""Starts a process that has a model, asks it to call and to time it, and ends it; ``timed.py`` is its far end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.errors import ExecutionError
from graphkit.frameworks.frames import Frames, packed, unpacked
from graphkit.frameworks.timing import Answer, Memory, Round
from graphkit.processes import LastWords, end_group, ending, has_ended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphkit.frameworks.base import Arrays

__all__ = ["LIMIT", "TimedProcess", "thread_settings"]

LIMIT: Final = 1800.0
"""Seconds that one request may take; compiling a large model takes minutes."""
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
        near, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "graphkit.frameworks.timed", str(far.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, **environment},
                pass_fds=[far.fileno()],
                start_new_session=True,
            )
        assert self._process.stderr is not None
        self._words = LastWords(self._process.stderr)
        self._near, self._number = near, 0
        self._frames = Frames(near.fileno(), near.fileno(), process=self._process.pid)
        try:
            self._ask("start", module, job)
            match self._ask("load"):
                case [float(load), list(notes)] if all(isinstance(note, str) for note in notes):
                    self._load, self._notes = load, tuple(notes)
                case other:
                    raise self._nonsense("load", other)
        except BaseException:
            self.close()
            raise

    @property
    def load(self) -> float:
        """Seconds that it took to load the model."""
        return self._load

    @property
    def notes(self) -> tuple[str, ...]:
        """What users must know of how the model is executed."""
        return self._notes

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def call(self, feeds: Arrays, seeds: Arrays | None) -> Answer:
        """Call the model once on new arrays."""
        match self._ask("call", dict(feeds), None if seeds is None else dict(seeds)):
            case [dict(outputs), dict(gradients), float(seconds)] if all(
                isinstance(gradient, np.ndarray) for gradient in gradients.values()
            ):
                return Answer(outputs, gradients, seconds)
            case other:
                raise self._nonsense("call", other)

    def measure(self, least: float, lead: bool = True) -> Round:
        """Call the model again and again for some time."""
        match self._ask("measure", least, lead):
            case [int(calls), float(seconds), float(busy), float(others)] if calls > 0 and seconds >= 0:
                return Round(calls, seconds, busy, others)
            case other:
                raise self._nonsense("measure", other)

    def settle(self) -> None:
        """Forget the peak of memory so far."""
        self._ask("settle")

    def memory(self) -> Memory:
        """What it used."""
        match self._ask("memory"):
            case [int(most), int(running)]:
                return Memory(most, running)
            case other:
                raise self._nonsense("measure", other)

    def close(self) -> None:
        """End the process, and those that it started."""
        with contextlib.suppress(OSError):
            self._near.close()
        if self._process.returncode is None:
            end_group(self._process.pid)
            self._process.kill()
            self._process.wait()
        self._words.join(1.0)
        self._frames.close()

    def _ask(self, request: str, *arguments: Any) -> Any:
        deadline = time.monotonic() + LIMIT
        self._number += 1
        arrays: dict[str, Any] = {}
        header = {"request": request, "number": self._number, "arguments": packed(arguments, arrays)}
        try:
            self._frames.send(header, arrays, deadline)
            header, found = self._frames.receive(deadline)
            if header.get("number") != self._number or not isinstance(header.get("ok"), bool):
                raise ValueError("it answers another request")
            answer = unpacked(header.get("answer"), found)
        except TimeoutError as error:
            self.close()
            raise ExecutionError(
                f"{self._label} did not answer within {LIMIT:g} seconds when it was to {request} the model."
            ) from error
        except (EOFError, OSError) as error:
            raise ExecutionError(self._death(request)) from error
        except (ValueError, MemoryError, RecursionError) as error:
            raise self._nonsense(request, error) from error
        if header["ok"]:
            return answer
        told = str(header.get("error")).rstrip(".")
        failed = ExecutionError(f"{self._label} failed to {request} the model: {told}.")
        failed.add_note(str(header.get("trace")))
        raise failed

    def _nonsense(self, request: str, found: object) -> ExecutionError:
        self.close()
        return ExecutionError(
            f"The process of {self._label} gave an answer that is none when it was to {request} the model "
            f"({' '.join(str(found).split())[:200]}); the model may have done harm to it.{self._words.told()}"
        )

    def _death(self, request: str) -> str:
        end = time.monotonic() + 5.0
        while not (ended := has_ended(self._process.pid)) and time.monotonic() < end:
            time.sleep(0.01)
        self.close()
        told = ending(self._process.returncode if ended else None)
        return f"The process of {self._label} {told} when it was to {request} the model.{self._words.told()}"
