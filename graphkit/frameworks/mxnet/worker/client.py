"""The near end of ``main.py``: starts MXNet's process, sends it requests, and ends it."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np

from graphkit.errors import ExecutionError, FeedError
from graphkit.frameworks.mxnet.messages import NOISE, gist

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

__all__ = ["START_LIMIT", "Worker", "close_workers", "worker"]

START_LIMIT: Final = 120.0
"""Seconds that an interpreter may take to start and to import MXNet."""

_SETTINGS: Final = ("MXNET_MKLDNN_ENABLED", "MXNET_USE_MKLDNN_RNN", "MXNET_SUBGRAPH_BACKEND")
"""What the worker sets where it is to be exact."""
_THREADS: Final = ("OMP_NUM_THREADS", "MXNET_OMP_MAX_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What says how many threads an operator may use, to MXNet and to the libraries that it computes with."""
_MAIN = Path(__file__).parent / "main.py"
_MAGIC = b"GKMX"
_HEADER_LIMIT = 1 << 28
_PIPE_BYTES = 1 << 20


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
        self._stderr: deque[str] = deque(maxlen=40)
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
        self._in, self._out = stdin.fileno(), stdout.fileno()
        for descriptor in (self._in, self._out):
            os.set_blocking(descriptor, False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        with self._exchange("start", start_limit) as deadline:
            self.info, _ = self._receive(deadline)

    @property
    def alive(self) -> bool:
        """Whether it can take a request."""
        return not self._lost and self._process.poll() is None

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
            self._stderr.clear()
            with self._exchange(command, limit) as deadline:
                self._send({"command": command, **fields}, arrays or {}, deadline)
                header, found = self._receive(deadline)
            if not header.get("ok"):
                reason = f"MXNet refused to {_doing(command)}: {gist(str(header.get('error')))}."
                error = FeedError(reason) if header.get("kind") == "RefusedError" else ExecutionError(reason)
                error.add_note(str(header.get("trace", "")))
                raise error
            return header, found

    def close(self) -> None:
        """End the process."""
        self._lost = True
        self._process.kill()
        self._process.wait()
        self._listener.join(1.0)
        for pipe in self._pipes[:2]:  # the listener closes the third, which a process of the worker's may hold open
            pipe.close()

    def abandon(self) -> None:
        """Let go of a process that belongs to the parent of this one, after a fork."""
        self._lost = True
        self._process.returncode = 0  # the process is not this one's child, so nobody here may wait for it
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
                f"another limit.{self._last_words()}"
            ) from error
        except (EOFError, BrokenPipeError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            status = self._process.poll()
            self.close()
            raise ExecutionError(
                f"MXNet's process ({self._python}) {_ending(status)} when it was to {_doing(command)}."
                f"{self._last_words()}"
            ) from error
        except (ValueError, TypeError, KeyError, struct.error, MemoryError) as error:
            self.close()
            raise ExecutionError(
                f"{self._python} gave an answer that is none when MXNet was to {_doing(command)} ({error}); "
                f"GRAPHKIT_MXNET_PYTHON must be a Python that has MXNet.{self._last_words()}"
            ) from error
        except BaseException:
            self.close()
            raise

    def _send(self, header: dict[str, Any], arrays: Mapping[str, npt.NDArray[np.generic]], deadline: float) -> None:
        kept = {name: _contiguous(array) for name, array in arrays.items()}
        header["arrays"] = [[name, array.dtype.name, array.shape] for name, array in kept.items()]
        text = json.dumps(header).encode()
        self._write(memoryview(struct.pack("<4sI", _MAGIC, len(text)) + text), deadline)
        for array in kept.values():
            self._write(_bytes_of(array), deadline)

    def _receive(self, deadline: float) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.generic]]]:
        prefix = bytearray(8)
        self._read(memoryview(prefix), deadline)
        magic, length = struct.unpack("<4sI", prefix)
        if magic != _MAGIC or length > _HEADER_LIMIT:
            raise ValueError(f"it starts with {bytes(prefix)!r}")
        text = bytearray(length)
        self._read(memoryview(text), deadline)
        header = json.loads(text)
        found: dict[str, npt.NDArray[np.generic]] = {}
        for name, dtype, shape in header.pop("arrays"):
            array: npt.NDArray[np.generic] = np.empty(shape, getattr(ml_dtypes, dtype, dtype))
            self._read(_bytes_of(array), deadline)
            found[name] = array
        return header, found

    def _write(self, view: memoryview, deadline: float) -> None:
        while view:
            _wait(self._in, select.POLLOUT, deadline)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._in, view) :]

    def _read(self, view: memoryview, deadline: float) -> None:
        while view:
            _wait(self._out, select.POLLIN, deadline)
            with contextlib.suppress(BlockingIOError):
                count = os.readv(self._out, [view])
                if not count:
                    raise EOFError("it ended")
                view = view[count:]

    def _listen(self) -> None:
        with self._pipes[2] as stderr:
            for line in stderr:
                self._stderr.append(line.decode(errors="replace").rstrip())

    def _last_words(self) -> str:
        lines = [line.strip() for line in list(self._stderr)]
        lines = [line for line in lines if line and not line.startswith(NOISE)][-4:]
        return f" Its last words: {' | '.join(lines)[-600:]}" if lines else ""


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


def _contiguous(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return np.ascontiguousarray(native).reshape(array.shape)


def _bytes_of(array: npt.NDArray[np.generic]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poller = select.poll()
    poller.register(descriptor, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poller.poll(left * 1000):
        raise TimeoutError


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


def _ending(status: int | None) -> str:
    if status is None:
        return "fell silent"
    if status >= 0:
        return f"ended with exit status {status}"
    with contextlib.suppress(ValueError):
        return f"crashed ({signal.Signals(-status).name})"
    return f"was ended by signal {-status}"
