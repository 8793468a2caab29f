"""What a framework's ``timing`` module gives a benchmark: models in processes of their own, ready to be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Arrays

__all__ = ["Answer", "Memory", "Round", "Timed", "Timer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call gave.

    Attributes:
        outputs: Outputs by IR value name.
        gradients: Gradients by IR value name; empty where a call is the forward pass alone.
        seconds: Duration of the call, without what brings arrays there and back. Binding and compiling are part of the
            first one.
    """

    outputs: dict[str, npt.NDArray[np.generic]]
    gradients: dict[str, npt.NDArray[np.generic]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """Calls that were timed one after the other.

    Attributes:
        calls: How many.
        seconds: Mean duration of a call.
        busy: Processors that it kept busy meanwhile: processor time of all of its threads over time by the clock.
        others: Processors that other programs kept busy meanwhile; 0 where the system does not tell.
    """

    calls: int
    seconds: float
    busy: float
    others: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process in bytes, above what it had once the runtime was imported.

    Attributes:
        peak: The most until the end of the first call and since :meth:`Timed.settle`.
        running: The most since then.
    """

    peak: int
    running: int


class Timed(Protocol):
    """A model in a process of its own; a context manager's resource, to be closed.

    Every method raises :class:`~graphkit.errors.ExecutionError` when the process refuses, crashes, hangs or is killed.
    """

    @property
    def load(self) -> float:
        """Seconds that it took to load the model, the runtime being imported."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What users must know of how the model is executed, as sentences."""
        ...

    def call(self, feeds: Arrays, seeds: Arrays | None) -> Answer:
        """Call the model once on new arrays, which later calls are made on, too.

        Args:
            feeds: Inputs, floats in float32.
            seeds: Cotangent of each float output where gradients are timed; None where they are not.
        """
        ...

    def measure(self, least: float, lead: bool = True) -> Round:
        """Call the model again and again for some time, on the arrays of the last :meth:`call`.

        Args:
            least: Seconds to fill with calls; at least one is made.
            lead: Whether a call that does not count is made before them.
        """
        ...

    def settle(self) -> None:
        """Let :attr:`Memory.running` count from now on."""
        ...

    def memory(self) -> Memory:
        """What it used."""
        ...

    def close(self) -> None:
        """End the process."""
        ...


class Timer(Protocol):
    """Something that can be timed: a runtime, set up as users do for speed."""

    @property
    def name(self) -> str:
        """How the command line calls it, e.g. ``"torch-compile"``."""
        ...

    @property
    def label(self) -> str:
        """How people call it, e.g. ``"PyTorch (compiled)"``."""
        ...

    @property
    def variants(self) -> tuple[str, ...]:
        """How it can be set up, the fastest first, in words; the others are for models that it computes wrongly."""
        ...

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and what to do about it."""
        ...

    def version(self) -> str:
        """Version of the runtime, and of what else speed depends on."""
        ...

    def start(self, model: ir.Model, folder: Path, *, threads: int, backward: bool, variant: int = 0) -> Timed:
        """Start a process that has the model; nothing else runs meanwhile.

        Args:
            model: A canonical model in float32. The thing that it was read from is run where it is the framework's own.
            folder: An empty folder, for files that the process reads; it stays until the process has ended.
            threads: Threads that the process may use.
            backward: Whether a call gives the gradients in all float inputs and parameters, too.
            variant: Which of :attr:`variants`.

        Raises:
            UnsupportedError: Nodes that it cannot run, or not differentiate.
            MissingError: It is not installed.
            ExecutionError: It refuses the model, or crashed.
        """
        ...
