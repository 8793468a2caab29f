"""A side of a comparison whose numbers come from a baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from graphkit.errors import InputError, MissingError
from graphkit.frameworks.base import EXECUTION
from graphkit.parity.baseline import digests
from graphkit.parity.inputs import draw_seeds, in_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Ability, Batch, Execution, Mode, Rule, Session, Setting, Step
    from graphkit.parity.baseline import Baseline, Recorded, RecordedTraining
    from graphkit.parity.sides import Arrays, Side

__all__ = ["Party", "RecordedRuntime", "RecordedSide", "live", "recorded_sides"]

_SHOWN: Final = 16
"""Hexadecimal digits of a hash that a message shows."""


@dataclass(frozen=True, slots=True)
class RecordedRuntime:
    """The runtime whose numbers were recorded, for what asks who a side's runtime is; it runs nothing.

    Attributes:
        name: How the command line calls it.
        label: How people call it.
        recorded: The version that was recorded.
        can: What was recorded of it.
        native: Empty: it runs no sources.
    """

    name: str
    label: str
    recorded: str
    can: frozenset[Ability]
    native: str = ""

    def missing(self) -> str:
        """Why it cannot run here: always."""
        return f"{self.label} is not run, its numbers are recorded"

    def version(self) -> str:
        """The version that was recorded."""
        return f"{self.recorded} (recorded)"

    @property
    def follows(self) -> frozenset[Setting]:
        """None: nothing is run."""
        return frozenset()

    def open(
        self,
        _model: ir.Model,
        *,
        mode: Mode = "eval",  # noqa: ARG002  # the protocol's, as those below
        native: bool = True,  # noqa: ARG002
        execution: Execution = EXECUTION,  # noqa: ARG002
    ) -> Session:
        """Refuse: there is nothing to run.

        Raises:
            MissingError: Always.
        """
        raise MissingError(f"{self.missing()}; name a runtime that is installed.")


class RecordedSide:
    """What a baseline holds of one side, with the attributes and methods of :class:`graphkit.parity.sides.Side`.

    Arrays are under the names of the model compared. Each is read when a sample or a step is reached, which is found
    by the hashes of its inputs.

    Args:
        baseline: The baseline.
        side: Name of the side that was recorded.
        model: A model for which :meth:`graphkit.parity.baseline.Baseline.check` passed.

    Attributes:
        name: What reports call it, e.g. ``"baseline (mxnet 1.9.1)"``.
        runtime: Whose numbers they are.
        native: False: nothing is run.
        dtype: Precision that was computed in.
        note: Why that was not the one asked for.
        implied: False: it was asked for.
        names: None: it speaks of the model compared.
        boxed: Empty.
        orders: Empty.
        levels: False: the model compared is held in the same float types.
        mode: How BatchNorm and Dropout behaved.
        outputs: Outputs of the current sample.
        values: Values between nodes of the current sample, where they were asked for.
        gradients: Gradients of the current sample; None where it has none.
        slopes: Gradients in values between nodes, where they were asked for.
        step: The last step of training; None where it does not train.
        floors: Noise floors of outputs and of gradients that were recorded of the current sample, absolute.
        trained_floors: Those of the current training, in the order in which they were measured.
    """

    def __init__(self, baseline: Baseline, side: str, model: ir.Model) -> None:
        by = baseline.sides[side]
        self._baseline, self._side = baseline, side
        self._theirs = baseline.names(model)
        self._ours = {theirs: ours for ours, theirs in self._theirs.items()}
        self._samples = {_key(one.feeds): one for one in baseline.samples if one.groups(side)}
        self._trainings = [one for one in baseline.trainings if one.side == side]
        self._training: tuple[RecordedTraining, int] | None = None
        version = by.version.partition(" (")[0]
        alone = sum(other.version == by.version for other in baseline.sides.values()) == 1
        self.name = f"baseline ({version})" if alone else f"baseline ({side}, {version})"
        self.runtime = RecordedRuntime(by.runtime, by.label, by.version, self._can())
        self.native = self.implied = False
        self.dtype = by.dtype
        self.note = by.note
        self.names: Mapping[str, str] | None = None
        self.boxed: frozenset[str] = frozenset()
        self.orders: Mapping[str, tuple[int, ...]] = {}
        self.levels = False
        self.mode: Mode = "eval" if baseline.conditions.mode == "eval" else "train-no-dropout"
        self.step: Step | None = None
        self.trained_floors: list[dict[str, float]] = []
        self.forget()

    def _can(self) -> frozenset[Ability]:
        groups = frozenset[str]().union(*(one.groups(self._side) for one in self._samples.values()))
        abilities: dict[Ability, object] = {
            "forward": groups,
            "taps": groups & {"values"},
            "backward": groups & {"gradients"},
            "train": self._trainings,
        }
        return frozenset(name for name, held in abilities.items() if held)

    def forget(self) -> None:
        """Free what is held of the current sample."""
        self.outputs: Arrays = {}
        self.values: Arrays = {}
        self.gradients: Arrays | None = None
        self.slopes: Arrays = {}
        self.floors: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {})

    def tappable(self) -> frozenset[str]:
        """Names of the values between nodes that were recorded."""
        found = (self._named(one.names(self._side, "values")) for one in self._samples.values())
        return frozenset[str]().union(*found)

    def lacks(self, _name: str) -> bool:
        """False: a baseline that lacks a tensor is none of the model compared."""
        return False

    def noise(
        self, _feeds: Arrays, _seeds: Arrays | None, _seed: int, _runs: int
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Nothing: it was not recorded."""
        return {}, {}

    def residues(self, _feeds: Arrays, _seeds: Arrays, _seed: int) -> dict[str, float]:
        """Nothing: it was not recorded."""
        return {}

    def holds(self, feeds: Arrays) -> bool:
        """Whether a sample with these inputs was recorded."""
        return _key(digests(self._recorded(feeds))) in self._samples

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> None:
        """Give the :attr:`outputs` recorded for feeds in float32, and the :attr:`values` of the names in ``taps``.

        Raises:
            InputError: No sample with these inputs was recorded.
            FormatError: The file is damaged.
        """
        sample = self._found(feeds)
        self.outputs = self._read(sample, "outputs")
        self.values = self._read(sample, "values", taps)
        outputs, gradients = sample.floors
        self.floors = self._renamed(outputs), self._renamed(gradients)

    def cotangents(self, seed: int) -> Arrays:
        """The cotangents of the current sample in float32, drawn for the outputs as they were called when recorded."""
        return self._renamed(in_dtype(draw_seeds(self._recorded(self.outputs), seed), np.float32))

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> None:
        """Give the :attr:`gradients` recorded for feeds and cotangents in float32, and the :attr:`slopes` in ``taps``.

        Raises:
            InputError: No gradients were recorded for these inputs and cotangents.
            FormatError: The file is damaged.
        """
        sample = self._found(feeds)
        if sample.seeds is None or "gradients" not in sample.groups(self._side):
            raise self._stale(f"it holds no gradients of {self._side} for sample {sample.label!r}")
        found = digests(self._recorded(seeds))
        if found != sample.seeds:
            changed = sorted(name for name in {*found, *sample.seeds} if found.get(name) != sample.seeds.get(name))
            told = ", ".join(map(repr, changed))
            raise self._stale(f"its gradients of sample {sample.label!r} are for other cotangents of {told}")
        self.gradients = self._read(sample, "gradients")
        self.slopes = self._read(sample, "slopes", taps)

    def preview(self, feeds: Arrays) -> Arrays:
        """The outputs recorded in training mode for feeds in float32, which are those of the first step.

        Raises:
            InputError: No training that begins with these inputs was recorded.
            FormatError: The file is damaged.
        """
        return self._named_step(self._trained([feeds]).step(0)).outputs

    def batches(self, feeds: Sequence[Arrays]) -> list[Batch]:
        """What the recorded steps were made on, from the inputs of each: their targets, scales and weight.

        Raises:
            InputError: No training on these inputs was recorded, or fewer steps.
            FormatError: The file is damaged.
        """
        training = self._trained(feeds)
        found = []
        for number, one in enumerate(feeds):
            batch = training.batch(number, one)
            scales = {self._theirs.get(name, name): scale for name, scale in batch.scales.items()}
            found.append(replace(batch, targets=self._renamed(batch.targets), scales=scales))
        return found

    def begin(self, batches: Sequence[Batch], rule: Rule) -> None:
        """Give the first recorded :attr:`step` of the training on these batches in float32.

        Raises:
            InputError: No training on these batches by this rule was recorded.
            FormatError: The file is damaged.
        """
        training = self._trained([batch.feeds for batch in batches])
        if training.rule != rule:
            raise self._stale(f"its steps of training were made by {training.rule}, not by {rule}")
        for number, (ours, theirs) in enumerate(
            zip(batches, self.batches([one.feeds for one in batches]), strict=True)
        ):
            if _terms(ours) != _terms(theirs):
                raise self._stale(
                    f"step {number + 1} of its training is towards other targets, or weighs them otherwise"
                )
        self._training = training, 1
        self.trained_floors = [self._renamed(one) for one in training.floors]
        self.step = self._named_step(training.step(0))

    def advance(self) -> None:
        """Give the next recorded :attr:`step`.

        Raises:
            InputError: There is none.
            FormatError: The file is damaged.
        """
        assert self._training is not None
        training, number = self._training
        if number >= training.count:
            raise self._stale(f"it holds {training.count} steps of training only")
        self._training = training, number + 1
        self.step = self._named_step(training.step(number))

    def finish(self) -> None:
        """Free what is held of a training."""
        self._training, self.step, self.trained_floors = None, None, []

    def _found(self, feeds: Arrays) -> Recorded:
        recorded = self._recorded(feeds)
        found = digests(recorded)
        sample = self._samples.get(_key(found))
        if sample is not None:
            return sample
        if not self._samples:
            raise self._stale(f"it holds no sample of {self._side}")
        near = max(self._samples.values(), key=lambda one: sum(one.feeds.get(name) == found[name] for name in found))
        changed = [name for name in found if near.feeds.get(name) != found[name]]
        told = []
        for name in changed:
            shape, was = tuple(recorded[name].shape), near.shapes.get(name)
            what = f"{shape}, recorded with {was}" if shape != was else f"SHA-256 {found[name][:_SHOWN]}…"
            told.append(f"{self._theirs.get(name, name)!r} ({what})")
        wrong = ", ".join(told)
        raise self._stale(f"it holds no sample with these inputs; nearest is {near.label!r}, with another {wrong}")

    def _trained(self, feeds: Sequence[Arrays]) -> RecordedTraining:
        wanted = [digests(self._recorded(one)) for one in feeds]
        for training in self._trainings:
            if training.feeds[: len(wanted)] == wanted:
                return training
        begun = max(
            (len(training.feeds) for training in self._trainings if training.feeds[:1] == wanted[:1]), default=0
        )
        if 0 < begun < len(wanted):
            raise self._stale(f"it holds {begun} steps of training, {len(wanted)} are asked for")
        raise self._stale(f"it holds no steps of training of {self._side} on these inputs")

    def _stale(self, why: str) -> InputError:
        return InputError(f"{self._baseline.path} is no baseline for this comparison: {why}; {self._baseline.renewal}.")

    def _read(self, sample: Recorded, group: str, names: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        if names is not None:
            known = set(sample.names(self._side, group))
            names = [name for name in (self._ours.get(name, name) for name in names) if name in known]
        return self._renamed(sample.arrays(self._side, group, names))

    def _named_step(self, step: Step) -> Step:
        outputs, parameters, buffers = map(self._renamed, (step.outputs, step.parameters, step.buffers))
        return replace(step, outputs=outputs, parameters=parameters, buffers=buffers)

    def _recorded(self, arrays: Arrays) -> Arrays:
        return {self._ours.get(name, name): array for name, array in arrays.items()}

    def _renamed(self, found: Mapping[str, Any]) -> dict[str, Any]:
        return {self._theirs.get(name, name): each for name, each in found.items()}

    def _named(self, names: Sequence[str]) -> list[str]:
        return [self._theirs.get(name, name) for name in names]


def recorded_sides(baseline: Baseline, model: ir.Model) -> list[RecordedSide]:
    """Every side that a baseline holds, the reference of the outputs first.

    Args:
        baseline: The baseline.
        model: A model for which :meth:`graphkit.parity.baseline.Baseline.check` passed.
    """
    return [RecordedSide(baseline, side, model) for side in baseline.sides]


def _key(hashes: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(hashes.items())


def _terms(batch: Batch) -> tuple[Any, ...]:
    return digests(batch.targets), dict(batch.scales), batch.weight, batch.loss


Party: TypeAlias = "Side | RecordedSide"
"""One that takes part in a comparison."""


def live(sides: Sequence[Party]) -> Side:
    """The first side that a runtime runs here.

    Raises:
        InputError: There is none.
    """
    for side in sides:
        if not isinstance(side, RecordedSide):
            return side
    raise InputError("There is nothing to compare with the baseline: no runtime runs the model here.")
