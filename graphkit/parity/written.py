"""Whether an ONNX file computes the gradients, or makes the step of training, that its source's framework does.

The file runs on ONNX Runtime as it comes; the source runs in its own framework, or an ONNX file, converted, in another
one. That is handed the gradient of a loss in the outputs, computed here in double precision, as their cotangents.
Bounds are those of :mod:`graphkit.parity.tolerance`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from graphkit.errors import GraphkitError, InputError, MissingError
from graphkit.frameworks.base import Batch, frameworks, runtimes
from graphkit.frameworks.grad import takes_biased
from graphkit.frameworks.onnx.plain import PlainFile
from graphkit.ir.dims import dims_of
from graphkit.ir.origin import source_of
from graphkit.ir.params import kind_of
from graphkit.ir.training import cotangents_of, gradients_of, losses, targets_of, updates_of
from graphkit.parity.deciding import decided
from graphkit.parity.floor import UNITS, spread
from graphkit.parity.inputs import draw_classes, draw_seeds, in_dtype, nudged
from graphkit.parity.lineup import label_of
from graphkit.parity.metrics import compare, magnitude
from graphkit.parity.samples import Sample
from graphkit.parity.sides import Pool
from graphkit.parity.statistics import Statistics
from graphkit.parity.tolerance import Bound, single_bounds
from graphkit.report.environment import environment
from graphkit.report.report import Check, Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import InputSpec, Loss, Mode, Rule, Runtime, TrainableSession
    from graphkit.parity.sides import Precision
    from graphkit.report.report import Kind

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["check_able", "verify_written"]

_OTHERS: Final = ("torch", "mxnet", "reference")
"""Runtimes that an ONNX source is compared on, the first that is there."""
_RIGHT: Final = "ort"


def check_able(model: ir.Model, made: ir.Model) -> None:
    """Refuse what cannot be compared, before it is written.

    Raises:
        InputError: Dropout drops, or the model does not compute in float32.
        MissingError: The source's own framework, or ONNX Runtime, is not installed.
    """
    if any(node.op_type == "Dropout" and not node.domain and len(node.inputs) > 2 for node in made.graph):
        raise InputError("--verify cannot compare what is drawn at random: leave Dropout out with --no-dropout.")
    kinds = {value.dtype for value in (*model.graph.inputs, *model.graph.initializers.values())}
    if others := [kind.name.lower() for kind in kinds if kind and kind.is_floating_point() and kind.name != "FLOAT"]:
        raise InputError(f"--verify compares models of float32, and this one has {others[0]} numbers; leave it out.")
    fed = cotangents_of(made)
    if fed and not fed.keys() >= set(losses(model)):
        raise InputError(
            "--verify compares the gradients of all the model's losses, which MXNet's output layers inject whatever "
            "cotangent they are given; leave --outputs out."
        )
    _home(model)
    if (problem := runtimes()[_RIGHT].missing()) is not None:
        raise MissingError(f"--verify needs ONNX Runtime, which is not available: {problem}.")


def verify_written(
    model: ir.Model,
    made: ir.Model,
    path: Path,
    *,
    training: bool,
    rule: Rule | None = None,
    inputs: Sequence[InputSpec] = (),
) -> Report:
    """Compare a file with its source's own framework.

    Args:
        model: The source, in float32.
        made: What :func:`graphkit.grad` made of it, which tells what the file's inputs and outputs are.
        path: The file.
        training: Whether BatchNorm takes the batch's statistics; Dropout is off.
        rule: The optimizer of a graph that makes a step.
        inputs: Given shapes.

    Raises:
        ExecutionError: A runtime refused or crashed.
    """
    runtime, native = _home(model)
    with Pool(model) as pool:
        mode: Mode = "train-no-dropout" if training else "eval"
        compared = _Compared(pool, made, PlainFile(path), runtime, native, mode, rule, inputs)
        checks = decided(compared.checks, Sample("seed 0", 0))
    versions = {name: runtimes()[name].version() for name in dict.fromkeys((runtime.name, _RIGHT))}
    title = f"{path.name} on ONNX Runtime and {label_of(model)} on {runtime.label} in float32"
    return Report(title, tuple(checks), environment() | versions)


def _home(model: ir.Model) -> tuple[Runtime, bool]:
    """What runs the source, and whether as it is."""
    source = source_of(model)
    if source is not None and source.framework != "onnx":
        runtime = frameworks()[source.framework].runtimes[0]
        if (problem := runtime.missing()) is not None:
            raise MissingError(f"--verify needs {runtime.label}, which is not available: {problem}.")
        return runtime, True
    known = runtimes()
    return next(known[name] for name in _OTHERS if known[name].missing() is None), False


@dataclass(frozen=True, slots=True)
class _Group:
    """Tensors that are judged together.

    Attributes:
        kinds: What each is, by name.
        gradients: Whether they are gradients, or made of them.
    """

    kinds: Mapping[str, Kind]
    gradients: bool


@dataclass(slots=True)
class _Compared:
    """A file and its source."""

    pool: Pool
    made: ir.Model
    file: PlainFile
    runtime: Runtime
    native: bool
    mode: Mode
    rule: Rule | None
    inputs: Sequence[InputSpec]
    _given: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    _seed: int = 0

    def checks(self, sample: Sample, _stand_in: int) -> list[Check]:
        """One check for each tensor."""
        model = self.pool.model("float32")
        feeds = sample.feeds(model, self.inputs)
        self._seed = sample.seed
        session = self.pool.session(self.runtime, self.native, "float32", self.mode)
        self._given = self._drawn(session.forward(feeds))
        groups = self._groups()
        right = self._of_file(feeds, groups)
        left = self._of_source("float32", feeds)

        def moved(index: int) -> list[Arrays]:
            return self._of_source("float32", nudged(feeds, sample.seed, index, UNITS) if index else feeds)

        try:
            floors = spread(self._of_source("float64", in_dtype(feeds, np.float64)), moved)
        except GraphkitError:
            floors = spread(None, moved)
        found: list[Check] = []
        sides = (self.runtime.name, "file")
        for group, one, two, floor in zip(groups, left, right, floors, strict=True):
            names = [name for name in group.kinds if name in one]
            found += [
                Check(kind, name, *sides, "unavailable", note=f"{self.runtime.label} does not give it")
                for name, kind in group.kinds.items()
                if name not in one and kind != "loss"  # MXNet's output layers give the gradient of theirs only
            ]
            peaks = {name: magnitude(one[name]) for name in names if one[name].dtype.kind in "fV"}
            bounds = single_bounds(peaks, floor, gradients=group.gradients)
            found += [
                compare(group.kinds[name], name, sides, one[name], two[name], bounds.get(name, Bound(0.0)))
                for name in names
            ]
        return [replace(check, step=1) for check in found] if self.rule is not None else found

    @property
    def _loss(self) -> str:
        """What is differentiated: ``"given"``, ``"mse"``, ``"cross-entropy"``, or nothing."""
        if losses(self.pool.model("float32")):
            return "none" if cotangents_of(self.made) else "given"
        targets = targets_of(self.made)
        if not targets:
            return "none"
        known = {value.name: value.dtype for value in self.made.graph.inputs}
        kind = known[next(iter(targets.values()))]
        return "mse" if kind is not None and kind.is_floating_point() else "cross-entropy"

    def _drawn(self, outputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Cotangents or targets, by the names of the outputs."""
        floats = draw_seeds(outputs, self._seed)
        floats.update({name: np.ones((), np.float32) for name in losses(self.pool.model("float32"))})
        if self._loss == "none":
            return {name: floats[name] for name in cotangents_of(self.made)}
        drawn: Arrays = draw_classes(outputs, self._seed) if self._loss == "cross-entropy" else floats
        return {name: drawn[name] for name in targets_of(self.made)}

    def _groups(self) -> list[_Group]:
        model = self.pool.model("float32")
        outputs: dict[str, Kind] = {
            value.name or "": "loss" if value.name in losses(model) else "output" for value in model.graph.outputs
        }
        if self._loss != "none":
            outputs[self._total] = "loss"
        if self.rule is None:
            fed = {value.name for value in model.graph.inputs}
            kinds: dict[str, Kind] = {
                name: "input gradient" if name in fed else "parameter gradient" for name in gradients_of(self.made)
            }
            return [_Group(outputs, False), _Group(kinds, True)]
        held = model.graph.initializers
        moved = [name for name in updates_of(self.made) if name in held]
        parameters: dict[str, Kind] = {name: "parameter" for name in moved if kind_of(held[name]) == "parameter"}
        statistics: dict[str, Kind] = {name: "running statistic" for name in moved if name not in parameters}
        return [_Group(outputs, False), _Group(parameters, True), _Group(statistics, True)]

    @property
    def _total(self) -> str:
        """Name of the file's loss."""
        known = {value.name for value in self.pool.model("float32").graph.outputs}
        others = {*gradients_of(self.made).values(), *updates_of(self.made).values()}
        return next(
            value.name or ""
            for value in self.made.graph.outputs
            if value.name not in known and value.name not in others
        )

    def _of_file(self, feeds: Arrays, groups: Sequence[_Group]) -> list[Arrays]:
        called = {**cotangents_of(self.made), **targets_of(self.made)}
        given = {called[name]: array for name, array in self._given.items()}
        found = self.file.run({**feeds, **given})
        called = {**gradients_of(self.made), **updates_of(self.made)}
        return [{name: found[called[name] if group.gradients else name] for name in group.kinds} for group in groups]

    def _of_source(self, dtype: Precision, feeds: Arrays) -> list[Arrays]:
        session = self.pool.session(self.runtime, self.native, dtype, self.mode)
        given = in_dtype(self._given, dtype)
        if self.rule is not None:
            return self._stepped(cast("TrainableSession", session), feeds, given)
        outputs = session.forward(feeds)
        own = losses(self.pool.model(dtype))
        seeds = {name: np.zeros_like(array) for name, array in outputs.items() if array.dtype.kind in "fV"}
        seeds |= {name: np.ones((), dtype) for name in own}
        found = dict(outputs)
        if self._loss == "none":
            seeds |= given
        elif self._loss == "given":
            if all(name in outputs for name in own):
                total = sum(float(outputs[name]) for name in own)
                found[self._total] = np.asarray(total, outputs[own[0]].dtype)
        else:
            parts = {name: _slope(outputs[name], target, self._loss) for name, target in given.items()}
            seeds |= {name: slope.astype(outputs[name].dtype) for name, (_, slope) in parts.items()}
            found[self._total] = np.asarray(sum(part for part, _ in parts.values()), seeds[next(iter(parts))].dtype)
        slopes = session.backward(feeds, seeds)
        return [found, {name: slopes[name] for name in gradients_of(self.made) if name in slopes}]

    def _stepped(self, session: TrainableSession, feeds: Arrays, given: Arrays) -> list[Arrays]:
        assert self.rule is not None
        model = self.pool.model("float32")
        targets = dict(given)
        scales = dict.fromkeys(given, 1.0)
        loss: Loss = "cross-entropy" if self._loss == "cross-entropy" else "mse"
        if given:
            outputs = session.forward(feeds)
            others: Arrays = draw_classes(outputs) if loss == "cross-entropy" else draw_seeds(outputs)
            for name in others.keys() - given.keys():  # nothing of the loss, but asked for
                targets[name], scales[name] = np.zeros_like(others[name]), 0.0
        step = next(iter(session.train([Batch(feeds, targets, scales, 1.0, loss)], self.rule)))
        found = dict(step.outputs)
        if step.loss is not None and (loss == "mse" or targets.keys() == given.keys()):
            found[self._total] = step.loss
        statistics = Statistics(model, _sizes(model, feeds))
        biased = takes_biased(model)
        buffers = statistics.converted(step.buffers, 1, biased=not step.unbiased, to_biased=biased)
        if step.unbiased == biased:
            buffers = {name: array for name, array in buffers.items() if name not in statistics.unknown}
        moved = updates_of(self.made)
        return [
            found,
            {name: array for name, array in step.parameters.items() if name in moved},
            {name: array for name, array in buffers.items() if name in moved},
        ]


def _slope(
    output: npt.NDArray[np.generic], target: npt.NDArray[np.generic], loss: str
) -> tuple[float, npt.NDArray[np.float64]]:
    """The loss of one output, and its gradient in that."""
    data = output.astype(np.float64)
    if loss == "mse":
        apart = data - target.astype(np.float64)
        return float(np.mean(apart * apart)) / 2, apart / max(apart.size, 1)
    shifted = data - data.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    places = np.expand_dims(target.astype(np.int64), 1)
    hits = np.zeros_like(data)
    np.put_along_axis(hits, places, 1.0, axis=1)
    count = max(places.size, 1)
    return float(-np.take_along_axis(logs, places, axis=1).sum()) / count, (np.exp(logs) - hits) / count


def _sizes(model: ir.Model, feeds: Arrays) -> dict[str, int]:
    """Size of each symbolic dimension of the inputs."""
    dims = {value.name or "": dims_of(value) or () for value in model.graph.inputs}
    pairs = ((dim, size) for name, array in feeds.items() for dim, size in zip(dims[name], array.shape, strict=True))
    return {dim: size for dim, size in pairs if isinstance(dim, str)}
