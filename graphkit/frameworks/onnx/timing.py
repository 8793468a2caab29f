"""ONNX Runtime timed: the user's own file, or the one written for a converted model, and graphs of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import ExecutionError, MissingError
from graphkit.frameworks.base import Execution, WriteOptions
from graphkit.frameworks.onnx.binding import Binding
from graphkit.frameworks.onnx.providers import CPU, inference_session, placement, session_options
from graphkit.frameworks.onnx.run import OLDER
from graphkit.frameworks.onnx.signature import has_halves, of_model, of_session
from graphkit.frameworks.process import TimedProcess, thread_settings
from graphkit.ir.origin import source_of
from graphkit.ir.training import cotangents_of, gradients_of
from graphkit.passes.gradient.model import gradient_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Arrays
    from graphkit.frameworks.onnx.run import OrtRuntime
    from graphkit.frameworks.onnx.signature import Signature
    from graphkit.frameworks.timing import Timed

    Found = dict[str, npt.NDArray[np.generic]]

__all__ = ["OrtTimer", "imports", "prepare"]

_FILE: Final = "model.onnx"


@dataclass(frozen=True, slots=True)
class OrtTimer:
    """ONNX Runtime with one execution provider, all its optimisations on.

    Attributes:
        runtime: The runtime.
        variants: How it can be set up.
    """

    runtime: OrtRuntime
    variants: tuple[str, ...] = ("", "without MatMulScaleFusion and Pad_Fusion")

    @property
    def name(self) -> str:
        """How the command line calls it."""
        return self.runtime.name

    @property
    def label(self) -> str:
        """How people call it."""
        return self.runtime.label

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and what to do about it."""
        return self.runtime.missing()

    def version(self) -> str:
        """Version of ONNX Runtime, and its provider."""
        return self.runtime.version()

    def start(self, model: ir.Model, folder: Path, *, threads: int, backward: bool, variant: int = 0) -> Timed:
        """Start a process that has the model."""
        if (problem := self.missing()) is not None:
            raise MissingError(f"{self.label} is not available: {problem}.")
        graph = gradient_model(model) if backward else model
        source = source_of(model)
        own = source is not None and source.framework == "onnx" and not source.recast and not backward
        job: dict[str, Any] = {
            "provider": self.runtime.provider,
            "device": self.runtime.device,
            "threads": threads,
            "exact": variant > 0,
            "halves": has_halves(model),
            "path": str(folder / _FILE),
            "native": str(source.handle) if source is not None and own else "",
            "inputs": {v.name: int(v.dtype or 0) for v in graph.graph.inputs if not v.is_initializer()},
            "signature": _listed(of_model(graph)),
            "outputs": [value.name or "" for value in model.graph.outputs],
            "gradients": gradients_of(graph) if backward else {},
            "cotangents": cotangents_of(graph) if backward else {},
        }
        try:
            return self._started(graph, folder, job, None)
        except ExecutionError as error:
            if "implementation" not in str(error):
                raise
            return self._started(graph, folder, job, OLDER)

    def _started(self, model: ir.Model, folder: Path, job: Mapping[str, Any], opset: int | None) -> Timed:
        from graphkit.frameworks.onnx.write import write
        from graphkit.passes.qdq import as_qdq

        write(as_qdq(model), folder / _FILE, WriteOptions(opset=opset, warn=lambda _message: None))
        return TimedProcess(self.label, __name__, job, thread_settings(job["threads"]))


def imports(_job: Mapping[str, Any]) -> None:
    """Import ONNX Runtime, in the process that is timed."""
    import onnxruntime  # noqa: F401  # here, so that it counts as no part of loading


def prepare(job: Mapping[str, Any]) -> _Program:
    """Open a session, in the process that is timed."""
    return _Program(job)


class _Program:
    """:class:`graphkit.frameworks.timed.Program` of an inference session."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._job = job
        self._session = self._opened()
        if job["provider"] not in self._session.get_providers():
            raise ExecutionError(
                f"ONNX Runtime fell back from {job['provider']} to {', '.join(self._session.get_providers())}"
            )
        self._names = [*job["outputs"], *job["gradients"].values()]
        # A binding holds tensors only.
        binds = all(value.type.startswith("tensor(") for value in self._session.get_outputs())
        self._binding = Binding(self._session, self._names, job["device"]) if binds else None
        self._feeds: dict[str, Any] = {}
        self._results: list[Any] = []

    def feed(self, feeds: Arrays, seeds: Arrays | None) -> None:
        """Make values of arrays, on the device."""
        given = {**feeds, **{self._job["cotangents"][name]: seed for name, seed in (seeds or {}).items()}}
        if self._binding is None:
            self._feeds = given
        else:
            self._binding.feed(given, self._job["inputs"])

    def call(self) -> None:
        """Run the session; outputs stay on the device."""
        if self._binding is None:
            self._results = self._session.run(self._names, self._feeds)
            return
        self._binding.run()

    def results(self) -> tuple[Found, Found]:
        """The outputs as arrays."""
        found = self._results if self._binding is None else self._binding.outputs()
        named = dict(zip(self._names, found, strict=True))
        gradients = {name: named[output] for name, output in self._job["gradients"].items()}
        return {name: named[name] for name in self._job["outputs"]}, gradients

    @property
    def notes(self) -> tuple[str, ...]:
        """Which nodes run elsewhere than on the provider asked for."""
        if self._job["provider"] == CPU:
            return ()
        place = placement(self._session, self._job["provider"])
        return () if place is None or not place.elsewhere else (str(place),)

    def _opened(self) -> Any:
        execution = Execution(threads=self._job["threads"], fast=True)
        options = session_options(execution, backward=bool(self._job["gradients"]))
        for path in (self._job["native"], self._job["path"]):
            if not path:
                continue
            how = {name: self._job[name] for name in ("exact", "halves")}
            session = inference_session(path, options, self._job["provider"], {}, **how)
            if path == self._job["path"] or _listed(of_session(session)) == self._job["signature"]:
                return session
        raise AssertionError("a path is always given")


def _listed(signature: Signature) -> dict[str, list[object]]:
    """A signature as it passes between processes."""
    return {name: list(entry) for name, entry in signature.items()}
