"""Bisection: the node at which two sides begin to differ, and whether it is that node which is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import onnx_ir as ir

from graphkit.errors import GraphkitError
from graphkit.frameworks.base import Sgd, runtimes
from graphkit.frameworks.convert import loaded
from graphkit.frameworks.given import input_specs
from graphkit.ir.origin import origin_of
from graphkit.parity.alone import Alone, Truth
from graphkit.parity.comparison import Comparison
from graphkit.parity.conditions import Conditions
from graphkit.parity.metrics import distance
from graphkit.parity.reproduce import reproduced
from graphkit.parity.sides import Pool, Side
from graphkit.parity.tolerance import DOUBLE, OUTPUT
from graphkit.parity.training import rounded
from graphkit.passes.isolate import widened
from graphkit.report.findings import Bisection, Finding, Place, Suspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    import numpy.typing as npt

    from graphkit.frameworks.base import Rule, Runtime
    from graphkit.frameworks.given import Inputs
    from graphkit.parity.samples import Sample
    from graphkit.parity.sides import Precision
    from graphkit.parity.tolerances import Override
    from graphkit.report.report import Check, Report

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["bisect"]

_LAYOUT: Final = frozenset({"DepthToSpace", "Flatten", "Reshape", "SpaceToDepth", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that bring the same numbers into another layout."""
_GROWN: Final = 3
"""How many places where errors grow are told."""


def bisect(
    model: Any,
    other: Any = None,
    *,
    on: Sequence[str | Runtime] = (),
    backward: bool = False,
    mode: Literal["eval", "train"] = "eval",
    train_steps: int = 0,
    rule: Rule | None = None,
    loss: str = "",
    dtype: Precision | None = None,
    batches: Sequence[int] = (),
    seeds: Sequence[int] = (0,),
    data: Iterable[Any] | None = None,
    inputs: Inputs = (),
    tolerances: Sequence[str | Override] = (),
    out: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Bisection:
    """Find the nodes that make a model differ between runtimes, or from another model.

    Every value between nodes is compared in one pass of each side. Of a side that differs every node is then run on its
    own, all in one pass: given what the reference has before it, it has to give what the reference has after it, and
    backwards likewise. The first sample in which something differs is looked into.

    Args:
        model: As for :func:`graphkit.parity.verify.verify`, like all that is not told here.
        other: Another model.
        on: Runtimes.
        backward: Whether gradients are looked at, too.
        mode: Mode.
        train_steps: Steps of training that are looked at, too; values and gradients are then looked at in mode
            ``"train"``, where these steps come from.
        rule: Their optimizer.
        loss: What they make smaller.
        dtype: Precision; None for float64, where rounding hides nothing, and then float32 if nothing differs.
        batches: Batch sizes.
        seeds: Seeds.
        data: Inputs.
        inputs: Shapes of inputs.
        tolerances: Bounds.
        out: Folder for what reproduces the first suspect of each side; None to write nothing.
        progress: Told what is done.

    Raises:
        InputError: As :func:`graphkit.parity.verify.verify`, like the others.
        MissingError: A named runtime is not installed.
        UnsupportedError: A named runtime cannot run the model.
        ExecutionError: A named runtime refused or crashed.
    """
    precisions: list[Precision] = ["float64", "float32"] if dtype is None else [dtype]
    specs = input_specs(inputs)
    model, other = loaded(model, inputs=inputs), None if other is None else loaded(other)
    if isinstance(data, Iterator):  # samples may be gone through twice
        data = list(data)
    for precision in precisions:
        conditions = Conditions(
            dtype=precision,
            mode="train" if train_steps else mode,
            backward=backward or bool(train_steps),
            taps=True,
            train_steps=train_steps,
            rule=rounded(rule or Sgd()) if train_steps else None,
            loss=loss,
            seeds=tuple(seeds),
            batches=tuple(batches),
            inputs=specs,
        )
        with Comparison(model, other, conditions, on=on, tolerances=tolerances, progress=progress) as comparison:
            found = _Search(comparison, model, other, out).run(comparison.samples(data))
        if not found.passed:
            break
    return found


class _Search:
    """Looks for suspects in a comparison."""

    def __init__(self, comparison: Comparison, model: ir.Model, other: ir.Model | None, out: Path | None) -> None:
        self._comparison = comparison
        self._model, self._other, self._out = model, other, out

    def run(self, samples: Iterable[Sample]) -> Bisection:
        comparison = self._comparison
        for sample in samples:
            comparison.run([sample])
            if comparison.failing and not (report := comparison.report()).passed:
                sides = self._sides()[1:]
                if any(side.dtype == "float32" for side in sides):
                    comparison.sampler.run(sample)  # others may have stood in for it
                return Bisection(report, tuple(self._finding(side, report, sample) for side in sides))
        report = comparison.report()
        sides = self._sides()
        return Bisection(report, tuple(Finding(side.name, sides[0].name) for side in sides[1:]))

    def _sides(self) -> list[Side]:
        return [side for side in self._comparison.sampler.sides if isinstance(side, Side)]

    def _finding(self, side: Side, report: Report, sample: Sample) -> Finding:
        reference = self._sides()[0]
        mine = [check for check in report.checks if check.right == side.name and check.verdict == "fail"]
        first, node = self._first(mine)
        found = Finding(side.name, reference.name, first, None if node is None else place(node))
        if first is None:
            return found
        tested = self._model if side.names is None else self._other or self._model
        order = {each.name: number for number, each in enumerate(tested.graph)}
        try:
            with ExitStack() as stack:
                truth = self._truth(side, sample)
                ahead = stack.enter_context(Alone(side, tested, truth, self._comparison.overrides))
                sloped = truth.sloped
                back = ahead
                if sloped.values.keys() != truth.values.keys():
                    back = stack.enter_context(Alone(side, tested, sloped, self._comparison.overrides))
                distinct: dict[str, Suspect] = {}
                for suspect in (*self._suspects(ahead, back, side), *self._moving(tested, mine, side)):
                    distinct.setdefault(suspect.name, suspect)
                suspects = sorted(distinct.values(), key=lambda each: order.get(each.name, 0))
                if suspects and self._out is not None:
                    alone = back if suspects[0].direction == "backward" else ahead
                    suspects[0] = reproduced(suspects[0], alone, side, self._model, self._folder(side))
        except GraphkitError as error:
            return replace(found, note=str(error))
        void = _void(first)
        note = f"{first.name} is NaN or infinite throughout on both sides, and so may be what follows" if void else ""
        growth = () if suspects or void else self._growth(report, side)
        return replace(found, suspects=tuple(suspects), growth=growth, note=note)

    def _suspects(self, ahead: Alone, back: Alone, side: Side) -> Iterator[Suspect]:
        found = list(self._forward(ahead, side))
        if side.names is not None and len(found) > 1:
            found = self._borne_out(found, ahead, side)
        yield from found
        if back.truth.slopes:
            yield from self._backward(back, side, {node.name for suspect in found for node in suspect.nodes})

    def _folder(self, side: Side) -> Path:
        """Where to write of a side: a folder of its own where several are compared."""
        assert self._out is not None
        alike = [one for one in self._sides()[1:] if (one.names is None) == (side.names is None)]
        several = len(alike) > 1 or (self._other is not None and side.names is None)
        return self._out / "".join(c if c.isalnum() else "-" for c in side.name) if several else self._out

    def _first(self, failed: Sequence[Check]) -> tuple[Check | None, ir.Node | None]:
        """The first check that failed, in the order of the model, and the node that it is about."""
        order = list(self._model.graph)
        place = {value.name or "": number for number, node in enumerate(order) for value in node.outputs}
        ahead = [check for check in failed if check.kind in ("output", "value")]
        if ahead:
            check = min(ahead, key=lambda check: place.get(check.name, -1))
            return check, order[place[check.name]] if check.name in place else None
        reads = {
            value.name or "": number for number, node in enumerate(order) for value in node.inputs if value is not None
        }
        place = {check.name: place.get(check.name, reads.get(check.name, -1)) for check in failed}
        back = [check for check in failed if check.kind.endswith("gradient")]
        if back:
            check = max(back, key=lambda check: place[check.name])
        elif failed:
            check = min(failed, key=lambda check: (check.step, place[check.name]))
        else:
            return None, None
        return check, order[place[check.name]] if place[check.name] >= 0 else None

    def _truth(self, side: Side, sample: Sample) -> Truth:
        """What the reference has, under the names of a side's model."""
        sampler = self._comparison.sampler
        reference = self._sides()[0]
        feeds = sampler.feeds(sample)
        seeds = sampler.seeds(sample)
        values: dict[str, npt.NDArray[np.generic]] = {**feeds, **reference.values, **reference.outputs}
        slopes: dict[str, npt.NDArray[np.generic]] = {}
        learner = sampler.learners[0] if sampler.learners else None
        if learner is not None and side in (sampler.learners or []):
            slopes = {**learner.slopes, **(learner.gradients or {})}
        self._complete(side, feeds, seeds, values, slopes)
        names = side.names
        if names is not None:
            values = {names[name]: array for name, array in values.items() if name in names}
            slopes = {names[name]: array for name, array in slopes.items() if name in names}
            seeds = {names[name]: array for name, array in seeds.items() if name in names}
        return Truth(reference, values, slopes, seeds if slopes else {})

    def _complete(
        self,
        side: Side,
        feeds: Arrays,
        seeds: Arrays,
        values: dict[str, npt.NDArray[np.generic]],
        slopes: dict[str, npt.NDArray[np.generic]],
    ) -> None:
        """Add values that the reference does not have, being a program of its own, from a side that agrees with it.

        Such a side gives them as outputs: what stays inside may be fused with what reads it.
        """
        inner = {value.name or "": value for node in self._model.graph for value in node.outputs}
        lacking = inner.keys() - values.keys()
        if not lacking:
            return
        floats = [name for name in inner if name in lacking and _is_float(inner[name])]
        with Pool(widened(self._model, floats)) as pool:
            for stand_in in self._stand_ins(side, pool):
                try:
                    known = stand_in.tappable()
                    stand_in.forward(feeds, [name for name in inner if name in known and name not in floats])
                    given = {**stand_in.values, **stand_in.outputs}
                    alike = all(_agree(values[name], array) for name, array in given.items() if name in values)
                    if stand_in.dtype != self._sides()[0].dtype or not alike:
                        continue
                    found = {name: array for name, array in given.items() if name in lacking}
                    if slopes:
                        plain = replace(stand_in, pool=self._comparison.sampler.pool)
                        plain.backward(feeds, seeds, [name for name in floats if name in plain.tappable()])
                        slopes.update(plain.slopes)
                except GraphkitError:
                    continue
                values.update(found)
                return

    def _stand_ins(self, side: Side, pool: Pool | None = None) -> Iterator[Side]:
        """The model on runtimes that are not what is under test, those of the comparison first."""
        sampler = self._comparison.sampler
        reference = self._sides()[0]
        mine = [
            reference.runtime,
            *(other.runtime for other in sampler.sides if other.names is None and other is not side),
        ]
        for runtime in dict.fromkeys([*mine, *(one for one in runtimes().values() if one.missing() is None)]):
            if (runtime.name, False) != (side.runtime.name, side.native) or side.names is not None:
                yield Side(runtime.name, runtime, False, pool or sampler.pool, reference.dtype, mode=reference.mode)

    def _forward(self, alone: Alone, side: Side) -> Iterator[Suspect]:
        for check in alone.forward():
            if check.verdict == "fail" and not _void(check):
                region = alone.region(check.name)
                yield Suspect("forward", tuple(map(place, self._misshapen(region, side) or region)), check)

    def _borne_out(self, found: list[Suspect], alone: Alone, side: Side) -> list[Suspect]:
        """The suspects whose nodes still give something else when nothing is known between them.

        Two values can be taken for each other that hold the same numbers in another order; then a node and those that
        read it seem wrong, and are right together.
        """
        assert self._other is not None
        ends = {value.name for value in self._other.graph.outputs}
        doubtful = {suspect.check.name for suspect in found} - ends
        values = {name: array for name, array in alone.truth.values.items() if name not in doubtful}
        truth = replace(alone.truth, values=values, slopes={}, seeds={})
        try:
            with Alone(side, self._other, truth, self._comparison.overrides) as again:
                failed = [check.name for check in again.forward() if check.verdict == "fail"]
                still = {node.name for name in failed for node in again.region(name)}
        except GraphkitError:
            return found
        return [suspect for suspect in found if any(node.name in still for node in suspect.nodes)] or found

    def _misshapen(self, region: Sequence[ir.Node], side: Side) -> list[ir.Node]:
        """The node that the others of a region follow in giving other shapes than the reference's; none if unclear."""
        matching = self._comparison.lineup.matching
        if matching is None or side.names is None or len(region) < 2:
            return []
        reshaped = set(matching.reshaped.values())
        first = region[0]
        given = any(value.name in reshaped for value in first.outputs)
        return [first] if given and first.op_type not in _LAYOUT else []

    def _backward(self, alone: Alone, side: Side, wrong: AbstractSet[str]) -> Iterator[Suspect]:
        """Nodes that differentiate otherwise.

        A node that computes something else, one of ``wrong``, may read something else, too: what it lacks in the
        gradients before it is not the others' fault. Then only those count that another runtime differentiates
        otherwise.
        """
        judges: list[Side] | None = None
        for check in alone.backward():
            if check.verdict != "fail":
                continue
            readers = alone.readers(check.name)
            if wrong or len(readers) > 1:
                if judges is None:
                    judges = list(self._judges(alone, side))[:1]
                narrowed = [name for judge in judges for name in _unlike(alone, judge, check)]
                readers = narrowed or ([] if wrong else readers)
            region = alone.passing(readers)
            if region and wrong.isdisjoint(node.name for node in region):
                yield Suspect("backward", tuple(map(place, region)), check)

    def _moving(self, tested: ir.Model, failed: Sequence[Check], side: Side) -> Iterator[Suspect]:
        """The BatchNormalizations whose statistics the first step moves otherwise, given a batch that is right."""
        astray = {check.name for check in failed if check.kind in ("output", "value")}
        moved = {check.name: check for check in failed if check.kind == "running statistic" and check.step == 1}
        for node in self._model.graph:
            read = [value.name or "" for value in node.inputs if value is not None]
            if read[:1] and read[0] in astray:
                continue
            for name in read:
                called = name if side.names is None else side.names.get(name)
                value = None if name not in moved else tested.graph.initializers.get(called or "")
                if value is not None:
                    yield from (Suspect("training", (place(user),), moved[name]) for user, _ in value.uses())

    def _judges(self, alone: Alone, side: Side) -> Iterator[Side]:
        """Other runtimes that differentiate the isolated nodes."""
        for other in self._stand_ins(side):
            if other.runtime is not side.runtime and "backward" in other.runtime.can:
                judge = alone.on(other.runtime)
                try:
                    alone.differentiate(judge)
                except GraphkitError:
                    continue
                if judge.dtype == alone.dtype:
                    yield judge

    def _growth(self, report: Report, side: Side) -> tuple[tuple[float, Check], ...]:
        checks = {
            check.name: check
            for check in report.checks
            if check.right == side.name and check.kind in ("output", "value") and check.verdict != "unavailable"
        }
        grown = []
        for node in self._model.graph:
            before = [
                checks[value.name or ""].error for value in node.inputs if value is not None and value.name in checks
            ]
            given = [checks[value.name or ""] for value in node.outputs if value.name in checks]
            if largest := max(before, default=0.0):
                grown += [(check.error / largest, check) for check in given]
        return tuple(sorted(grown, key=lambda pair: -pair[0])[:_GROWN])


def _void(check: Check) -> bool:
    """Whether neither side gives a finite number, which fails although nothing differs."""
    return not check.bad and 0 < check.size == min(check.nonfinite)


def _unlike(alone: Alone, judge: Side, check: Check) -> list[str]:
    """Which of the nodes that read a value differentiate otherwise than on another runtime."""
    mine, theirs = alone.tested_parts(check.name), alone.parts(judge, check.name)
    scale = check.max_abs / check.error if check.error else 1.0
    return [name for name, part in mine.items() if distance(theirs[name], part).max_abs > check.tol * scale]


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point() and isinstance(value.type, ir.TensorType)


def _agree(one: npt.NDArray[np.generic], two: npt.NDArray[np.generic]) -> bool:
    if one.shape != two.shape:
        return False
    if one.dtype != two.dtype and "f" in (one.dtype.kind, two.dtype.kind):
        return distance(one.astype(np.float64), two.astype(np.float64), OUTPUT).bad == 0
    return distance(one, two, DOUBLE if one.dtype == "float64" else OUTPUT).bad == 0


def place(node: ir.Node) -> Place:
    """A node, with where it comes from."""
    origin = origin_of(node)
    told = (origin.op if origin.op != node.op_type else "", origin.line)
    return Place(node.name or "", node.op_type, ", ".join(filter(None, told)))
