"""Verification: one model, several runtimes, the same inputs and cotangents, every tensor compared by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from graphkit.errors import ExecutionError, GraphkitError, InputError, MissingError
from graphkit.frameworks.base import Sgd, frameworks, runtimes
from graphkit.frameworks.convert import input_spec
from graphkit.ir.chance import random_outputs
from graphkit.ir.origin import source_of
from graphkit.ir.training import losses
from graphkit.parity.inputs import guessed
from graphkit.parity.match import boxed, counterparts
from graphkit.parity.sample import Sampler
from graphkit.parity.sides import Pool, Side
from graphkit.parity.training import Training, rounded
from graphkit.report.environment import environment
from graphkit.report.report import Check, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.frameworks.base import Runtime
    from graphkit.frameworks.convert import Input
    from graphkit.parity.sample import Unable
    from graphkit.parity.sides import Precision
    from graphkit.report.report import Kind

__all__ = ["DEFAULT", "SAMPLES", "verify"]

DEFAULT: Final = ("torch", "mxnet", "ort")
"""Runtimes compared where none are named."""
SAMPLES: Final = 5
"""Samples that decide, by majority, over a float32 gradient that is beyond its bound in the first."""


def verify(
    model: ir.Model,
    other: ir.Model | None = None,
    *,
    on: Sequence[str | Runtime] = (),
    backward: bool = False,
    train_steps: int = 0,
    rule: Sgd | None = None,
    dtype: Precision = "float32",
    batch: int | None = None,
    seed: int = 0,
    inputs: Sequence[Input] = (),
) -> Report:
    """Run a model on several runtimes and compare every output, and every gradient, with those of one of them.

    The reference is the first runtime of the framework that the model comes from (torch for a ``.pt2`` file), which
    runs the source itself where it can; otherwise the first one. All are fed the same seeded inputs and, for
    gradients, the same seeded cotangents; gradients are those of every float input and of every parameter.
    :mod:`graphkit.parity.tolerance` says what counts as equal. A float32 gradient beyond its bound is put to
    :data:`SAMPLES` samples and fails if it is beyond in most of them: one sample may lie at a kink. What depends on
    random numbers is not compared.

    Args:
        model: A canonical model, as :func:`graphkit.load` gives it.
        other: Another model that is to compute the same, which the other runtimes run then. Its inputs and outputs
            are found by name or by position, its parameters by name and shape.
        on: Runtimes, by name or as objects; a named one has to run. Empty for :data:`DEFAULT`, of which those that
            are not installed or cannot run the model are shown as not available; for the home of ``other``, if given.
        backward: Whether gradients are compared too.
        train_steps: How many steps of SGD are made and compared too; :mod:`graphkit.parity.training` says how.
        rule: Learning rate, momentum and weight decay of these steps; None for those of :class:`Sgd`.
        dtype: Precision: ``"float64"`` proves semantics, ``"float32"`` compares against the noise floor. A runtime
            without float64 kernels is compared in float32 all the same, and the report says so.
        batch: Size of a free batch dimension; None for 2.
        seed: Seed of inputs and cotangents.
        inputs: Shapes of inputs with free dimensions, given as to :func:`graphkit.load`.

    Raises:
        InputError: No runtime has that name, a shape does not fit, ``other`` has other inputs or outputs, or there is
            nothing to compare.
        MissingError: A named runtime is not installed.
        UnsupportedError: A named runtime cannot run the model.
        ExecutionError: A named runtime refused or crashed.
    """
    if dtype not in ("float32", "float64"):
        raise InputError(f"Models are compared in float32 or float64, not in {dtype!r}.")
    steps = rounded(rule or Sgd())
    dropped: list[Check] = []
    specs = tuple(map(input_spec, inputs))
    guess = guessed(model, specs)

    def unable(side: Side, kind: Kind, problem: GraphkitError) -> None:
        crashed = isinstance(problem, ExecutionError)
        told = f"{problem} {guess}".strip() if crashed else str(problem)
        if on and not side.implied and not (kind != "forward" and isinstance(problem, MissingError)):
            if crashed:
                raise ExecutionError(told) from problem
            raise problem
        dropped.append(Check(kind, "", "", side.name, "fail" if crashed else "unavailable", note=told))

    with Pool(model) as pool, Pool(other or model) as other_pool:
        if other is None:
            sides, absent, versions = _sides(model, on, pool, dtype)
        else:
            sides, absent, versions = _two(model, other, on, (pool, other_pool), dtype)
        sampler = Sampler(pool, sides, backward, batch, specs, unable)
        shown = ", ".join(
            f"{name} {'×'.join(map(str, array.shape)) or 'scalar'}" for name, array in sampler.feeds(seed).items()
        )
        checks = _decide(sampler, seed)
        training = Training(pool, [], train_steps, steps, batch, specs, unable)
        if train_steps:
            _same_losses(model, other)
            training.sides = [side for side in sampler.sides if _can_train(side, unable)]
            checks += _decide(training, seed)
        asked = {"outputs": True, "gradients": backward, "steps of training": train_steps > 0}
        made = (sampler.sides, sampler.learners or [], training.sides)
        for (kind, wanted), compared in zip(asked.items(), made, strict=True):
            if wanted and len(compared) < 2:
                raise InputError(_nothing(kind, [side.name for side in compared], [*absent, *dropped]))
    checks = _without_chance(model, checks)
    against = "" if other is None else f" and {_label(other)}"
    trained = f", {train_steps} steps of SGD ({_numbers(steps)})" if train_steps else ""
    return Report(
        title=f"{_label(model)}{against} in {dtype}: {shown or 'no inputs'}, seed {seed}{trained}",
        checks=(*checks, *absent, *dropped),
        environment=environment() | versions,
        warnings=tuple(dict.fromkeys([*sampler.warnings, *training.warnings])),
    )


def _without_chance(model: ir.Model, checks: Sequence[Check]) -> list[Check]:
    """The checks, those of random numbers as not made: runtimes draw different ones, each of them the right way."""
    outputs = random_outputs(model)
    judged = []
    for check in checks:
        drawn = outputs.get(check.name) if check.kind == "output" else next(iter(outputs.values()), None)
        if drawn is None:
            judged.append(check)
            continue
        why = f"it depends on random numbers, which every run draws anew (node {drawn!r})"
        judged.append(Check(check.kind, check.name, check.left, check.right, "unavailable", note=why, step=check.step))
    return judged


def _sides(
    model: ir.Model, on: Sequence[str | Runtime], pool: Pool, dtype: Precision
) -> tuple[list[Side], list[Check], dict[str, str]]:
    """The sides, those of the source's own framework first; the runtimes that are not installed; versions."""
    source = source_of(model)
    sides: list[Side] = []
    absent: list[Check] = []
    versions: dict[str, str] = {}
    at_home = 0
    for runtime in _resolved(on or DEFAULT):
        if (problem := runtime.missing()) is not None:
            if on:
                raise MissingError(f"{runtime.label} is not available: {problem}.")
            absent.append(Check("forward", "", "", runtime.name, "unavailable", note=problem))
            continue
        versions[runtime.name] = runtime.version()
        home = source is not None and runtime in frameworks()[source.framework].runtimes
        native = source is not None and runtime.native == source.framework
        side = Side(runtime.name, runtime, native, pool, dtype)
        sides.insert(at_home if home else len(sides), side)
        at_home += home
        if native and frameworks()[runtime.native].write is not None:
            sides.append(Side(f"{runtime.name} (rewritten)", runtime, False, pool, dtype, implied=True))
    return sides, absent, versions


def _two(
    model: ir.Model, other: ir.Model, on: Sequence[str | Runtime], pools: tuple[Pool, Pool], dtype: Precision
) -> tuple[list[Side], list[Check], dict[str, str]]:
    """The sides where two models are compared: the first at home, the second there or where it is asked for."""
    names = counterparts(model, other)
    sides, absent, versions = _sides(model, _home(model), pools[0], dtype)
    more, more_absent, more_versions = _sides(other, on or _home(other), pools[1], dtype)
    for side in more:
        side.name, side.names = f"{_label(other)} on {side.runtime.name}", names
        side.boxed = boxed(model, other, names)
    first = [side for side in sides[:2] if side is sides[0] or losses(model)]  # an output layer gives no loss itself
    return [*first, *(side for side in more if not side.implied)], absent + more_absent, versions | more_versions


def _home(model: ir.Model) -> list[Runtime]:
    """The first runtime of the framework that a model comes from."""
    source = source_of(model)
    return list(frameworks()["onnx" if source is None else source.framework].runtimes[:1])


def _label(model: ir.Model) -> str:
    source = source_of(model)
    return source.label if source is not None else model.graph.name or "model"


def _resolved(on: Sequence[str | Runtime]) -> list[Runtime]:
    known = runtimes()
    found: dict[str, Runtime] = {}
    for choice in on:
        if isinstance(choice, str) and choice not in known:
            raise InputError(f"No runtime is called {choice!r}; there are {', '.join(sorted(known))}.")
        runtime = known[choice] if isinstance(choice, str) else choice
        found[runtime.name] = runtime
    return list(found.values())


def _can_train(side: Side, unable: Unable) -> bool:
    if "train" not in side.runtime.can:
        unable(side, "train", MissingError(f"{side.runtime.label} makes no steps of training here"))
        return False
    return True


def _same_losses(model: ir.Model, other: ir.Model | None) -> None:
    if other is not None and bool(losses(model)) != bool(losses(other)):
        raise InputError(
            f"The two models train for different things: {_label(model)} has {_count(model)} and {_label(other)} has "
            f"{_count(other)}. Read an MXNet symbol's losses with --train, or compare without --train-steps."
        )


def _count(model: ir.Model) -> str:
    names = losses(model)
    return f"{len(names)} {'loss' if len(names) == 1 else 'losses'}" if names else "no losses"


def _numbers(rule: Sgd) -> str:
    return f"lr {rule.lr:g}, momentum {rule.momentum:g}, weight decay {rule.weight_decay:g}"


def _decide(sampler: Sampler | Training, seed: int) -> list[Check]:
    """The checks of the first sample, where gradients that may lie at a kink there are decided by more samples."""
    first = sampler.checks(seed)
    trials = {_key(check): [check] for check in first if _doubtful(check)}
    for index in range(1, SAMPLES):
        if all(_is_decided(seen) for seen in trials.values()):
            break
        for check in sampler.checks(seed + index):
            if _key(check) in trials and check.peak:
                trials[_key(check)].append(check)
    return [_majority(trials.get(_key(check), [check])) for check in first]


def _is_decided(trials: list[Check]) -> bool:
    failures = sum(trial.verdict == "fail" for trial in trials)
    return max(failures, len(trials) - failures) > SAMPLES // 2


def _majority(trials: list[Check]) -> Check:
    """The first check that passed, with a note on those that did not, if most passed; else the first of all."""
    passed = [trial for trial in trials if trial.verdict == "pass"]
    failures = len(trials) - len(passed)
    if not failures or failures >= len(passed):
        return trials[0]
    told = f"beyond its bound, by {trials[0].error:.1e}, in {failures} of {len(trials)} samples"
    return replace(passed[0], note="; ".join(filter(None, (passed[0].note, told))))


def _doubtful(check: Check) -> bool:
    """Whether a kink may have failed a check: of a gradient, or after a step of training, in float32."""
    return check.verdict == "fail" and (check.kind.endswith("gradient") or check.step > 0) and check.floor > 0


def _key(check: Check) -> tuple[str, ...]:
    return (check.kind, check.name, check.left, check.right, str(check.step))


def _nothing(what: str, able: Sequence[str], dropped: Sequence[Check]) -> str:
    who = f"only {able[0]} gives {what} here" if able else f"no runtime gives {what} here"
    why = "".join(f"; {check.right}: {check.note.rstrip('.')}" for check in dropped)
    return f"There is nothing to compare: {who}{why}. Name another runtime with --on, or install one."
