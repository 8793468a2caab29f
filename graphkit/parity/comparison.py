"""A comparison under way: who takes part, what was found so far, who dropped out and why."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self

from graphkit.errors import ExecutionError, GraphkitError, InputError, MissingError
from graphkit.frameworks.base import Sgd
from graphkit.ir.chance import random_values
from graphkit.ir.training import losses
from graphkit.parity.data import given_data
from graphkit.parity.deciding import TRIALS, Tally, decided
from graphkit.parity.inputs import fixed_by, guessed
from graphkit.parity.lineup import label_of, lineup
from graphkit.parity.precision import summed
from graphkit.parity.recorded import RecordedSide, live, recorded_sides
from graphkit.parity.recorder import Recorder
from graphkit.parity.sample import Sampler
from graphkit.parity.samples import drawn, given
from graphkit.parity.sides import Pool
from graphkit.parity.steady import unsteady
from graphkit.parity.tolerances import Override, parse_tolerance, unused
from graphkit.parity.training import Training
from graphkit.report.environment import environment
from graphkit.report.report import Check, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import onnx_ir as ir

    from graphkit.frameworks.base import Ability, Mode, Runtime
    from graphkit.parity.baseline import Baseline
    from graphkit.parity.conditions import Conditions
    from graphkit.parity.recorded import Party
    from graphkit.parity.samples import Sample
    from graphkit.report.report import Kind

__all__ = ["Comparison"]

_COARSE: Final = 1e-3
"""In float32, a noise floor beyond which a reference may draw its numbers anew each time, rather than round."""
_WIDE: Final = 0.1
"""A bound that says little."""


class Comparison:
    """Compares the sides of a model, or of two, sample by sample; a context manager that frees the sessions.

    Args:
        model: The model.
        other: Another model that is to compute the same.
        conditions: How they are compared.
        on: Runtimes, by name or as objects.
        tolerances: Bounds that the user gives.
        progress: Told what is being done.
        baseline: Recorded numbers to compare with, in place of a reference that runs.
        record: File to record the numbers of the reference in.

    Attributes:
        model: The model.
        lineup: The sides, and what is not there.
        sampler: Runs the samples.
        warnings: What readers of the report must know.
        overrides: Bounds that the user gives.

    Raises:
        InputError: As :func:`graphkit.parity.verify.verify`.
        MissingError: A named runtime is not installed.
    """

    def __init__(
        self,
        model: ir.Model,
        other: ir.Model | None,
        conditions: Conditions,
        *,
        on: Sequence[str | Runtime] = (),
        tolerances: Sequence[str | Override] = (),
        progress: Callable[[str, int, int], None] | None = None,
        baseline: Baseline | None = None,
        record: Path | None = None,
    ) -> None:
        _check(conditions, other, baseline, record)
        self.model = model
        self.warnings: list[str] = [] if baseline is None else baseline.check(model, conditions)
        self.overrides = [each if isinstance(each, Override) else parse_tolerance(each) for each in tolerances]
        self._other, self._conditions, self._baseline = other, conditions, baseline
        self._asked = bool(on)
        self._progress = progress or (lambda _what, _done, _total: None)
        self._stack = ExitStack()
        self._dropped: list[Check] = []
        self._tallies = Tally(), Tally()
        self._unsteady: dict[str, str] | None = None
        self._labels: list[str] = []
        self._ran: set[tuple[str, str, int]] = set()
        self._shown = ""
        self._guess = ""
        self._pools = pools = self._stack.enter_context(Pool(model)), self._stack.enter_context(Pool(other or model))
        mode: Mode = "eval" if conditions.mode == "eval" else "train-no-dropout"
        needs: set[Ability] = {"backward"} if conditions.backward else set()
        needs |= {"train"} if conditions.train_steps else set()
        self.lineup = lineup(model, other, on, pools, conditions.dtype, mode, taps=conditions.taps, needs=needs)
        sides: list[Party] = [*([] if baseline is None else recorded_sides(baseline, model)), *self.lineup.sides]
        self._specs, overrides = conditions.inputs, self.overrides
        if other is not None and self.lineup.matching is not None:
            self._specs = fixed_by(model, other, self.lineup.matching.names, conditions.inputs)
        specs = self._specs
        self.sampler = Sampler(
            pools[0],
            sides,
            conditions.backward,
            specs,
            self._unable,
            mode,
            conditions.taps,
            overrides,
            "own" if conditions.dtype == "own" else "float32",
        )
        self._training: Training | None = None
        if conditions.train_steps:
            _same_losses(model, other)
            rule = conditions.rule or Sgd()
            self._training = Training(
                pools[0], [], conditions.train_steps, rule, specs, self._unable, conditions.loss, overrides
            )
        self._recorder: Recorder | None = None
        if record is not None:
            told = environment() | self.lineup.versions
            self._recorder = self._stack.enter_context(
                Recorder(record, model, conditions, title=label_of(model), environment=told)
            )
            if self._training is not None:
                self._training.recorder = self._recorder
        if conditions.mode == "train" and any(node.op_type == "Dropout" and not node.domain for node in model.graph):
            self.warnings.append("Dropout is off: every framework draws masks of its own.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def samples(self, data: Any = None) -> Iterable[Sample]:
        """The samples to compare on: of given data, drawn as the conditions say, or those of the baseline.

        Raises:
            InputError: Batch sizes are given along with data.
        """
        conditions = self._conditions
        if data is not None:
            if conditions.batches:
                raise InputError(
                    "Batch sizes are for inputs that are drawn, and the data that is given has its own; leave them out."
                )
            seed = conditions.seeds[0] if conditions.seeds else 0
            return given(given_data(data, self.sampler.pool.model("float32"), self.warnings.append), seed)
        if self._baseline is not None and not conditions.seeds and not conditions.batches:
            return self._baseline.inputs(self.model)
        self._guess = guessed(self.model, self._specs)
        return drawn(conditions.seeds or (0,), conditions.batches)

    def run(self, samples: Iterable[Sample]) -> None:
        """Compare on some samples.

        Raises:
            InputError: There is nothing to compare, or a sample does not fit.
            UnsupportedError: A named runtime cannot run the model.
            ExecutionError: A named runtime refused or crashed.
        """
        total = len(samples) if isinstance(samples, list) else 0
        for sample in samples:
            self._progress(sample.label, len(self._labels), total)
            self._compare(sample)
            self._labels.append(sample.label)
        if not self._labels:
            raise InputError("There is nothing to compare: the data holds no sample.")
        self._progress("", len(self._labels), len(self._labels))

    def _compare(self, sample: Sample) -> None:
        if not self._labels:
            feeds = self.sampler.feeds(sample)
            self._shown = ", ".join(f"{name} {_shape(array.shape)}" for name, array in feeds.items())
        checks = decided(self._checks, sample, self._known)
        if self._unsteady is None and any(check.verdict == "fail" or check.floor > self._coarse for check in checks):
            feeds = self.sampler.feeds(sample)
            sides = [side for side in self.sampler.sides if not isinstance(side, RecordedSide)]
            told = {side.name: unsteady(side, self.model, feeds) for side in sides}
            self._unsteady = {name: why for name, why in told.items() if why}
        self._tallies[0].add(checks, sample)
        if (training := self._training) is not None:
            if not self._labels:
                training.sides = [side for side in self.sampler.sides if self._can_train(side)]
            self._tallies[1].add(decided(self._trained, sample, self._known), sample)
        if not self._labels:
            self._require_two()
        if self._recorder is not None:
            self._record_stand_ins(sample)

    def _known(self, sample: Sample) -> bool:
        """Whether a sample can be compared: with a baseline, whether it was recorded."""
        held = [side for side in self.sampler.sides if isinstance(side, RecordedSide)]
        feeds = self.sampler.feeds(sample) if held else {}
        return all(side.holds(feeds) for side in held)

    def _checks(self, sample: Sample, stand_in: int) -> list[Check]:
        checks = self.sampler.checks(sample)
        if self._recorder is not None and self.sampler.sides:
            sampler = self.sampler
            sides = list(dict.fromkeys([live(sampler.sides), *([live(sampler.learners)] if sampler.learners else [])]))
            seeds = sampler.seeds(sample) if sampler.learners else None
            self._recorder.add(sample, sampler.feeds(sample), sides, seeds, sampler.floors, stand_in)
        self._ran.add(("pass", sample.label, stand_in))
        return checks

    def _trained(self, sample: Sample, stand_in: int) -> list[Check]:
        assert self._training is not None
        self._ran.add(("training", sample.label, stand_in))
        return self._training.checks(sample)

    def _record_stand_ins(self, sample: Sample) -> None:
        """Record what may have to decide over float32 gradients where the baseline is compared with."""
        if all(side.dtype == "float64" for side in self.sampler.sides):
            return
        for index in range(1, TRIALS):
            if self.sampler.learners and ("pass", sample.label, index) not in self._ran:
                self._checks(sample.stand_in(index), index)
            if self._training is not None and ("training", sample.label, index) not in self._ran:
                self._trained(sample.stand_in(index), index)

    @property
    def _coarse(self) -> float:
        """A noise floor beyond which a reference may draw its numbers anew each time, rather than round."""
        kinds = frozenset[str]().union(*(pool.float_types for pool in self._pools))
        return max(_COARSE, summed(kinds)) if self._conditions.dtype == "own" else _COARSE

    @property
    def failing(self) -> bool:
        """Whether something differed, or could not be compared, in the samples so far."""
        return any(check.verdict != "pass" for tally in self._tallies for check in tally.checks) or bool(self._dropped)

    def _require_two(self) -> None:
        made: dict[str, list[Party]] = {"outputs": self.sampler.sides}
        if self._conditions.backward:
            made["gradients"] = self.sampler.learners or []
        if self._training is not None:
            made["steps of training"] = self._training.sides
        for kind, sides in made.items():
            if len(sides) < (2 if self._recorder is None else 1):
                raise InputError(_nothing(kind, [side.name for side in sides], [*self.lineup.absent, *self._dropped]))

    def report(self) -> Report:
        """What was found.

        Raises:
            InputError: Nothing could be compared.
        """
        found = [check for tally in self._tallies for check in tally.checks]
        checks = [*self._comparable(found), *self.lineup.absent, *self._dropped]
        if self._recorder is None and all(check.verdict == "unavailable" for check in checks):
            why = next((check.note for check in checks if check.left), "no tensor is there")
            raise InputError(f"There is nothing to compare: {why}.")
        if self._recorder is not None:
            self._recorder.save()
            if len(self.sampler.sides) == 1:
                checks.append(
                    Check(
                        "forward",
                        "",
                        "",
                        self.sampler.sides[0].name,
                        "pass",
                        note="recorded; nothing is compared with it",
                    )
                )
        training = self._training
        warnings = [*self.warnings, *self.sampler.warnings, *([] if training is None else training.warnings)]
        warnings += [note for pool in self._pools for note in pool.notes]
        warnings += _blunt(checks) if self._conditions.dtype == "own" else []
        warnings += unused(self.overrides, [check.name for check in checks])
        return Report(
            title=self._title(),
            checks=tuple(checks),
            environment=environment() | self.lineup.versions,
            warnings=tuple(dict.fromkeys(warnings)),
            matching=() if self.lineup.matching is None else self.lineup.matching.told,
            curves={} if training is None else {name: tuple(curve) for name, curve in training.curves.items()},
        )

    def _title(self) -> str:
        against = "" if self._other is None else f" and {label_of(self._other)}"
        mode = " in training mode" if self._conditions.mode == "train" else ""
        labels = self._labels
        on = labels[0] if len(labels) == 1 else f"{len(labels)} samples ({labels[0]} to {labels[-1]})"
        trained = "" if self._training is None else f", {self._training.told}"
        own = " and ".join(sorted(frozenset[str]().union(*(pool.float_types for pool in self._pools))))
        told = f"its own precision ({own})" if self._conditions.dtype == "own" else self._conditions.dtype
        what = f"{label_of(self.model)}{against} in {told}{mode}"
        return f"{what}: {self._shown or 'no inputs'}, {on}{trained}"

    def _comparable(self, checks: Sequence[Check]) -> list[Check]:
        """The checks; those of random numbers as not made: every run draws others, each of them the right way."""
        chances = random_values(self.model)
        anywhere = next((chances[value.name or ""] for value in self.model.graph.outputs if value.name in chances), "")
        judged = []
        for check in checks:
            node = chances.get(check.name, "") if check.kind in ("output", "value") else anywhere
            why = f"it depends on random numbers, which every run draws anew (node {node!r})" if node else ""
            for name in (check.left, check.right):
                if told := (self._unsteady or {}).get(name):
                    why = why or f"{name} gives other numbers each time it is run on the same inputs, {told}"
            left, right = check.left, check.right
            judged.append(
                Check(check.kind, check.name, left, right, "unavailable", note=why, step=check.step) if why else check
            )
        return judged

    def _unable(self, side: Party, kind: Kind, problem: GraphkitError) -> None:
        crashed = isinstance(problem, ExecutionError)
        told = f"{problem} {self._guess}".strip() if crashed else str(problem)
        if self._asked and not side.implied and not (kind != "forward" and isinstance(problem, MissingError)):
            if crashed:
                raise ExecutionError(told) from problem
            raise problem
        self._dropped.append(Check(kind, "", "", side.name, "fail" if crashed else "unavailable", note=told))

    def _can_train(self, side: Party) -> bool:
        if "train" not in side.runtime.can:
            self._unable(side, "train", MissingError(f"{side.runtime.label} makes no steps of training here"))
            return False
        return True


def _check(conditions: Conditions, other: ir.Model | None, baseline: Baseline | None, record: Path | None) -> None:
    if conditions.dtype not in ("float32", "float64", "own"):
        raise InputError(
            f"Models are compared in float32, float64 or their own precision, not in {conditions.dtype!r}; name one "
            "of them."
        )
    if conditions.dtype == "own" and conditions.train_steps:
        raise InputError("Steps of training are compared in float32 or float64; say which with --dtype.")
    if conditions.mode not in ("eval", "train"):
        raise InputError(f"Models are compared in mode eval or train, not in {conditions.mode!r}.")
    if other is not None and (baseline is not None or record is not None):
        raise InputError("A baseline is of one model; compare two models without it, or one with it.")


def _same_losses(model: ir.Model, other: ir.Model | None) -> None:
    if other is not None and bool(losses(model)) != bool(losses(other)):
        raise InputError(
            f"The two models train for different things: {label_of(model)} has {_count(model)} and {label_of(other)} "
            f"has {_count(other)}. Read an MXNet symbol's losses with --train, or compare without --train-steps."
        )


def _count(model: ir.Model) -> str:
    names = losses(model)
    return f"{len(names)} {'loss' if len(names) == 1 else 'losses'}" if names else "no losses"


def _blunt(checks: Sequence[Check]) -> list[str]:
    """What to say of the room that 16 bits leave for mistakes; nothing where something fails anyway."""
    wide = {check.name for check in checks if check.verdict == "pass" and check.tol > _WIDE}
    if not wide:
        room = max((check.tol for check in checks if check.verdict == "pass"), default=0.0)
        if not room or any(check.verdict == "fail" for check in checks):
            return []
        told = (
            f"In this precision mistakes that change tensors by less than up to {room:.1%} of their largest magnitude "
            f"pass unseen (another epsilon, say); --dtype float64 finds them."
        )
        return [told]
    named = {check.name for check in checks if check.name}
    told = (
        f"In this precision the model is so far from itself in float64 that {len(wide)} of {len(named)} tensors may "
        f"differ by more than {_WIDE:.0%}; --dtype float64 tells whether they mean the same."
    )
    return [told]


def _shape(dims: Sequence[int]) -> str:
    return "×".join(map(str, dims)) or "scalar"


def _nothing(what: str, able: Sequence[str], dropped: Sequence[Check]) -> str:
    who = f"only {able[0]} gives {what} here" if able else f"no runtime gives {what} here"
    why = "".join(f"; {check.right}: {check.note.rstrip('.')}" for check in dropped)
    return f"There is nothing to compare: {who}{why}. Name another runtime with --on, or install one."
