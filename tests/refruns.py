"""What the frameworks themselves compute with a model, each in a process that may die of it."""

from __future__ import annotations

import atexit
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Final
from unittest import mock

import numpy as np

from graphkit.errors import GraphkitError
from graphkit.frameworks.mxnet import form, symbol
from graphkit.frameworks.mxnet.run import RUNTIME, MxRuntime, interpreter
from graphkit.frameworks.mxnet.worker.client import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphkit.ops.mxgraph import MxModel

    Arrays = Mapping[str, np.ndarray]

__all__ = ["mxnet_always_agrees", "of_mxnet", "of_onnx_runtime"]

_LIMIT: Final = 20.0
_FILLED: Final = ("90", "195")
"""Bytes that memory holds before MXNet writes to it, see mallopt(3) on ``MALLOC_PERTURB_``."""
_pool: ProcessPoolExecutor | None = None
_workers: dict[tuple[str, bool], Worker] = {}


def of_onnx_runtime(model: bytes, feeds: Arrays) -> list[np.ndarray] | None:
    """What ONNX Runtime computes with a model as it is, not optimised; None where it refuses it or dies of it."""
    global _pool
    if _pool is None:
        _pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        _pool.submit(os.getpid).result()  # a process that does not even start is no refusal
    try:
        return _pool.submit(_run, model, dict(feeds)).result()
    except BrokenProcessPool:
        _pool = None
        return None


def _run(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray] | None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found: list[np.ndarray] = session.run(None, feeds)
    except Exception:
        return None
    return found


def of_mxnet(mx: MxModel, feeds: Arrays) -> list[np.ndarray] | None:
    """What MXNet computes with a symbol; None where it refuses it or dies of it."""
    return _asked(_runtime(mx).worker(), mx, feeds, seed=0)


def mxnet_always_agrees(mx: MxModel, feeds: Arrays, found: list[np.ndarray]) -> bool:
    """Whether MXNet computes the same whatever its memory held before and whichever random numbers it draws.

    Where it does not, it reads what it has not written, or what lies beyond its arrays, or gives random numbers: it has
    no answer of its own to compare with.
    """
    for seed, fill in enumerate(_FILLED * 4, 1):
        again = _asked(_filled(fill, fast=_runtime(mx).fast), mx, feeds, seed=seed)
        if again is None or not all(map(_alike, again, found)):
            return False
    return True


def _alike(left: np.ndarray, right: np.ndarray) -> bool:
    if left.dtype.kind != "f":
        return np.array_equal(left, right)
    return np.allclose(left, right, rtol=1e-6, atol=1e-12, equal_nan=True)


def _runtime(mx: MxModel) -> MxRuntime:
    """MXNet in the settings in which graphkit runs a symbol: fast where it is one of integers, which needs oneDNN."""
    onednn = any(node.op.startswith(form._ONEDNN) for node in mx.graph.nodes)
    return MxRuntime(fast=onednn, fuses=False) if onednn else RUNTIME


def _filled(fill: str, *, fast: bool) -> Worker:
    key = fill, fast
    if key not in _workers or not _workers[key].alive:
        with mock.patch.dict(os.environ, {"MALLOC_PERTURB_": fill}):
            _workers[key] = Worker(interpreter(), fast=fast, fuses=not fast)
    return _workers[key]


def _asked(worker: Worker, mx: MxModel, feeds: Arrays, seed: int) -> list[np.ndarray] | None:
    text, arrays = symbol.dumps(mx.graph), {**mx.args, **mx.aux}
    try:
        header, _ = worker.request("open", arrays, limit=_LIMIT, symbol=text, written=[], np_shape=mx.graph.np_shape)
        _, found = worker.request(
            "forward", feeds, limit=_LIMIT, model=header["model"], symbol=text, fill=[], train=False, seed=seed
        )
        worker.request("close", limit=_LIMIT, model=header["model"])
    except GraphkitError:
        return None
    return [found[str(number)] for number in range(len(mx.graph.heads))]


@atexit.register
def _stop() -> None:
    if _pool is not None:
        _pool.shutdown(cancel_futures=True)
    while _workers:
        _workers.popitem()[1].close()
