"""A comparison under way: who takes part, what was found so far, who dropped out and why."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from graphkit.errors import ExecutionError, GraphkitError, InputError, MissingError
from graphkit.frameworks.base import Sgd
from graphkit.frameworks.convert import input_spec
from graphkit.ir.chance import random_values
from graphkit.ir.training import losses
from graphkit.parity.data import given_data
from graphkit.parity.deciding import Tally, decided
from graphkit.parity.inputs import guessed
from graphkit.parity.lineup import label_of, lineup
from graphkit.parity.sample import Sampler
from graphkit.parity.samples import drawn, given
from graphkit.parity.sides import Pool
from graphkit.parity.steady import unsteady
from graphkit.parity.tolerances import Override, parse_tolerance, unused
from graphkit.parity.training import Training, rounded
from graphkit.report.environment import environment
from graphkit.report.report import Check, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.base import Mode, Rule, Runtime
    from graphkit.frameworks.convert import Input
    from graphkit.parity.samples import Sample
    from graphkit.parity.sides import Precision, Side
    from graphkit.report.report import Kind

__all__ = ["Comparison"]


class Comparison:
    """Compares the sides of a model, or of two, sample by sample; a context manager that frees the sessions.

    The arguments are those of :func:`graphkit.parity.verify.verify`.

    Attributes:
        model: The model.
        lineup: The sides, and what is not there.
        sampler: Runs the samples.
        gradients: Whether gradients are compared.
        warnings: What readers of the report must know.
        overrides: Bounds that the user gives.

    Raises:
        InputError: As :func:`graphkit.parity.verify.verify`.
        MissingError: A named runtime is not installed.
    """

    def __init__(
        self,
        model: ir.Model,
        other: ir.Model | None = None,
        *,
        on: Sequence[str | Runtime] = (),
        dtype: Precision = "float32",
        mode: str = "eval",
        inputs: Sequence[Input] = (),
        tolerances: Sequence[str | Override] = (),
        progress: Callable[[str, int, int], None] | None = None,
        backward: bool = False,
        taps: bool = False,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise InputError(f"Models are compared in float32 or float64, not in {dtype!r}.")
        if mode not in ("eval", "train"):
            raise InputError(f"Models are compared in mode eval or train, not in {mode!r}.")
        self.model = model
        self.gradients = backward
        self.warnings: list[str] = []
        self._other = other
        self._dtype, self._mode = dtype, mode
        self._asked = bool(on)
        self._progress = progress or (lambda _what, _done, _total: None)
        self.overrides = [each if isinstance(each, Override) else parse_tolerance(each) for each in tolerances]
        self._specs = tuple(map(input_spec, inputs))
        self._stack = ExitStack()
        self._dropped: list[Check] = []
        self._tallies = Tally(), Tally()
        self._unsteady: dict[str, str] | None = None
        self._labels: list[str] = []
        self._shown = ""
        self._guess = ""
        self._training: Training | None = None
        pools = self._stack.enter_context(Pool(model)), self._stack.enter_context(Pool(other or model))
        inner: Mode = "eval" if mode == "eval" else "train-no-dropout"
        self.lineup = lineup(model, other, on, pools, dtype, inner, taps=taps)
        self.sampler = Sampler(
            pools[0], self.lineup.sides, backward, self._specs, self._unable, inner, taps, self.overrides
        )
        if mode == "train" and any(node.op_type == "Dropout" and not node.domain for node in model.graph):
            self.warnings.append("Dropout is off: every framework draws masks of its own.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def train(self, steps: int, rule: Rule | None, loss: str) -> None:
        """Compare steps of training, too.

        Raises:
            InputError: The two models have other losses, or a number of the rule is none.
        """
        _same_losses(self.model, self._other)
        self._training = Training(
            self.sampler.pool, [], steps, rounded(rule or Sgd()), self._specs, self._unable, loss, self.overrides
        )

    def samples(
        self, seeds: Sequence[int] = (0,), batches: Sequence[int] = (), data: Iterable[Any] | None = None
    ) -> Iterable[Sample]:
        """The samples to compare on, drawn or of given data.

        Raises:
            InputError: Batch sizes are given along with data, or there is no seed.
        """
        if not seeds:
            raise InputError("There is nothing to compare: no seed is given.")
        if data is None:
            self._guess = guessed(self.model, self._specs)
            return drawn(seeds, batches)
        if batches:
            raise InputError("Batch sizes are for inputs that are drawn; the data that is given has its own.")
        return given(given_data(data, self.model, self.warnings.append), seeds[0])

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
        checks = decided(self.sampler.checks, sample)
        if self._unsteady is None and any(check.verdict == "fail" for check in checks):
            feeds = self.sampler.feeds(sample)
            told = {side.name: unsteady(side, self.model, feeds) for side in self.sampler.sides}
            self._unsteady = {name: why for name, why in told.items() if why}
        self._tallies[0].add(checks, sample)
        if self._training is not None:
            training = self._training
            if not self._labels:
                training.sides = [side for side in self.sampler.sides if self._can_train(side)]
            self._tallies[1].add(decided(training.checks, sample), sample)
        if not self._labels:
            self._require_two()

    def _require_two(self) -> None:
        made = {"outputs": self.sampler.sides}
        if self.gradients:
            made["gradients"] = self.sampler.learners or []
        if self._training is not None:
            made["steps of training"] = self._training.sides
        for kind, sides in made.items():
            if len(sides) < 2:
                raise InputError(_nothing(kind, [side.name for side in sides], [*self.lineup.absent, *self._dropped]))

    def report(self) -> Report:
        """What was found.

        Raises:
            InputError: Nothing could be compared.
        """
        found = [check for tally in self._tallies for check in tally.checks]
        checks = [*self._comparable(found), *self.lineup.absent, *self._dropped]
        if all(check.verdict == "unavailable" for check in checks):
            why = next((check.note for check in checks if check.left), "no tensor is there")
            raise InputError(f"There is nothing to compare: {why}.")
        training = self._training
        warnings = [*self.warnings, *self.sampler.warnings, *([] if training is None else training.warnings)]
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
        mode = " in training mode" if self._mode == "train" else ""
        labels = self._labels
        on = labels[0] if len(labels) == 1 else f"{len(labels)} samples ({labels[0]} to {labels[-1]})"
        trained = "" if self._training is None else f", {self._training.told}"
        what = f"{label_of(self.model)}{against} in {self._dtype}{mode}"
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

    def _unable(self, side: Side, kind: Kind, problem: GraphkitError) -> None:
        crashed = isinstance(problem, ExecutionError)
        told = f"{problem} {self._guess}".strip() if crashed else str(problem)
        if self._asked and not side.implied and not (kind != "forward" and isinstance(problem, MissingError)):
            if crashed:
                raise ExecutionError(told) from problem
            raise problem
        self._dropped.append(Check(kind, "", "", side.name, "fail" if crashed else "unavailable", note=told))

    def _can_train(self, side: Side) -> bool:
        if "train" not in side.runtime.can:
            self._unable(side, "train", MissingError(f"{side.runtime.label} makes no steps of training here"))
            return False
        return True


def _same_losses(model: ir.Model, other: ir.Model | None) -> None:
    if other is not None and bool(losses(model)) != bool(losses(other)):
        raise InputError(
            f"The two models train for different things: {label_of(model)} has {_count(model)} and {label_of(other)} "
            f"has {_count(other)}. Read an MXNet symbol's losses with --train, or compare without --train-steps."
        )


def _count(model: ir.Model) -> str:
    names = losses(model)
    return f"{len(names)} {'loss' if len(names) == 1 else 'losses'}" if names else "no losses"


def _shape(dims: Sequence[int]) -> str:
    return "×".join(map(str, dims)) or "scalar"


def _nothing(what: str, able: Sequence[str], dropped: Sequence[Check]) -> str:
    who = f"only {able[0]} gives {what} here" if able else f"no runtime gives {what} here"
    why = "".join(f"; {check.right}: {check.note.rstrip('.')}" for check in dropped)
    return f"There is nothing to compare: {who}{why}. Name another runtime with --on, or install one."
