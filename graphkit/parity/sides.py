"""The sides of a comparison: which runtime runs the model, in which form and in which precision."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, TypeVar, cast

import numpy as np

from graphkit.errors import ExecutionError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.parity.floor import DOUBLE, noise_floor, residues
from graphkit.parity.inputs import in_dtype
from graphkit.parity.precision import HALVES, as_declared, float_types
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Batch, Mode, Rule, Runtime, Session, Step, TrainableSession

    Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["Pool", "Precision", "Side"]

Precision: TypeAlias = Literal["float32", "float64", "own"]
"""What a model computes in: all its floats in one type, or each tensor in its own."""
S = TypeVar("S")
T = TypeVar("T")


class Pool:
    """A model on any runtime in any precision, each opened once when it is first asked for; a context manager."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._models: dict[Precision, ir.Model] = {}
        self._sessions: dict[tuple[str, bool, Precision, Mode], Session] = {}
        self._stack = ExitStack()

    def model(self, dtype: Precision) -> ir.Model:
        """The model with its floats in ``dtype``."""
        if dtype == "own":
            return self._model
        if dtype not in self._models:
            self._models[dtype] = cast_floats(self._model, dtype)
        return self._models[dtype]

    @cached_property
    def float_types(self) -> frozenset[str]:
        """Names of the float types that the model's tensors have of their own."""
        return float_types(self._model)

    def session(self, runtime: Runtime, native: bool, dtype: Precision, mode: Mode = "eval") -> Session:
        """The model opened; see :meth:`graphkit.frameworks.base.Runtime.open`."""
        key = (runtime.name, native, dtype, mode)
        if key not in self._sessions:
            opened = runtime.open(self.model(dtype), mode=mode, native=native)
            self._sessions[key] = self._stack.enter_context(opened)
        return self._sessions[key]

    @property
    def notes(self) -> tuple[str, ...]:
        """What users must know of how the model was executed, by any session."""
        return tuple(dict.fromkeys(note for session in self._sessions.values() for note in session.notes))

    def trainable(self, runtime: Runtime, native: bool, dtype: Precision) -> TrainableSession:
        """The model opened for training without dropout on a runtime that can ``"train"``."""
        return cast("TrainableSession", self.session(runtime, native, dtype, "train-no-dropout"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()


@dataclass(slots=True, eq=False)
class Side:
    """One side of the comparison.

    Attributes:
        name: What reports call it.
        runtime: What runs the model.
        native: Whether it runs the model's source rather than the converted form, where it is native to it.
        pool: Where its sessions come from.
        dtype: Precision it computes in; a runtime that refuses float64, or the model's own, falls back to float32.
        note: Why it fell back.
        implied: Whether it is compared without having been asked for.
        names: For a side that runs another model: the names there of what has a counterpart; None for the same model.
        boxed: Names of what has no axes, and one of size 1 in the other model.
        orders: For parameters that the other model holds with their axes in another order, the order that puts them
            into that of the model compared.
        levels: Whether it runs a model that is held in other float types than that compared, so that what both give is
            compared in the precision of the reference.
        mode: How BatchNorm and Dropout behave outside of steps of training.
        outputs: Outputs of the current sample.
        values: Values between nodes of the current sample, where they were asked for.
        gradients: Gradients of the current sample; None where it has none.
        slopes: Gradients in values between nodes, where they were asked for.
        step: The last step of training; None where it does not train.
    """

    name: str
    runtime: Runtime
    native: bool
    pool: Pool
    dtype: Precision
    note: str = ""
    implied: bool = False
    names: Mapping[str, str] | None = None
    boxed: frozenset[str] = frozenset()
    orders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    levels: bool = False
    mode: Mode = "eval"
    outputs: Arrays = field(default_factory=dict)
    values: Arrays = field(default_factory=dict)
    gradients: Arrays | None = None
    slopes: Arrays = field(default_factory=dict)
    step: Step | None = None
    _steps: Iterator[Step] = field(default_factory=lambda: iter(()))
    _extra: Arrays = field(default_factory=dict)

    def tappable(self) -> frozenset[str]:
        """Names of the values between nodes that the side gives."""
        known: frozenset[str] = self._attempt(lambda session: session.tappable, self._opened)
        if self.names is None:
            return known
        return frozenset(name for name, other in self.names.items() if other in known)

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> None:
        """Compute :attr:`outputs`, and :attr:`values` of the names in ``taps``, from feeds in float32."""
        wanted = self._called(taps)
        found = self._attempt(
            lambda session: self._read(self._noted(session.forward(self._given(feeds), wanted))), self._opened
        )
        self.values = {name: found[name] for name in taps if name in found}
        self.outputs = {name: array for name, array in found.items() if name not in self.values}

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> None:
        """Compute :attr:`gradients`, and :attr:`slopes` in ``taps``, from feeds and cotangents in float32.

        Where they are refused in the precision that :attr:`outputs` were computed in, these are computed anew, too.
        """
        wanted, before = self._called(taps), self.dtype
        found = self._attempt(
            lambda session: self._read(
                session.backward(self._given(feeds), {**self._given(seeds), **self._extra}, wanted)
            ),
            self._opened,
        )
        self.slopes = {name: found[name] for name in taps if name in found}
        self.gradients = {name: array for name, array in found.items() if name not in self.slopes}
        if self.dtype != before:
            self.forward(feeds, list(self.values))

    def forget(self) -> None:
        """Free what the current sample gave."""
        self.outputs, self.values, self.gradients, self.slopes = {}, {}, None, {}

    def _noted(self, found: Arrays) -> Arrays:
        """What a run gave, of which zeros stand for the cotangents of float outputs that have no counterpart."""
        if self.names is not None:
            known = set(self.names.values())
            ends = {value.name for value in self.pool.model(self.dtype).graph.outputs} - known
            self._extra = {
                name: np.zeros_like(array) for name, array in found.items() if name in ends and array.dtype.kind in "fV"
            }
        return found

    def _opened(self, runtime: Runtime, native: bool, dtype: Precision) -> Session:
        return self.pool.session(runtime, native, dtype, self.mode)

    def _called(self, names: Sequence[str]) -> list[str]:
        return list(names) if self.names is None else [self.names[name] for name in names]

    def preview(self, feeds: Arrays) -> Arrays:
        """Outputs in training mode, from feeds in float32."""
        return self._attempt(lambda session: self._read(session.forward(self._given(feeds))), self.pool.trainable)

    def begin(self, batches: Sequence[Batch], rule: Rule) -> None:
        """Begin to train on batches in float32, and make the first step."""

        def first(session: TrainableSession) -> tuple[Iterator[Step], Step]:
            steps = session.train(map(self._batch, batches), rule)
            return steps, next(steps)

        self._steps, step = self._attempt(first, self.pool.trainable)
        self.step = self._read_step(step)

    def advance(self) -> None:
        """Make the next step of training."""
        self.step = self._read_step(next(self._steps))

    def finish(self) -> None:
        """Forget what was trained."""
        self._steps, self.step = iter(()), None

    def _read_step(self, step: Step) -> Step:
        outputs, parameters, buffers = map(self._read, (step.outputs, step.parameters, step.buffers))
        return replace(step, outputs=outputs, parameters=parameters, buffers=buffers)

    def _batch(self, batch: Batch) -> Batch:
        names = self.names
        scales = batch.scales if names is None else {names[name]: scale for name, scale in batch.scales.items()}
        targets = self._given(batch.targets)
        if targets and batch.loss == "mse":  # an output that has no counterpart adds nothing to the loss
            targets = {**targets, **self._extra}
            scales = {**scales, **dict.fromkeys(self._extra, 0.0)}
        return replace(batch, feeds=self._given(batch.feeds), targets=targets, scales=scales)

    def noise(
        self, feeds: Arrays, seeds: Arrays | None, seed: int, runs: int
    ) -> tuple[dict[str, float], dict[str, float]]:
        """How far outputs, and gradients, are from those that the side's own runtime computes in float64.

        Args:
            feeds: Inputs.
            seeds: Cotangents; None where gradients are not asked for.
            seed: Seed of what moves the inputs.
            runs: How often they are.

        Raises:
            GraphkitError: The runtime does not compute in float64.
        """
        # "mxnet (timed)" rounds as MXNet does in the settings of parity.
        runtime = runtimes().get(self.runtime.name.partition(" ")[0], self.runtime)
        own, double = (self.pool.session(runtime, self.native, dtype, self.mode) for dtype in (self.dtype, DOUBLE))
        taps = list(self.values) if self.names is None else []
        given = None if seeds is None else self._given(seeds)
        found = noise_floor(own, double, self._given(feeds), given, seed, taps, runs)
        return self._named(found[0]), self._named(found[1])

    def residues(self, feeds: Arrays, seeds: Arrays, seed: int) -> dict[str, float]:
        """What each of the side's gradients moves by that is nothing but rounding.

        Args:
            feeds: Inputs in float32.
            seeds: Cotangents in float32.
            seed: Seed of what moves both.
        """
        session = self._opened(self.runtime, self.native, self.dtype)
        given = {**self._given(seeds), **self._extra}
        return self._named(residues(session, self._given(feeds), given, seed, self.dtype))

    def lacks(self, name: str) -> bool:
        """Whether the side runs another model in which a tensor has no counterpart."""
        return self.names is not None and name not in self.names

    def _given(self, arrays: Arrays) -> Arrays:
        """Arrays under the names, and in the precision, of this side."""
        if self.names is not None:
            arrays = {
                self.names[name]: array.reshape(1) if name in self.boxed else array for name, array in arrays.items()
            }
        return as_declared(arrays, self.pool.model("own")) if self.dtype == "own" else in_dtype(arrays, self.dtype)

    def _named(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Numbers of this side's tensors under the names of the model compared."""
        if self.names is None:
            return dict(numbers)
        return {name: numbers[other] for name, other in self.names.items() if other in numbers}

    def _read(self, arrays: Arrays) -> Arrays:
        """What this side gave, under the names of the model compared; what has no counterpart there is left out."""
        if self.names is None:
            return arrays
        return {name: self._arranged(name, arrays[other]) for name, other in self.names.items() if other in arrays}

    def _arranged(self, name: str, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """An array of this side with the axes of the model compared."""
        if name in self.boxed:
            return array.reshape(())
        return array.transpose(self.orders[name]) if name in self.orders else array

    def _attempt(self, action: Callable[[S], T], opened: Callable[[Runtime, bool, Precision], S]) -> T:
        try:
            return action(opened(self.runtime, self.native, self.dtype))
        except (UnsupportedError, ExecutionError) as error:
            if self.dtype == "float32":
                raise
            refused = " and ".join(sorted(self.pool.float_types & HALVES)) if self.dtype == "own" else self.dtype
            self.dtype = "float32"
            found = action(opened(self.runtime, self.native, self.dtype))
            self.note = f"in float32, as {refused} is refused: {str(error).split('. ')[0].rstrip('.')}"
            return found
