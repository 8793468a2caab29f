"""Baselines: what runtimes gave for a model, in one file, for comparisons where these runtimes are not there.

A baseline is an ``.npz`` file of plain arrays with a description in JSON, ``baseline.json``. It holds outputs,
gradients, values between nodes and steps of training, sample by sample; of the model and of what it was fed hashes
(:mod:`graphkit.parity.signature`), so that a comparison with another model or on other inputs is found out. Inputs are
kept where they were given or are small; others are drawn again from their seed and held to their hash.

:class:`graphkit.parity.recorder.Recorder` writes one; :class:`graphkit.parity.recorded.RecordedSide` takes the place of
a runtime in a comparison.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.base import Batch, Step
from graphkit.parity.conditions import Conditions, parse_rule
from graphkit.parity.inputs import draw_inputs
from graphkit.parity.npz import Archive, called
from graphkit.parity.samples import Sample
from graphkit.parity.signature import Signature, Weight, digest, signature_of
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.parity.sides import Arrays, Precision

__all__ = [
    "ABOUT",
    "FORMAT",
    "VERSION",
    "Baseline",
    "Recorded",
    "RecordedBy",
    "RecordedTraining",
    "digests",
    "load_baseline",
]

ABOUT: Final = "baseline.json"
"""The member that describes the others."""
FORMAT: Final = "graphkit baseline"
VERSION: Final = 1
"""Version of the format; files of another one are refused."""


def digests(arrays: Arrays) -> dict[str, str]:
    """The hash of each array."""
    return {name: digest(array) for name, array in arrays.items()}


@dataclass(frozen=True, slots=True)
class RecordedBy:
    """A side that was recorded.

    Attributes:
        runtime: What the command line calls its runtime.
        label: What people call it.
        version: Its version.
        dtype: Precision that it computed in.
        note: Why that is not the one asked for.
    """

    runtime: str
    label: str
    version: str
    dtype: Precision
    note: str


class Recorded:
    """What was recorded of one sample.

    Attributes:
        label: What reports call it.
        seed: Seed of the cotangents, and of the inputs where these were drawn.
        stand_in: Which of the samples that stand in for the one of this label it is; 0 for that itself.
        given: Whether the inputs were given rather than drawn.
        batch: Size of a free batch dimension; None for the usual one.
        feeds: Hash of each input, by its recorded name.
        shapes: Shape of each input.
        seeds: Hash of each cotangent; None where no gradients were recorded.
        floors: Noise floors of outputs and of gradients, absolute, as far as they were measured.
    """

    def __init__(self, archive: Archive, told: dict[str, Any], number: int) -> None:
        self._archive, self._told, self._number = archive, told, number
        self.label: str = told["label"]
        self.seed: int = told["seed"]
        self.stand_in: int = told["stand_in"]
        self.given: bool = told["given"]
        self.batch: int | None = told["batch"]
        self.feeds: dict[str, str] = dict(told["feeds"])
        self.shapes = {name: tuple(shape) for name, shape in told["shapes"].items()}
        self.seeds: dict[str, str] | None = None if told["seeds"] is None else dict(told["seeds"])
        outputs, gradients = told["floors"]
        self.floors: tuple[dict[str, float], dict[str, float]] = (outputs, gradients)
        self._sides: dict[str, dict[str, dict[str, Any]]] = told["sides"]

    def groups(self, side: str) -> frozenset[str]:
        """What a side holds: of ``"outputs"``, ``"values"``, ``"gradients"`` and ``"slopes"`` those with arrays."""
        return frozenset(group for group, arrays in self._sides.get(side, {}).items() if arrays)

    def names(self, side: str, group: str) -> list[str]:
        """Names of the arrays that a side gave, sorted."""
        return list(self._sides.get(side, {}).get(group) or {})

    def arrays(self, side: str, group: str, names: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """The arrays that a side gave, read now; all of them or those of some names.

        Raises:
            FormatError: The file is damaged.
        """
        folder = f"samples/{self._number}/{called(side)}/{group}"
        known = self._sides[side].get(group) or {}
        return _read(self._archive, folder, known if names is None else {name: known[name] for name in names})

    def kept(self) -> dict[str, npt.NDArray[Any]] | None:
        """The inputs, if they were kept.

        Raises:
            FormatError: The file is damaged.
        """
        told = self._told["kept"]
        return None if told is None else _read(self._archive, f"samples/{self._number}/feeds", told)


class RecordedTraining:
    """What was recorded of steps of training.

    Attributes:
        label: What reports call the sample that they begin with.
        side: Name of the side that made them.
        rule: The optimizer.
        feeds: Hash of each input of each step.
        count: Number of steps.
        floors: Noise floors, in the order in which they were measured.
    """

    def __init__(self, archive: Archive, told: dict[str, Any], number: int) -> None:
        self._archive, self._told, self._folder = archive, told, f"training/{number}"
        self.label: str = told["label"]
        self.side: str = told["side"]
        self.rule = parse_rule(told["rule"])
        self.feeds: list[dict[str, str]] = [dict(batch["feeds"]) for batch in told["batches"]]
        self.count = len(told["steps"])
        self.floors: list[dict[str, float]] = list(told["floors"])

    def batch(self, number: int, feeds: Arrays) -> Batch:
        """What a step was made on, from its inputs.

        Raises:
            FormatError: The file is damaged.
        """
        told = self._told["batches"][number]
        targets = _read(self._archive, f"{self._folder}/targets/{number}", told["targets"])
        return Batch(feeds, targets, dict(told["scales"]), told["weight"], told["loss"])

    def step(self, number: int) -> Step:
        """What a step gave.

        Raises:
            FormatError: The file is damaged.
        """
        told = self._told["steps"][number]
        outputs, loss, parameters, buffers = (
            _read(self._archive, f"{self._folder}/{number}/{group}", told[group])
            for group in ("outputs", "loss", "parameters", "buffers")
        )
        return Step(outputs, loss.get("loss"), parameters, buffers, told["unbiased"])


class Baseline:
    """An opened baseline; a context manager that closes the file.

    Attributes:
        path: The file.
        title: What was compared when it was recorded, in words.
        environment: Versions and settings of that comparison by name.
        conditions: How it was made.
        signature: The model it was of.
        sides: Who gave the numbers, by the name of the side.
        samples: What was recorded of each sample, those that stand in for others included.
        trainings: What was recorded of steps of training.
    """

    def __init__(self, path: Path, archive: Archive, about: dict[str, Any]) -> None:
        self.path = path
        self.title: str = about["title"]
        self.environment: dict[str, str] = dict(about["environment"])
        self.conditions = Conditions.parsed(about["settings"])
        self.signature = _signature(about["model"])
        self.sides = {name: RecordedBy(**told) for name, told in about["sides"].items()}
        self.samples = tuple(Recorded(archive, told, number) for number, told in enumerate(about["samples"]))
        self.trainings = tuple(
            RecordedTraining(archive, told, number) for number, told in enumerate(about["trainings"])
        )
        self._archive = archive
        self._met: tuple[ir.Model, Signature] | None = None

    def check(self, model: ir.Model, asked: Conditions | None = None) -> list[str]:
        """Whether the baseline is one of this model and serves a comparison.

        A graph other than the recorded one is told, not refused: whether a model that was changed, converted or read
        by another version of graphkit still computes the same is what a comparison is for.

        Args:
            model: The model to compare, as it was read.
            asked: How it is to be compared; None for as it was recorded.

        Returns:
            What readers of the report must know.

        Raises:
            InputError: The model has other weights or inputs, or the comparison asks for what was not recorded.
        """
        found = self._signature_of(model)
        parts = {
            "other weights": self.signature.other_weights(found),
            "other inputs or outputs": self.signature.other_inputs(found),
            "other settings": "" if asked is None else "; ".join(self.conditions.lacking(asked)),
        }
        wrong = [f"{what}: {told}" for what, told in parts.items() if told]
        if wrong:
            same = "the graph is the same" if found.structure == self.signature.structure else "the graph is another"
            raise InputError(
                f"{self.path} is no baseline for this comparison: {'; '.join(wrong)} ({same}). It was recorded of "
                f"{self.title or 'a model'} with {self._recorded_with()}; {self.renewal}."
            )
        if found.structure != self.signature.structure:
            told = (
                f"The graph is another than the one that {self.path.name} was recorded of (changed, converted, or read "
                f"by another version of graphkit), with the same weights."
            )
            return [told]
        return []

    @property
    def renewal(self) -> str:
        """How to record the baseline anew, as a clause."""
        return f"if the model is right as it is, record it anew with --save-baseline {self.path}"

    def names(self, model: ir.Model) -> dict[str, str]:
        """Name in a model, for which :meth:`check` passed, of each recorded input, output, parameter and buffer."""
        return self.signature.names(self._signature_of(model))

    def inputs(self, model: ir.Model) -> Iterator[Sample]:
        """The samples to compare on, those that stand in for others left out, with the inputs that were recorded.

        Args:
            model: A model for which :meth:`check` passed.

        Raises:
            InputError: The inputs of a sample were not kept, and are others when they are drawn again.
            FormatError: The file is damaged.
        """
        single = cast_floats(model, "float32")
        names = self.names(model)
        ours = {theirs: name for name, theirs in names.items()}
        for value in single.graph.inputs:  # what is drawn depends on the name
            if not value.is_initializer():
                value.name = ours[value.name or ""]
        for sample in self.samples:
            if not sample.stand_in:
                yield self._sample(sample, single, names)

    def _sample(self, sample: Recorded, model: ir.Model, names: Mapping[str, str]) -> Sample:
        label, seed, batch = sample.label, sample.seed, sample.batch
        found: Arrays | None = None
        if not sample.given:
            with suppress(InputError):
                found = draw_inputs(model, seed, batch, self.conditions.inputs)
        drawn = {} if found is None else digests(found)
        if drawn == sample.feeds and all(names[name] == name for name in drawn):
            return Sample(label, seed, batch)
        if drawn != sample.feeds:
            found = sample.kept()
        if found is not None:
            return Sample(label, seed, batch, {names[name]: array for name, array in found.items()})
        changed = [names[name] for name in sample.feeds if drawn.get(name) != sample.feeds[name]]
        raise InputError(
            f"{self.path} holds other inputs: {', '.join(map(repr, changed))} of sample {label!r} were drawn from seed "
            f"{seed} and are others when they are drawn again, as the model asks for other shapes or numbers, or numpy "
            f"draws others; {self.renewal}."
        )

    def _recorded_with(self) -> str:
        told = ", ".join(side.version for side in self.sides.values())
        version = self.environment.get("graphkit")
        return f"{told} and graphkit {version}" if version else told

    def _signature_of(self, model: ir.Model) -> Signature:
        if self._met is None or self._met[0] is not model:
            self._met = model, signature_of(model)
        return self._met[1]

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def load_baseline(path: Path) -> Baseline:
    """Open a baseline; its arrays are read when they are asked for.

    Raises:
        InputError: There is no such file.
        FormatError: It is no baseline, one of another version of the format, or damaged.
    """
    archive = Archive(path)
    try:
        if ABOUT not in archive.names:
            raise FormatError(f"{path} is no baseline: it holds no {ABOUT}. Record one with --save-baseline {path}.")
        text = archive.text(ABOUT)
        try:
            about = json.loads(text)
            form, version = about["format"], about["version"]
            if form == FORMAT and version == VERSION:
                return Baseline(path, archive, about)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: {ABOUT} makes no sense: {type(error).__name__}: {error}.") from error
        if form != FORMAT:
            raise FormatError(f"{path} is another thing than a baseline; record one with --save-baseline {path}.")
        raise FormatError(
            f"{path} is of version {version} of the format of baselines, this graphkit reads version {VERSION}: record "
            f"it anew with --save-baseline {path}, or compare with the graphkit that wrote it."
        )
    except BaseException:
        archive.close()
        raise


def _signature(told: dict[str, Any]) -> Signature:
    weights = tuple(Weight(one["name"], one["alias"], tuple(one["shape"]), one["sha256"]) for one in told["weights"])
    return Signature(dict(told["inputs"]), tuple(told["outputs"]), weights, told["structure"])


def _read(archive: Archive, folder: str, told: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    return {name: archive.array(f"{folder}/{called(name)}", one) for name, one in told.items()}
