"""Checking contestants before they are timed: the very processes that will be timed, against a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import onnx_ir as ir

from graphkit.errors import ExecutionError, GraphkitError, InputError, MissingError
from graphkit.frameworks.base import EXECUTION, frameworks, runtimes
from graphkit.ir.origin import source_of
from graphkit.ir.training import losses
from graphkit.parity.inputs import draw_inputs, draw_seeds
from graphkit.parity.lineup import DEFAULT
from graphkit.parity.verify import verify
from graphkit.passes.gradient.model import trained_values
from graphkit.report import wording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from graphkit.frameworks.base import Ability, Arrays, Execution, InputSpec, Mode, Runtime, Session, Setting
    from graphkit.frameworks.timing import Timed
    from graphkit.report.report import Check

__all__ = ["Task", "check", "task"]


@dataclass(frozen=True, slots=True)
class Task:
    """What every contestant is given at one batch size.

    Attributes:
        model: The model in float32.
        inputs: Given shapes.
        size: Batch size that is asked for; None for that of the model or of ``inputs``.
        batch: Samples in a call.
        feeds: Inputs.
        seeds: Cotangent of each float output where gradients are timed; None where they are not.
        reference: What contestants are checked against.
    """

    model: ir.Model
    inputs: tuple[InputSpec, ...]
    size: int | None
    batch: int
    feeds: Arrays
    seeds: Arrays | None
    reference: Runtime


def task(model: ir.Model, size: int | None, inputs: Sequence[InputSpec], *, backward: bool) -> Task:
    """Draw what every contestant is given, and find what they are checked against.

    The reference is the first runtime of the framework that the model comes from, which runs the source itself, in the
    settings of parity; where it cannot run here, the first that can.

    Args:
        model: The model in float32.
        size: Batch size; None for that of the model.
        inputs: Given shapes.
        backward: Whether gradients are timed.

    Raises:
        InputError: A shape or the batch size does not fit the model, or there are no gradients.
        ExecutionError: No runtime here runs the model.
    """
    feeds = draw_inputs(model, 0, size, inputs)
    floats = [v for v in model.graph.outputs if v.dtype is None or v.dtype.is_floating_point()]
    if backward and not (floats and trained_values(model)):
        lacking = "float input and no parameter" if floats else "float output"
        raise InputError(f"There are no gradients to time: the model has no {lacking}. Leave --backward out.")
    problems = []
    for runtime in _references(model):
        if (problem := runtime.missing()) is not None:
            problems.append(f"{runtime.label}: {problem}")
            continue
        try:
            with runtime.open(model) as session:
                outputs = session.forward(feeds)
                seeds = None
                if backward:
                    own = {name: np.ones((), np.float32) for name in losses(model)}  # as training has it
                    seeds = draw_seeds(outputs, 0) | own
                    session.backward(feeds, seeds)
        except InputError:
            raise
        except GraphkitError as error:
            problems.append(f"{runtime.label}: {error}")
            continue
        return Task(model, tuple(inputs), size, _samples(feeds, size), feeds, seeds, runtime)
    raise ExecutionError(
        f"No runtime here {'differentiates' if backward else 'runs'} the model, so that contestants cannot be checked: "
        f"{'; '.join(problem.rstrip('.') for problem in problems)}."
    )


def _references(model: ir.Model) -> list[Runtime]:
    source = source_of(model)
    known = runtimes()
    home = frameworks()["onnx" if source is None else source.framework].runtimes[0]
    return list(dict.fromkeys([home, *(known[name] for name in (*DEFAULT, "reference") if name in known)]))


def _samples(feeds: Arrays, size: int | None) -> int:
    """Samples in a call: the batch size, or what the first input that has axes has along its first one."""
    if size is not None:
        return size
    return next((array.shape[0] for array in feeds.values() if array.ndim), 1)


def check(given: Task, contestants: Mapping[str, Timed]) -> tuple[dict[str, str], dict[str, str]]:
    """Compare what contestants compute with the reference, as :func:`graphkit.parity.verify.verify` does.

    Args:
        given: What they are given.
        contestants: Their processes, by name.

    Returns:
        What is wrong with each that computes something else, and why others failed.

    Raises:
        InputError: There is nothing that can be compared, as all outputs depend on random numbers.
    """
    sides = [_Contestant(name, timed, given) for name, timed in contestants.items()]
    report = verify(
        given.model,
        on=[_Reference(given.reference), *sides],
        backward=given.seeds is not None,
        batches=() if given.size is None else (given.size,),
        inputs=given.inputs,
    )
    wrong: dict[str, str] = {}
    crashed: dict[str, str] = {}
    for side in sides:
        checks = [found for found in report.checks if found.right == side.name]
        failed = wording.worst_first(found for found in checks if found.verdict == "fail")
        if side.problem:
            crashed[side.contestant] = side.problem
        elif failed:
            wrong[side.contestant] = _told(failed)
        elif not any(found.verdict == "pass" for found in checks):
            notes = "; ".join(dict.fromkeys(found.note for found in checks if found.note))
            wrong[side.contestant] = f"nothing of it could be compared{f' ({notes})' if notes else ''}"
    return wrong, crashed


def _told(failed: Sequence[Check]) -> str:
    worst = failed[0]
    more = f", and so are {len(failed) - 1} other tensors" if len(failed) > 1 else ""
    if not worst.dtype:
        return f"{wording.title(worst)}: {worst.note or 'not compared'}"
    return (
        f"{wording.title(worst)} is off by {wording.number(worst.error)} of its largest magnitude, where "
        f"{wording.number(worst.tol)} is allowed{more}"
    )


@dataclass(frozen=True, slots=True)
class _Reference:
    """A runtime that runs sources as they are, and is compared in that form alone."""

    runtime: Runtime
    native: ClassVar[str] = ""

    @property
    def name(self) -> str:
        return f"{self.runtime.name} (reference)"

    @property
    def label(self) -> str:
        return self.runtime.label

    @property
    def can(self) -> frozenset[Ability]:
        return self.runtime.can

    @property
    def follows(self) -> frozenset[Setting]:
        return self.runtime.follows

    def missing(self) -> str | None:
        return self.runtime.missing()

    def version(self) -> str:
        return self.runtime.version()

    def open(
        self, model: ir.Model, *, mode: Mode = "eval", native: bool = True, execution: Execution = EXECUTION
    ) -> Session:
        del native
        return self.runtime.open(model, mode=mode, execution=execution)


class _Contestant:
    """A process that will be timed, as a runtime and its one session, so that it can be compared."""

    can: ClassVar[frozenset[Ability]] = frozenset({"forward", "backward"})
    native: ClassVar[str] = ""
    follows: ClassVar[frozenset[Setting]] = frozenset()
    tappable: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str, timed: Timed, given: Task) -> None:
        self.contestant = name
        self.name = self.label = f"{name} (timed)"  # it is not the runtime of that name
        self.problem = ""
        self._timed, self._given = timed, given

    @property
    def notes(self) -> tuple[str, ...]:
        return self._timed.notes

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return self.label

    def open(
        self, model: ir.Model, *, mode: Mode = "eval", native: bool = True, execution: Execution = EXECUTION
    ) -> Self:
        del mode, native, execution
        doubles = [value.name for value in model.graph.outputs if value.dtype == ir.DataType.DOUBLE]
        doubles += [value.name for value in trained_values(model) if value.dtype == ir.DataType.DOUBLE]
        if doubles:
            raise MissingError(f"{self.label} computes in float32; give a model of float32.")
        return self

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        del taps
        return self._called(feeds, self._given.seeds)[0]

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        del taps
        return self._called(feeds, seeds)[1]

    def close(self) -> None:
        """Leave the process to its owner."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def _called(
        self, feeds: Arrays, seeds: Arrays | None
    ) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, npt.NDArray[np.generic]]]:
        """What the process gives; nothing once it failed, so that the others are compared all the same."""
        if self.problem:
            return {}, {}
        try:
            answer = self._timed.call(feeds, seeds)
        except GraphkitError as error:
            self.problem = str(error)
            return {}, {}
        return answer.outputs, answer.gradients
