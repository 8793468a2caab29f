"""Training parity: the same batches for every side, and what each step gives and leaves compared.

All sides begin with the model's own arrays and compute in training mode, but without dropout: every framework draws its
masks in its own way. Each makes its steps with the optimizer that its users have (``torch.optim`` or
``mx.optimizer``).

A model with losses of its own trains their sum. Any other is trained on targets drawn at random: towards numbers, with
half the mean of (output · scale - target)², or for classes along axis 1, with the mean cross-entropy of
softmax(output · scale). Either is summed over the float outputs that can have such a target, and weighted. A scale is
the power of two that brings the reference's first output to a magnitude near 1, where no softmax is saturated.

The weight is a power of two as well, found from the reference's first gradients whatever the model and the learning
rate. With SGD the first step is to move the most agile parameter by about :data:`MOVE` of its magnitude: by less,
errors of gradients would vanish beside the parameters; by more, the steps could diverge. With Adam the length of a
step does not depend on the weight, but what rounding does to it: a step is lr · m̂ / (√v̂ + ε), so a gradient that is
nothing but rounding residue (of a bias that the next normalisation subtracts again, say) becomes a full step of a
random sign as soon as it exceeds ε. So the largest gradient is brought to about :data:`REACH` · ε. Then both terms of
the denominator count, a step changes by lr / ε of a gradient's change at most, and residue, which is 1e-7 of the
gradients around it in float32 and 1e-16 in float64, moves a parameter by that share of lr. The gradients of a model's
own losses are weighted likewise for Adam, as ``rescale_grad`` does it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.errors import ExecutionError, GraphkitError, InputError, MissingError, ShapeNeededError, UnsupportedError
from graphkit.frameworks.base import Adam, Batch, Sgd, runtimes
from graphkit.ir.dims import dims_of
from graphkit.ir.params import of_kind
from graphkit.ir.training import losses
from graphkit.parity.floor import FLOORS, UNITS, spread
from graphkit.parity.inputs import draw_classes, draw_seeds, in_dtype, nudged
from graphkit.parity.judge import Pass, judge
from graphkit.parity.metrics import magnitude
from graphkit.parity.recorded import RecordedSide, live
from graphkit.parity.single import single_outputs
from graphkit.parity.statistics import Statistics
from graphkit.parity.tolerance import TRAINED
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import InputSpec, Loss, Rule, Runtime, Step
    from graphkit.parity.recorded import Party
    from graphkit.parity.recorder import Recorder
    from graphkit.parity.sample import Unable
    from graphkit.parity.samples import Sample
    from graphkit.parity.sides import Arrays, Pool
    from graphkit.parity.tolerances import Override
    from graphkit.report.report import Check, Kind

__all__ = ["MOVE", "REACH", "Training", "rounded"]

_NAMES: Final[dict[str, str]] = {"mse": "distance to the targets", "cross-entropy": "cross-entropy of the targets"}
"""What reports call the loss of targets."""
MOVE: Final = 2.0**-4
"""How far the first step of SGD moves the parameter that moves farthest, relative to its magnitude."""
REACH: Final = 2.0**6
"""What the largest gradient of Adam's first step is brought to, in multiples of its ε."""
_PROBE: Final = 2.0**40
"""Learning rate of a step of SGD that shows gradients, also those that are tiny beside their parameters."""
_APART: Final = 1000
"""Numbers between the nudges of one run's batches and those of the next."""


def rounded(rule: Rule) -> Rule:
    """The rule with numbers that float32 has: MXNet's optimizers hold them so, and all sides are to use the same.

    Of a β below ½ it is 1 - β that float32 has, as MXNet computes that in float32, too.

    Raises:
        InputError: A number is negative or not finite, a β is not below 1, or ε is 0.
    """
    numbers = asdict(rule)
    for name, number in numbers.items():
        told = f"The {name.replace('_', ' ')} of training is {number}"
        if not (math.isfinite(number) and number >= 0):
            raise InputError(f"{told}; it must be a number from 0 on.")
        if name in ("beta1", "beta2") and number >= 1:
            raise InputError(f"{told}; it must be below 1.")
        if name == "epsilon" and not np.float32(number):
            raise InputError(f"{told}; it must be above 0, as steps divide by it.")
        small = name in ("beta1", "beta2") and number < 0.5
        numbers[name] = 1 - float(np.float32(1 - number)) if small else float(np.float32(number))
    return type(rule)(**numbers)


@dataclass(slots=True)
class Training:
    """Trains the sides on a sample's batches and compares them with the first, step by step.

    Attributes:
        pool: Where the model is opened.
        sides: The sides that train, the reference first; those that cannot are dropped by the first sample.
        count: Number of steps.
        rule: The optimizer's numbers.
        inputs: Given shapes.
        unable: Told of each side that drops out.
        loss: What is made smaller: ``"given"`` for the model's own losses, ``"mse"`` or ``"cross-entropy"``; empty for
            its own if it has some, else ``"mse"``.
        overrides: Bounds that the user gives.
        recorder: Where the steps of the reference are recorded; None if they are not.
        warnings: What readers of the report must know.
        curves: Loss of each step by side, of the first sample and without its weight; not of sides that know the loss's
            gradient only.
    """

    pool: Pool
    sides: list[Party]
    count: int
    rule: Rule
    inputs: Sequence[InputSpec]
    unable: Unable
    loss: str = ""
    overrides: Sequence[Override] = ()
    recorder: Recorder | None = None
    warnings: list[str] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """What is done, e.g. ``"2 steps of SGD (lr 0.05, momentum 0.9, weight decay 0.0001)"``."""
        numbers = ", ".join(f"{name.replace('_', ' ')} {_short(number)}" for name, number in asdict(self.rule).items())
        name = "Adam" if isinstance(self.rule, Adam) else "SGD"
        on = " on cross-entropy" if self.loss == "cross-entropy" else ""
        return f"{self.count} step{'s' * (self.count != 1)} of {name} ({numbers}){on}"

    def checks(self, sample: Sample) -> list[Check]:
        """Train all sides on a sample's batches and compare losses, parameters and running statistics of each step.

        The first step is made on the sample itself, the others on samples that stand in for it.

        Raises:
            InputError: The model has no parameters to train, no output that the loss is for, or no losses of its own
                where these are asked for; or the reference's training diverges.
        """
        model = self.pool.model("float32")
        chosen = self._chosen(model)
        stored = ((value.name or "", value.const_value) for value in of_kind(model, "parameter"))
        names = [name for name, tensor in stored if tensor is not None and tensor.dtype.is_floating_point()]
        if not names:
            raise InputError("There is nothing to train: the model has no parameters. Leave --train-steps out.")
        if any(node.op_type == "Dropout" and not node.domain for node in model.graph):
            self.warnings.append("Dropout is off in the steps of training: every framework draws masks of its own.")
        batches: list[Batch] = []
        while self.sides and not self._attempts(
            self.sides[0], lambda: batches.extend(self._batches(model, sample, chosen))
        ):
            self.sides.pop(0)
        statistics = Statistics(model, _sizes(model, batches))
        floors = _Floors(self, batches, sample.seed)
        curves: dict[str, list[float]] = {}
        found: list[Check] = []
        for number in range(self.count):  # side by side, so that there is one step in memory
            made = [side.advance if number else partial(side.begin, batches, self.rule) for side in self.sides]
            able = [self._attempts(side, step) for side, step in zip(self.sides, made, strict=True)]
            self.sides = [side for side, can in zip(self.sides, able, strict=True) if can]
            if len(self.sides) < (2 if self.recorder is None else 1):
                break
            self._refuse_divergence(number)
            if self.recorder is not None:
                self._record(self.recorder, sample, batches, number)
            for side in self.sides:
                if (loss := _made(side).loss) is not None:
                    weight = 1.0 if chosen == "given" else batches[number].weight
                    curves.setdefault(side.name, []).append(float(loss) / weight)
            for kind, wanted, sides in self._passes(model, names, statistics, number, _NAMES.get(chosen, "")):
                for side in sides[1:]:
                    checks = judge(wanted, sides[0], side, lambda: floors.of(number, kind), self.overrides)  # noqa: B023  # called at once
                    notes = [note for note in (sides[0].note, side.note) if note]
                    apart = kind == "running statistic" and _unlike(sides[0], side)
                    found += [_noted(check, notes, statistics if apart else None) for check in checks]
        if self.recorder is not None and self.sides:
            single = any(side.dtype == "float32" for side in self.sides)
            self.recorder.trained(floors.all() if single else [])
        for side in self.sides:
            side.finish()
        self.curves = self.curves or curves
        return found

    def _refuse_divergence(self, number: int) -> None:
        """What follows numbers of the reference that are NaN or infinite is so as well, and says nothing of parity."""
        first, *others = self.sides
        if (what := _diverged(_made(first))) is None:
            return
        finite = [side.name for side in others if _diverged(_made(side)) is None]
        calm = f" ({several(finite, 4)} still finite)" if finite else ""
        raise InputError(
            f"Training diverges on {first.name}: {what} NaN or infinite after step {number + 1} of {self.count}, which "
            f"nothing can be compared with{calm}. Give a smaller --lr than {_short(self.rule.lr)}, or data that the "
            f"model can learn from with --feed."
        )

    def _record(self, recorder: Recorder, sample: Sample, batches: Sequence[Batch], number: int) -> None:
        first = live(self.sides)
        if not number:
            recorder.train(sample, first, batches, self.rule)
        recorder.step(_made(first))

    def _chosen(self, model: ir.Model) -> str:
        """``"given"`` or what targets are drawn for."""
        own = losses(model)
        if self.loss not in ("", "given", "mse", "cross-entropy"):
            raise InputError(f"No loss is called {self.loss!r}; there are given, mse and cross-entropy.")
        if own and self.loss in _NAMES:
            told = "losses" if len(own) > 1 else "a loss"
            raise InputError(
                f"The model has {told} of its own ({', '.join(map(repr, own))}), so it is not trained on "
                f"{self.loss}. Leave --loss out to train its own, or read an MXNet symbol without --train."
            )
        if self.loss == "given" and not own:
            raise InputError(
                "The model has no losses of its own to train. Read those of an MXNet symbol's output layers with "
                "--train, or choose --loss mse or --loss cross-entropy."
            )
        return self.loss or ("given" if own else "mse")

    def _batches(self, model: ir.Model, sample: Sample, chosen: str) -> list[Batch]:
        """The batch of each step."""
        samples = [sample.stand_in(number) for number in range(self.count)]
        feeds = [one.feeds(model, self.inputs) for one in samples]
        if isinstance(first := self.sides[0], RecordedSide):
            return first.batches(feeds)
        if chosen == "given":
            weight = self._weight(model, Batch(feeds[0])) if isinstance(self.rule, Adam) else 1.0
            return [Batch(one, weight=weight) for one in feeds]
        outputs = in_dtype(self.sides[0].preview(feeds[0]), np.float32)
        drawn = [self._targets(outputs, one.seed, chosen) for one in samples]
        scales = {name: _scale(outputs[name]) for name in drawn[0]}
        loss: Loss = "cross-entropy" if chosen == "cross-entropy" else "mse"
        weight = self._weight(model, Batch(feeds[0], drawn[0], scales, 1.0, loss))
        return [Batch(one, targets, scales, weight, loss) for one, targets in zip(feeds, drawn, strict=True)]

    @staticmethod
    def _targets(outputs: Arrays, seed: int, chosen: str) -> Arrays:
        """Targets of the outputs that can have one."""
        found: Arrays
        if chosen == "mse":
            if found := draw_seeds(outputs, seed):
                return found
            raise InputError("There is nothing to train for: the model has no float output. Leave --train-steps out.")
        found = draw_classes(outputs, seed)
        if any(outputs[name].shape[1] > 1 for name in found):
            return found
        raise InputError(
            "There is nothing to train for with cross-entropy: the model has no float output with two or more classes "
            "along axis 1. Choose --loss mse."
        )

    def _weight(self, model: ir.Model, batch: Batch) -> float:
        """The power of two to take the loss times."""
        side = self.sides[0]
        adam = isinstance(self.rule, Adam)
        side.begin([batch], Sgd(_PROBE if adam else self.rule.lr, 0.0, 0.0))
        moves = []
        for name, found in _made(side).parameters.items():
            before = model.graph.initializers[name].const_value
            start = None if before is None else before.numpy().astype(np.float64)
            if start is not None and (peak := _PROBE if adam else magnitude(start)):
                moves.append(magnitude(found.astype(np.float64) - start) / peak)
        farthest = max(moves, default=0.0)
        wanted = REACH * self.rule.epsilon if isinstance(self.rule, Adam) else MOVE
        return 2.0 ** round(math.log2(wanted / farthest)) if 0 < farthest < math.inf else 1.0

    def _attempts(self, side: Party, action: Callable[[], None]) -> bool:
        try:
            action()
        except (UnsupportedError, ShapeNeededError, MissingError, ExecutionError) as problem:
            self.unable(side, "train", problem)
            return False
        return True

    def _passes(
        self, model: ir.Model, names: Sequence[str], statistics: Statistics, number: int, told: str
    ) -> Iterator[tuple[Kind, Pass, list[Party]]]:
        """What a step is compared in, and by which sides."""
        own = losses(model)
        scored: dict[str, Kind] = dict.fromkeys(own or [told], "loss")
        plain: dict[str, Kind] = {v.name or "": "output" for v in model.graph.outputs if v.name not in own}
        trained: dict[str, Kind] = dict.fromkeys(names, "parameter")
        running: dict[str, Kind] = dict.fromkeys(statistics.names, "running statistic")
        everything = frozenset((*scored, *plain, *trained))
        behind = dict.fromkeys(self._concerned(), everything)
        scorers = [side for side in self.sides if _made(side).loss is not None]
        step = number + 1

        def outputs(side: Party) -> Arrays:
            return {name: array for name, array in _made(side).outputs.items() if name not in own}

        def loss(side: Party) -> Arrays:
            found = _made(side)
            assert found.loss is not None
            return {name: found.outputs[name] for name in own} or {told: found.loss}

        def buffers(side: Party) -> Arrays:
            first, own_step = _made(self.sides[0]), _made(side)
            held = {name: array for name, array in own_step.buffers.items() if name in running}
            return statistics.converted(held, step, biased=not own_step.unbiased, to_biased=not first.unbiased)

        yield "loss", Pass(scored, loss, False, behind, "loss", TRAINED, step), scorers
        if len(scorers) < len(self.sides):
            yield "output", Pass(plain, outputs, False, behind, "output", TRAINED, step), self.sides
        weights = Pass(trained, lambda side: _made(side).parameters, True, behind, "parameter", TRAINED, step)
        yield "parameter", weights, self.sides
        if running:
            single = {"mxnet": frozenset(running)}  # the share that a step keeps
            stray: Kind = "running statistic"
            yield stray, Pass(running, buffers, True, single, stray, TRAINED, step), self.sides

    def _concerned(self) -> list[str]:
        """Runtimes that compute with float32 numbers somewhere; MXNet scales the gradients of losses so."""
        model = self.pool.model("float64")
        known = {side.runtime.name for side in self.sides}
        return [name for name in known if single_outputs(model, name) or (name == "mxnet" and losses(model))]


def _diverged(step: Step) -> str | None:
    """What of a step is not finite, with its verb."""
    if step.loss is not None and not np.isfinite(step.loss).all():
        return "the loss is"
    return next((f"{name!r} is" for name, array in step.parameters.items() if not np.isfinite(array).all()), None)


class _Floors:
    """How far training in float32 is from training in float64, measured when first asked for."""

    def __init__(self, training: Training, batches: Sequence[Batch], seed: int) -> None:
        self._training = training
        self._batches, self._seed = batches, seed
        self._found: list[dict[str, float]] | None = None

    def of(self, number: int, kind: Kind) -> dict[str, float]:
        """Floor of each tensor of one kind after one step."""
        return self.all()[number * len(_KINDS) + _KINDS.index(kind)]

    def all(self) -> list[dict[str, float]]:
        """Floors of the kinds of all steps, step by step."""
        if self._found is None:
            first = self._training.sides[0]
            held = first.trained_floors if isinstance(first, RecordedSide) else []
            self._found = held or self._measured()
        return self._found

    def _measured(self) -> list[dict[str, float]]:
        """On the first runtime that trains the model in both precisions; the reference's own is tried first."""
        training = self._training
        first, known = live(training.sides), runtimes()
        others = [(known[name], True) for name in FLOORS if name in known and name != first.runtime.name]
        for runtime, native in [(first.runtime, first.native), *others]:
            if runtime.missing() is not None or "train" not in runtime.can:
                continue
            try:
                double = training.pool.trainable(runtime, native, "float64")
                wide = [
                    replace(one, feeds=in_dtype(one.feeds, np.float64), targets=in_dtype(one.targets, np.float64))
                    for one in self._batches
                ]
                truth = _groups(double.train(wide, training.rule), _NAMES[self._batches[0].loss])
                return spread(truth, lambda index: self._run(runtime, native, index))  # noqa: B023  # called at once
            except GraphkitError:
                continue
        training.warnings.append(
            f"No runtime here trains the model in float64, so the noise floor is how much {first.name} in float32 "
            f"changes when its inputs change by a rounding error."
        )
        return spread(None, lambda index: self._run(first.runtime, first.native, index))

    def _run(self, runtime: Runtime, native: bool, index: int) -> list[Arrays]:
        single = self._training.pool.trainable(runtime, native, "float32")
        moved = [
            replace(one, feeds=nudged(one.feeds, self._seed, index * _APART + number, UNITS)) if index else one
            for number, one in enumerate(self._batches)
        ]
        return _groups(single.train(moved, self._training.rule), _NAMES[self._batches[0].loss])


_KINDS: Final[tuple[Kind, ...]] = ("output", "loss", "parameter", "running statistic")


def _groups(steps: Iterator[Step], told: str) -> list[Arrays]:
    """The tensors of all steps in groups of one kind, in the order of ``_KINDS``."""
    groups: list[Arrays] = []
    for step in steps:
        loss = {} if step.loss is None else {told: step.loss}
        groups += [step.outputs, {**step.outputs, **loss}, step.parameters, step.buffers]
    return groups


def _sizes(model: ir.Model, batches: Sequence[Batch]) -> dict[str, int]:
    """Size of each symbolic dimension of the inputs."""
    fed = batches[0].feeds if batches else {}
    dims = {value.name or "": dims_of(value) or () for value in model.graph.inputs}
    pairs = ((dim, size) for name, array in fed.items() for dim, size in zip(dims[name], array.shape, strict=True))
    return {dim: size for dim, size in pairs if isinstance(dim, str)}


def _scale(output: npt.NDArray[np.generic]) -> float:
    """The power of two that brings an output's magnitude near 1, which changes no digit of it."""
    wide = output.astype(np.float64)
    size = float(np.sqrt(np.mean(np.square(wide), where=np.isfinite(wide)))) if np.isfinite(wide).any() else 0.0
    return 2.0 ** -round(math.log2(size)) if size else 1.0


def _noted(check: Check, notes: Sequence[str], statistics: Statistics | None) -> Check:
    """The check with what is to be known of its sides and, where they move variances by two laws, of that."""
    if statistics is not None and check.name in statistics.unknown:
        check = replace(check, verdict="unavailable")
    told = [check.note, *notes, "" if statistics is None else statistics.note(check.name)]
    return replace(check, note="; ".join(filter(None, told)))


def _made(side: Party) -> Step:
    """The step that a side has made last."""
    assert side.step is not None
    return side.step


def _unlike(one: Party, two: Party) -> bool:
    """Whether two sides move running variances by two laws."""
    return _made(one).unbiased != _made(two).unbiased


def _short(number: float) -> str:
    """A number that is held in float32, in as few digits as tell it from others."""
    few = f"{number:g}"
    return few if np.float32(few) == np.float32(number) else str(np.float32(number))
