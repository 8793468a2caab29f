"""One sample: every side run on the same inputs and cotangents, and compared with the first."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from graphkit.errors import ExecutionError, GraphkitError, InputError, MissingError, ShapeNeededError, UnsupportedError
from graphkit.ir.params import of_kind
from graphkit.ir.training import losses
from graphkit.parity.floor import DOUBLE, ROUGH, RUNS, measured_floors, sway
from graphkit.parity.inputs import draw_seeds, in_dtype
from graphkit.parity.judge import Pass, judge
from graphkit.parity.metrics import magnitude
from graphkit.parity.precision import as_declared, float_types, summed
from graphkit.parity.recorded import RecordedSide, live
from graphkit.parity.single import single_values
from graphkit.parity.tolerance import MARGIN, SUMMED, sound
from graphkit.report.report import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import InputSpec, Mode
    from graphkit.parity.recorded import Party
    from graphkit.parity.samples import Sample
    from graphkit.parity.sides import Arrays, Pool, Precision
    from graphkit.parity.tolerances import Override
    from graphkit.report.report import Kind

__all__ = ["Sampler", "Unable"]


class Unable(Protocol):
    """Told of a side that cannot make a pass; returns to go on without it, or raises."""

    def __call__(self, side: Party, kind: Kind, problem: GraphkitError) -> None:
        """Note that ``side`` gives no ``kind`` pass because of ``problem``."""
        ...


@dataclass(slots=True)
class Sampler:
    """Runs samples and compares the sides on them.

    Attributes:
        pool: Where the model is opened.
        sides: The sides, the reference first; those that cannot run are dropped by the first sample.
        backward: Whether gradients are compared.
        inputs: Given shapes.
        unable: Told of each side that drops out of a pass.
        mode: How BatchNorm and Dropout behave.
        taps: Whether the values between nodes are compared too, and with ``backward`` the gradients in them.
        overrides: Bounds that the user gives.
        learners: The sides that give gradients, the reference first; None before the first sample.
        warnings: What readers of the report must know.
        precision: ``"own"`` where the model is compared in its own precision; else ``"float32"``, in which what is fed
            can be represented.
        floors: The noise floors of the last sample that were measured, of outputs and of gradients.
    """

    pool: Pool
    sides: list[Party]
    backward: bool
    inputs: Sequence[InputSpec]
    unable: Unable
    mode: Mode = "eval"
    taps: bool = False
    overrides: Sequence[Override] = ()
    precision: Precision = "float32"
    learners: list[Party] | None = None
    warnings: list[str] = field(default_factory=list)
    floors: tuple[dict[str, float], dict[str, float]] = ({}, {})

    def feeds(self, sample: Sample) -> dict[str, npt.NDArray[np.generic]]:
        """The inputs of a sample, in float32 or in the model's own precision."""
        model = self.pool.model(self.precision)
        feeds = sample.feeds(model, self.inputs)
        return as_declared(feeds, model) if self.precision == "own" else feeds

    def seeds(self, sample: Sample) -> dict[str, npt.NDArray[np.generic]]:
        """The cotangents of a sample that the first side was run on, in float32 or in the model's own precision."""
        first = self.sides[0]
        seeds: dict[str, npt.NDArray[np.generic]]
        if isinstance(first, RecordedSide):
            seeds = dict(first.cotangents(sample.seed))
        else:
            seeds = in_dtype(draw_seeds(first.outputs, sample.seed), np.float32)
        own = losses(self.pool.model("float32"))
        seeds.update({name: np.ones((), np.float32) for name in own})  # as training has it
        return as_declared(seeds, self.pool.model("own")) if self.precision == "own" else seeds

    def checks(self, sample: Sample) -> list[Check]:
        """Run a sample; compare outputs with the first side's, and gradients with those of the first that has them."""
        self.run(sample)
        if not self.sides:
            return []
        model = self.pool.model("float32")
        floors = _Floors(self, self.feeds(sample), self.seeds(sample) if self.learners else None, sample.seed)
        found = list(self._compared(model, *_kinds(model), floors))
        self.floors = floors.measured
        return found

    def run(self, sample: Sample) -> None:
        """Run every side on a sample; those that cannot are dropped.

        Raises:
            InputError: The sample does not fit, or gradients are asked for and there are none.
        """
        feeds = self.feeds(sample)
        taps: dict[Party, list[str]] = {}
        self._run(self.sides, "forward", lambda side: taps.update({side: self._tapped(side)}))
        self._run(self.sides, "forward", lambda side: side.forward(feeds, self._shared(taps, side)))
        if not self.sides:
            return
        seeds = self.seeds(sample)
        _, gradients = _kinds(self.pool.model("float32"))
        if self.backward and not (seeds and gradients):
            lacking = "float input and no parameter" if seeds else "float output"
            raise InputError(f"There are no gradients to compare: the model has no {lacking}. Leave --backward out.")
        if self.learners is None:
            self.learners = [side for side in self.sides if self._can_learn(side)] if self.backward else []
        self._run(self.learners, "backward", lambda side: side.backward(feeds, seeds, _floats(side.values)))

    def _compared(
        self, model: ir.Model, outputs: dict[str, Kind], gradients: dict[str, Kind], floors: _Floors
    ) -> Iterator[Check]:
        own = frozenset(losses(model))
        double = any(side.dtype == "float64" for side in self.sides)
        names = {side.runtime.name for side in self.sides} if double else ()
        single = {name: single_values(self.pool.model("float64"), name) for name in names}
        scaled = {"mxnet"} if own else set()  # its output layers scale their gradients in float32
        concerned = [name for name, found in single.items() if name in scaled or not found.isdisjoint(outputs)]
        behind = dict.fromkeys(concerned, frozenset(gradients))
        plain: dict[str, Kind] = {name: kind for name, kind in outputs.items() if name not in own}
        scored: dict[str, Kind] = {name: kind for name, kind in outputs.items() if name in own}
        scorers = [side for side in self.sides if own.issubset(side.outputs)]
        yield from (_no_loss(side) for side in self.sides if scored and side not in scorers)
        passes = [
            (Pass(plain, lambda side: _only(side.outputs, own, False), False, single, "output"), self.sides),
            (Pass(scored, lambda side: _only(side.outputs, own, True), False, single, "output"), scorers),
            (Pass(gradients, lambda side: side.gradients or {}, True, behind, "parameter gradient"), self.learners),
        ]
        for wanted, sides in passes:
            for side in (sides or [])[1:]:
                yield from self._judged(wanted, (sides or [])[0], side, floors)
        for side in self.sides[1:]:
            values: dict[str, Kind] = {name: "value" for name in self.sides[0].values if name in side.values}
            wanted = Pass(values, partial(_values, values), False, single, "value")
            yield from self._judged(wanted, self.sides[0], side, floors)
        for side in (self.learners or [])[1:]:
            first = (self.learners or [])[0]
            slopes: dict[str, Kind] = {name: "value gradient" for name in first.slopes if name in side.slopes}
            behind = dict.fromkeys(concerned, frozenset(slopes))
            wanted = Pass(slopes, partial(_slopes, slopes), True, behind, "value gradient")
            yield from self._judged(wanted, first, side, floors)

    def _judged(self, wanted: Pass, left: Party, right: Party, floors: _Floors) -> list[Check]:
        measured = floors.gradients if wanted.gradients else floors.outputs
        checks = judge(wanted, left, right, measured, self.overrides)
        if not wanted.gradients and any(check.verdict == "fail" for check in checks) and floors.refine():
            checks = judge(wanted, left, right, measured, self.overrides)
        apart = right.dtype == "own" or (wanted.gradients and right.dtype == "float32")
        failed = apart and any(check.verdict == "fail" for check in checks)
        if failed and (own := floors.of(right, gradients=wanted.gradients)):
            peaks = {name: magnitude(array) for name, array in wanted.of(left).items()}
            limit = SUMMED if right.dtype == "float32" else summed(float_types(self._held(right)))
            most = {name: limit / MARGIN * peak for name, peak in peaks.items()}
            wider = {name: max(measured().get(name, 0.0), min(own.get(name, 0.0), most[name])) for name in most}
            checks = judge(wanted, left, right, lambda: wider, self.overrides)
            measured = partial(dict, wider)
        double = left.dtype == right.dtype == DOUBLE
        sways = None
        if double and wanted.gradients and any(check.verdict == "fail" for check in checks):
            sways = floors.sways()
            checks = judge(wanted, left, right, measured, self.overrides, sways)
        failing = {check.name for check in checks if check.verdict == "fail" and check.tol}
        if wanted.gradients and failing:
            peaks = {name: magnitude(array) for name, array in wanted.of(left).items()}
            if failing - sound(peaks, measured()) and (dust := floors.residues(right)):
                checks = judge(wanted, left, right, measured, self.overrides, sways, dust)
        notes = [note for note in (left.note, right.note) if note]
        return [replace(check, note="; ".join(filter(None, (check.note, *notes)))) for check in checks]

    def _held(self, side: Party) -> ir.Model:
        """The model that a side runs."""
        return (self.pool if isinstance(side, RecordedSide) else side.pool).model("own")

    def _tapped(self, side: Party) -> list[str]:
        """Values between nodes that a side gives, in the order of the model."""
        if not self.taps:
            return []
        outputs = {value.name for value in self.pool.model("float32").graph.outputs}
        known = side.tappable() - outputs
        order = (value.name or "" for node in self.pool.model("float32").graph for value in node.outputs)
        return [name for name in order if name in known]

    def _shared(self, taps: dict[Party, list[str]], side: Party) -> list[str]:
        """What of a side's values another one is compared in; those of the reference with any other."""
        first = self.sides[0]
        others = {name for other in self.sides if other is not first for name in taps[other]}
        known = others if side is first else set(taps[first])
        return [name for name in taps[side] if name in known]

    def _run(self, sides: list[Party], kind: Kind, run: Callable[[Party], None]) -> None:
        """Let sides do something, and drop those that cannot."""
        sides[:] = [side for side in list(sides) if self._makes(side, kind, run)]

    def _makes(self, side: Party, kind: Kind, run: Callable[[Party], None]) -> bool:
        try:
            run(side)
        except (UnsupportedError, ShapeNeededError, MissingError, ExecutionError) as problem:
            self.unable(side, kind, problem)
            return False
        return True

    def _can_learn(self, side: Party) -> bool:
        own = losses(self.pool.model("float32"))
        expected = {name: array.shape for name, array in self.sides[0].outputs.items() if name not in own}
        if "backward" not in side.runtime.can:
            problem: GraphkitError = MissingError(f"{side.runtime.label} computes no gradients here")
        elif {name: array.shape for name, array in side.outputs.items() if name not in own} != expected:
            problem = MissingError("its outputs are not those of the reference")
        else:
            return True
        self.unable(side, "backward", problem)
        return False


class _Floors:
    """The noise floors of a sample, measured when first asked for; gradients only if theirs are."""

    def __init__(self, sampler: Sampler, feeds: Arrays, seeds: Arrays | None, seed: int) -> None:
        self._sampler = sampler
        self._feeds, self._seeds, self._seed = feeds, seeds, seed
        self._outputs: dict[str, float] | None = None
        self._gradients: dict[str, float] | None = None
        self._rough = False
        self._own: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
        self._sways: dict[str, float] | None = None
        self._residues: dict[str, dict[str, float]] = {}

    @property
    def measured(self) -> tuple[dict[str, float], dict[str, float]]:
        return self._outputs or {}, self._gradients or {}

    def outputs(self) -> dict[str, float]:
        if self._outputs is None:
            single = any(side.dtype != DOUBLE for side in self._sampler.learners or ())
            self._measure(self._seeds if single else None)
        return self._outputs or {}

    def refine(self) -> bool:
        """Measure anew, with as many runs as gradients need, what fewer runs have measured; whether that was so."""
        rough, self._rough = self._rough, False
        if rough:
            self._measure(None, RUNS)
        return rough

    def gradients(self) -> dict[str, float]:
        if self._gradients is None:
            self._measure(self._seeds)
        return self._gradients or {}

    def of(self, side: Party, *, gradients: bool) -> dict[str, float]:
        """How far the gradients, or the outputs, of a side's own runtime are from those that it computes in float64.

        Runtimes add up in other orders: MXNet a bias's gradient term by term, which loses digits that PyTorch keeps.
        Empty where that cannot be measured.
        """
        if side.names is not None and side.dtype != "own":
            return {}
        if side.name not in self._own:
            seeds = self._seeds if side in (self._sampler.learners or ()) else None
            try:
                self._own[side.name] = side.noise(self._feeds, seeds, self._seed, ROUGH)
            except GraphkitError:
                self._own[side.name] = {}, {}
        return self._own[side.name][gradients]

    def sways(self) -> dict[str, float]:
        """How far the reference's gradients in float64 move with its inputs; empty where that cannot be measured."""
        if self._sways is None:
            reference = (self._sampler.learners or self._sampler.sides)[0]
            self._sways = {}
            if self._seeds is not None and not isinstance(reference, RecordedSide):
                feeds, seeds = (in_dtype(arrays, np.float64) for arrays in (self._feeds, self._seeds))
                with contextlib.suppress(GraphkitError):
                    session = reference.pool.session(reference.runtime, reference.native, DOUBLE, reference.mode)
                    self._sways = sway(session, feeds, seeds, self._seed)
        return self._sways

    def residues(self, side: Party) -> dict[str, float]:
        """What of a side's gradients is nothing but rounding moves by; empty where that cannot be measured."""
        if side.name not in self._residues:
            self._residues[side.name] = {}
            if self._seeds is not None:
                with contextlib.suppress(GraphkitError):
                    self._residues[side.name] = side.residues(self._feeds, self._seeds, self._seed)
        return self._residues[side.name]

    def _measure(self, seeds: Arrays | None, runs: int = 0) -> None:
        """On the first runtime that runs the model in both precisions; the reference's own is tried first."""
        sampler = self._sampler
        reference = (sampler.learners or sampler.sides)[0]
        if isinstance(reference, RecordedSide):
            held = reference.floors
            if held[0] and (seeds is None or held[1]):
                self._outputs, self._gradients = dict(held[0]), dict(held[1])
                return
            reference = live(sampler.learners or sampler.sides)
        single = any(side.dtype != DOUBLE for side in sampler.sides)
        if not runs:
            self._rough = single and seeds is None
            runs = 1 if not single else ROUGH if self._rough else RUNS
        own: Precision = "own" if any(side.dtype == "own" for side in sampler.sides) else "float32"
        feeds = self._feeds if own == "own" else in_dtype(self._feeds, own)
        given = seeds if own == "own" or seeds is None else in_dtype(seeds, own)
        found, warning = measured_floors(reference, feeds, given, self._seed, list(reference.values), runs, own)
        if warning:
            sampler.warnings.append(warning)
        self._outputs = found[0]
        if seeds is not None:
            self._gradients = found[1]


def _no_loss(side: Party) -> Check:
    """The check of the losses that a side does not compute."""
    told = f"{side.runtime.label}'s output layers compute the gradient of their loss only"
    return Check("loss", "", "", side.name, "unavailable", note=told)


def _only(arrays: Arrays, own: frozenset[str], wanted: bool) -> Arrays:
    """The arrays that are losses, or those that are not."""
    return {name: array for name, array in arrays.items() if (name in own) == wanted}


def _values(names: Collection[str], side: Party) -> Arrays:
    return {name: side.values[name] for name in names}


def _slopes(names: Collection[str], side: Party) -> Arrays:
    return {name: side.slopes[name] for name in names}


def _floats(arrays: Arrays) -> list[str]:
    """Names of the arrays that gradients exist in."""
    return [name for name, array in arrays.items() if array.dtype.kind in "fV"]


def _kinds(model: ir.Model) -> tuple[dict[str, Kind], dict[str, Kind]]:
    """What each output is, and each gradient, by name."""
    outputs: dict[str, Kind] = {value.name or "": "output" for value in model.graph.outputs}
    gradients: dict[str, Kind] = {
        value.name or "": "input gradient"
        for value in model.graph.inputs
        if not value.is_initializer() and _is_float(value)
    }
    gradients |= {value.name or "": "parameter gradient" for value in of_kind(model, "parameter") if _is_float(value)}
    return outputs, gradients


def _is_float(value: ir.Value) -> bool:
    dtype = value.dtype if value.const_value is None else value.const_value.dtype
    return dtype is None or dtype.is_floating_point()
