"""The near end of ``main.py``: starts MXNet's process, sends it requests, and ends it."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import ExecutionError, FeedError
from graphkit.frameworks.frames import Frames
from graphkit.frameworks.mxnet.messages import NOISE, gist
from graphkit.processes import LastWords, end_group, ending, has_ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import numpy.typing as npt

__all__ = ["START_LIMIT", "Worker", "close_workers", "worker"]

START_LIMIT: Final = 120.0
"""Seconds that an interpreter may take to start and to import MXNet."""

_SETTINGS: Final = ("MXNET_MKLDNN_ENABLED", "MXNET_USE_MKLDNN_RNN", "MXNET_SUBGRAPH_BACKEND")
"""What the worker sets where it is to be exact."""
_THREADS: Final = ("OMP_NUM_THREADS", "MXNET_OMP_MAX_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What says how many threads an operator may use, to MXNet and to the libraries that it computes with."""
_MAIN = Path(__file__).parent / "main.py"
_PIPE_BYTES = 1 << 20
_FIELDS: Final[dict[str, dict[str, type]]] = {
    "start": {"python": str, "numpy": str, "mxnet": str, "repairs": list, "fast": bool, "blas": str},
    "open": {"model": int},
    "begin": {"trainer": int},
    "prepare": {"seconds": float},
    "measure": {"calls": int, "seconds": float, "busy": float, "others": float},
    "memory": {"running": int, "peak": int},
}
"""What the answer to a command tells besides arrays."""


class _Found(dict[str, "npt.NDArray[np.generic]"]):
    """The arrays of an answer."""

    def __missing__(self, name: str) -> npt.NDArray[np.generic]:
        raise ExecutionError(f"MXNet's process left {name!r} out of its answer; it may have taken harm: run it again.")


class Worker:
    """A running worker process; requests from several threads take turns.

    Args:
        python: The interpreter.
        fast: Whether MXNet keeps its default settings, which are fast and not always right.
        fuses: Whether it fuses graphs where it is fast.
        threads: Threads that one operator may use; None for as many as it takes by itself.
        start_limit: Seconds until it must be ready.

    Attributes:
        info: What it said of itself: ``"python"``, ``"numpy"``, ``"mxnet"`` (versions), ``"repairs"``, the names
            that it had to give back to Python and numpy, and ``"blas"``, the processor that its OpenBLAS computes for.

    Raises:
        ExecutionError: The interpreter cannot be started, has no working MXNet, or answers nonsense.
    """

    def __init__(
        self,
        python: str,
        *,
        fast: bool = False,
        fuses: bool = True,
        threads: int | None = None,
        start_limit: float = START_LIMIT,
    ) -> None:
        self._python = python
        self._turn = threading.RLock()
        self._lost = False
        try:
            self._process = subprocess.Popen(
                [python, "-W", "ignore", str(_MAIN), *(["--fast"] if fast else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(python, fast=fast, fuses=fuses, threads=threads),
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise ExecutionError(
                f"The interpreter that should run MXNet, {python}, cannot be started ({error.strerror}); set "
                f"GRAPHKIT_MXNET_PYTHON to a Python that has MXNet."
            ) from error
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        self._pipes = (stdin, stdout, stderr)
        for pipe in (stdin, stdout):
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._frames = Frames(stdout.fileno(), stdin.fileno(), process=self._process.pid)
        self._words = LastWords(stderr)
        self._number = 0
        with self._exchange("start", start_limit) as deadline:
            self.info, _ = self._answer("start", deadline)

    @property
    def alive(self) -> bool:
        """Whether it can take a request."""
        return not self._lost and not has_ended(self.pid)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def request(
        self,
        command: str,
        arrays: Mapping[str, npt.NDArray[np.generic]] | None = None,
        *,
        limit: float,
        **fields: Any,
    ) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.generic]]]:
        """Send a request and wait for the answer.

        Args:
            command: One of the commands of ``main.py``.
            arrays: Arrays that go with it, by name; they are sent from where they lie, without a copy.
            limit: Seconds until the answer must be complete.
            fields: The command's other arguments.

        Returns:
            The answer's fields and arrays.

        Raises:
            FeedError: MXNet cannot take an array, or lacks one. The worker lives on.
            ExecutionError: MXNet refused the request, and the worker lives on; or it crashed, hung or answered
                nonsense, and was ended.
        """
        with self._turn:
            self._words.forget()
            with self._exchange(command, limit) as deadline:
                self._number += 1
                self._frames.send({"command": command, "number": self._number, **fields}, arrays or {}, deadline)
                header, found = self._answer(command, deadline)
            if not header["ok"]:
                reason = f"MXNet refused to {_doing(command)}: {gist(str(header.get('error')))}."
                error = FeedError(reason) if header.get("kind") == "RefusedError" else ExecutionError(reason)
                error.add_note(str(header.get("trace", "")))
                raise error
            return header, found

    def close(self) -> None:
        """End the process, and those that it started."""
        self._lost = True
        if self._process.returncode is None:
            end_group(self.pid)
            self._process.kill()
            self._process.wait()
        self._words.join(1.0)
        self._frames.close()
        for pipe in self._pipes[:2]:  # the listener closes the third, which a process of the worker's may hold open
            pipe.close()

    def abandon(self) -> None:
        """Let go of a process that belongs to the parent of this one, after a fork."""
        self._lost = True
        self._process.returncode = 0  # the process is not this one's child, so nobody here may wait for it
        self._frames.close()
        for pipe in self._pipes:
            pipe.close()

    @contextlib.contextmanager
    def _exchange(self, command: str, limit: float) -> Iterator[float]:
        """End the worker when an exchange fails half-way, since its next frame would be taken for this one's answer."""
        try:
            yield time.monotonic() + limit
        except TimeoutError as error:
            self.close()
            raise ExecutionError(
                f"MXNet did not {_doing(command)} within {limit:g} seconds and was ended; GRAPHKIT_MXNET_TIMEOUT sets "
                f"another limit.{self._words.told(NOISE)}"
            ) from error
        except (EOFError, BrokenPipeError) as error:
            silent = not self._ends()
            self.close()
            status = None if silent else self._process.returncode
            raise ExecutionError(
                f"MXNet's process ({self._python}) {ending(status)} when it was to {_doing(command)}."
                f"{self._words.told(NOISE)}"
            ) from error
        except (ValueError, MemoryError) as error:
            self.close()
            raise ExecutionError(
                f"{self._python} gave an answer that is none when MXNet was to {_doing(command)} ({error}); "
                f"GRAPHKIT_MXNET_PYTHON must be a Python that has MXNet.{self._words.told(NOISE)}"
            ) from error
        except BaseException:
            self.close()
            raise

    def _answer(self, command: str, deadline: float) -> tuple[dict[str, Any], _Found]:
        """The answer to the last request, checked for what every caller reads of it."""
        header, found = self._frames.receive(deadline)
        if header.pop("number", None) != self._number:
            raise ValueError("it answers another request")
        ok = header.get("ok")
        if not isinstance(ok, bool):
            raise ValueError("it does not tell whether it could")
        for name, kind in _FIELDS.get(command, {}).items() if ok or command == "start" else ():
            if type(value := header.get(name)) not in ((int, float) if kind is float else (kind,)):
                raise ValueError(f"its {name} is {str(value)[:80]!r}")
        return header, _Found(found)

    def _ends(self) -> bool:
        """Whether the process ends within a second, or has."""
        end = time.monotonic() + 1.0
        while not (ended := has_ended(self.pid)) and time.monotonic() < end:
            time.sleep(0.01)
        return ended


_POOL: dict[tuple[str, bool, bool, int | None], Worker] = {}
_POOL_TURN = threading.Lock()


def worker(python: str, *, fast: bool = False, fuses: bool = True, threads: int | None = None) -> Worker:
    """The worker of an interpreter: the one that runs already, or a new one after a crash.

    Raises:
        ExecutionError: It cannot be started.
    """
    with _POOL_TURN:
        key = (python, fast, fuses, threads)
        found = _POOL.get(key)
        if found is not None and not found.alive:
            found.close()
            found = None
        if found is None:
            found = _POOL[key] = Worker(python, fast=fast, fuses=fuses, threads=threads)
        return found


@atexit.register
def close_workers() -> None:
    """End all workers that run."""
    while _POOL:
        _POOL.popitem()[1].close()


def _forget_workers() -> None:
    """In a forked child: the workers answer the parent; holding their pipes would keep them alive after it."""
    global _POOL_TURN
    _POOL_TURN = threading.Lock()
    while _POOL:
        _POOL.popitem()[1].abandon()


os.register_at_fork(after_in_child=_forget_workers)


def _environment(python: str, *, fast: bool, fuses: bool, threads: int | None) -> dict[str, str]:
    """This process's environment, for a worker.

    It lacks the Python paths of this interpreter where another one is started, and settings of MXNet that are not its
    defaults where these are asked for.
    """
    dropped = {*(("PYTHONPATH", "PYTHONHOME") if python != sys.executable else ()), *(_SETTINGS if fast else ())}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    kept |= {} if fuses else {"MXNET_SUBGRAPH_BACKEND": "NONE"}
    return kept if threads is None else kept | dict.fromkeys(_THREADS, str(threads))


def _doing(command: str) -> str:
    return {
        "start": "start",
        "open": "load the symbol",
        "forward": "run the symbol forward",
        "backward": "run the symbol backward",
        "begin": "train the symbol",
        "step": "train the symbol",
        "prepare": "run the symbol",
        "measure": "time the symbol",
        "memory": "tell its memory",
    }.get(command, command)
