"""The far end of ``process.py``: ``python -m graphkit.frameworks.timed`` has a model, calls it and times it.

It is told what to do by frames (:mod:`graphkit.frameworks.frames`) on the socket whose descriptor its argument names,
and ends when that is closed. What the model prints goes to stderr.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Final, Protocol

from graphkit.frameworks.frames import Frames, packed, unpacked
from graphkit.frameworks.measuring import forget_peak, measured, peak, resident, rest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from graphkit.frameworks.base import Arrays

__all__ = ["Program", "Server"]

_REQUEST: Final = 1 << 30
"""Bytes that the header of a request may have: it comes from graphkit itself."""


class Program(Protocol):
    """A model that was loaded, as the ``timing`` module of a framework makes it of a job."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What users must know of how the model is executed, as sentences."""
        ...

    def feed(self, feeds: Arrays, seeds: Arrays | None) -> None:
        """Take arrays that calls are made on from now on, in the runtime's own form."""
        ...

    def call(self) -> None:
        """Compute, and return when it is done."""
        ...

    def results(self) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, npt.NDArray[np.generic]]]:
        """What the last call gave: outputs, and gradients, by the names that the job gives them."""
        ...


class Server:
    """What can be asked of the process; each method is a request.

    Args:
        module: Name of the module that has ``imports(job)`` and ``prepare(job)``.
        job: What it is told.
    """

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self._module: Any = importlib.import_module(module)
        self._module.imports(job)
        self._job = job
        self._program: Program | None = None
        self._base = resident()
        self._top: int | None = None
        forget_peak()

    def load(self) -> tuple[float, tuple[str, ...]]:
        """Load the model; the seconds that took, and what users must know of how it is executed."""
        start = time.perf_counter()
        program: Program = self._module.prepare(self._job)
        seconds = time.perf_counter() - start
        self._program = program
        return seconds, program.notes

    def call(self, feeds: Arrays, seeds: Arrays | None) -> tuple[Any, Any, float]:
        """Take arrays and call the model once; outputs, gradients and the seconds of the call."""
        assert self._program is not None
        self._program.feed(feeds, seeds)
        start = time.perf_counter()
        self._program.call()
        seconds = time.perf_counter() - start
        if self._top is None:
            self._top = peak() - self._base
        outputs, gradients = self._program.results()
        rest()
        return outputs, gradients, seconds

    def measure(self, least: float, lead: bool) -> tuple[int, float, float, float]:
        """Call the model for some time; what :class:`graphkit.frameworks.timing.Round` holds."""
        assert self._program is not None
        found = measured(self._program.call, least, lead)
        return found.calls, found.seconds, found.busy, found.others

    def settle(self) -> None:
        """Count the memory in use from now on."""
        forget_peak()

    def memory(self) -> tuple[int, int]:
        """Bytes that were used until the first call was over, and since :meth:`settle`."""
        running = max(peak() - self._base, 0)
        return max(self._top or 0, running), running


def _end_with_parent(channel: int) -> None:
    """End the process, and what it started, as soon as its parent has ended, even in the middle of a computation."""
    parent = os.getppid()
    poller = select.poll()
    poller.register(channel, 0)
    while os.getppid() == parent and not poller.poll(1000):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _main(descriptor: int) -> None:
    threading.Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
    os.dup2(2, 1)
    frames = Frames(descriptor, descriptor, header=_REQUEST)
    server: Server | None = None
    while True:
        try:
            header, given = frames.receive()
        except EOFError:
            return
        request, arguments = header["request"], unpacked(header["arguments"], given)
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        try:
            if server is None:
                server, answer = Server(*arguments), None
            else:
                answer = getattr(server, request)(*arguments)
            told = {"ok": True, "answer": packed(answer, arrays)}
        except Exception as error:
            arrays.clear()
            why = " ".join(str(error).split()) or type(error).__name__
            told = {"ok": False, "error": why, "trace": traceback.format_exc()}
        frames.send({**told, "number": header["number"]}, arrays)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
