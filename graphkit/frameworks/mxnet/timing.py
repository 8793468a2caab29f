"""MXNet timed: the user's own symbol, or the one that a model converts to, in MXNet's own process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from graphkit.errors import MissingError
from graphkit.frameworks.mxnet.answers import as_declared
from graphkit.frameworks.mxnet.form import form_of
from graphkit.frameworks.mxnet.run import RUNTIME, MxRuntime, MxSession
from graphkit.frameworks.timing import Answer, Memory, Round

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from graphkit.frameworks.base import Arrays
    from graphkit.frameworks.mxnet.form import Form
    from graphkit.frameworks.timing import Timed

__all__ = ["TIMERS", "MxTimer"]


@dataclass(frozen=True, slots=True)
class MxTimer:
    """MXNet on the CPU, in its own settings: oneDNN, and fused graphs in the forward pass."""

    name: ClassVar[str] = "mxnet"
    label: ClassVar[str] = "MXNet"
    variants: ClassVar[tuple[str, ...]] = ("", "without graph fusion", "without graph fusion and oneDNN")

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and what to do about it."""
        return RUNTIME.missing()

    def version(self) -> str:
        """Version of MXNet and of the Python that runs it."""
        return RUNTIME.version()

    def start(self, model: ir.Model, folder: Path, *, threads: int, backward: bool, variant: int = 0) -> Timed:  # noqa: ARG002  # the protocol's
        """Start a process that has the model."""
        if (problem := self.missing()) is not None:
            raise MissingError(f"MXNet is not available: {problem}.")
        form = form_of(model, native=True)
        runtime = MxRuntime(fast=variant < 2 or form.quantized, fuses=variant < 1, threads=threads)
        worker = runtime.worker()
        start = time.perf_counter()
        try:
            return _TimedSession(runtime, model, form, backward=backward, start=start)
        except BaseException:
            worker.close()
            raise


class _TimedSession(MxSession):
    """A session in a process that it has to itself, and that ends with it."""

    def __init__(self, runtime: MxRuntime, model: ir.Model, form: Form, *, backward: bool, start: float) -> None:
        super().__init__(runtime, model, form, train=False)
        self._process = self._connected()
        self._load = time.perf_counter() - start
        self._backward = backward

    @property
    def load(self) -> float:
        """Seconds from sending symbol and arrays until MXNet has them."""
        return self._load

    def call(self, feeds: Arrays, seeds: Arrays | None) -> Answer:
        """Bind the symbol to arrays, and call it once."""
        checked, given = self._feeds(feeds)
        variables: list[str] = []
        if self._backward:
            given.update(self._cotangents(seeds or {}))
            variables = [self._variable(value.name or "") for value in self._differentiable()]
        heads = self._form.slopes if self._backward else self._form.heads
        header, found = self._ask("prepare", heads, given, wrt=variables)
        outputs = {v.name or "": as_declared(v, found[str(n)]) for n, v in enumerate(self._outputs())}
        return Answer(outputs, self._gradients(checked, found) if self._backward else {}, header["seconds"])

    def measure(self, least: float, lead: bool = True) -> Round:
        """Call it again and again for some time."""
        header, _ = self._process.request("measure", limit=self._limit, model=self._number, least=least, lead=lead)
        return Round(header["calls"], header["seconds"], header["busy"], header["others"])

    def settle(self) -> None:
        """Count the memory in use from now on."""
        self._process.request("memory", limit=self._limit, forget=True)

    def memory(self) -> Memory:
        """What it used."""
        header, _ = self._process.request("memory", limit=self._limit, forget=False)
        return Memory(header["peak"], header["running"])

    def close(self) -> None:
        """End the process."""
        self._worker = None
        self._process.close()


TIMERS = (MxTimer(),)
