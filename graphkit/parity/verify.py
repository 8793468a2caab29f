"""Verification: one model, several runtimes, the same inputs and cotangents, every tensor compared by name."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graphkit.errors import InputError
from graphkit.frameworks.base import Sgd
from graphkit.frameworks.convert import loaded
from graphkit.frameworks.given import input_specs
from graphkit.parity.baseline import load_baseline
from graphkit.parity.comparison import Comparison
from graphkit.parity.conditions import Conditions
from graphkit.parity.precision import usual_precision
from graphkit.parity.training import rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.base import Rule, Runtime
    from graphkit.frameworks.given import Inputs
    from graphkit.parity.sides import Precision
    from graphkit.parity.tolerances import Override
    from graphkit.report.report import Report

__all__ = ["verify"]


def verify(
    model: Any,
    other: Any = None,
    *,
    on: Sequence[str | Runtime] = (),
    backward: bool | None = None,
    mode: Literal["eval", "train"] | None = None,
    train_steps: int | None = None,
    rule: Rule | None = None,
    loss: str = "",
    dtype: Precision | None = None,
    batches: Sequence[int] = (),
    seeds: Sequence[int] | None = None,
    data: Any = None,
    inputs: Inputs = (),
    taps: bool | None = None,
    tolerances: Sequence[str | Override] = (),
    baseline: str | Path | None = None,
    save_baseline: str | Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Run a model on several runtimes and compare every output, and every gradient, with those of one of them.

    The reference is the first runtime of the framework that the model comes from (torch for a ``.pt2`` file), which
    runs the source itself where it can; otherwise the first one. All are fed the same seeded inputs and, for
    gradients, the same seeded cotangents; gradients are those of every float input and of every parameter.
    :mod:`graphkit.parity.tolerance` says what counts as equal. A float32 gradient beyond its bound is put to
    :data:`graphkit.parity.deciding.TRIALS` samples and fails if it is beyond in most of them: one sample may lie at a
    kink. What depends on random numbers is not compared.

    Args:
        model: A canonical model, as :func:`graphkit.load` gives it, or anything that it reads.
        other: Another one that is to compute the same, which the other runtimes run then; :mod:`graphkit.parity.match`
            says how its tensors are found.
        on: Runtimes, by name or as objects; a named one has to run. Empty for
            :data:`graphkit.parity.lineup.DEFAULT`, of which those that are not installed or cannot run the model are
            shown as not available; for the home of ``other``, if given.
        backward: Whether gradients are compared too. This, like all of which the default is None, is as the baseline
            was recorded where there is one; else False.
        mode: Whether BatchNorm takes its running statistics, or the batch's for ``"train"``. Dropout is off in both:
            every framework draws masks of its own. Else ``"eval"``.
        train_steps: How many steps of training are made and compared too; :mod:`graphkit.parity.training` says how.
            Else none.
        rule: The optimizer of these steps; None for :class:`graphkit.frameworks.base.Sgd`.
        loss: What they make smaller: ``"given"`` for the losses that the model has, ``"mse"`` or ``"cross-entropy"``;
            empty for those that it has, else ``"mse"``.
        dtype: Precision: ``"float64"`` proves semantics, ``"float32"`` compares against the noise floor, and so does
            ``"own"``, which leaves every tensor in the float type that it has in the model. A runtime without kernels
            for float64, or for that, is compared in float32 all the same, and the report says so. Else as
            :func:`graphkit.parity.precision.usual_precision` finds; ``"float32"`` for steps of training where that is
            ``"own"``.
        batches: Sizes of a free batch dimension; empty for 2.
        seeds: Seeds of inputs and cotangents; each is compared with each batch size. Else 0.
        data: Inputs to compare on instead of drawn ones, as :func:`graphkit.parity.data.given_data` takes them.
        inputs: Shapes of inputs with free dimensions, given as to :func:`graphkit.load`.
        taps: Whether the values between nodes are compared too, and with ``backward`` the gradients in them. Else not.
        tolerances: Bounds of the user's own, as :func:`graphkit.parity.tolerances.parse_tolerance` reads them.
        baseline: A file in which the numbers of a reference were recorded, to compare with these.
        save_baseline: A file to record those of this reference in.
        progress: Told what is being done, how many samples are done and how many there are (0 if that is not known).

    Raises:
        InputError: A source is nothing that graphkit reads, no runtime has that name, a shape does not fit, ``other``
            has other inputs or outputs, a tolerance is none, or there is nothing to compare.
        MissingError: A named runtime is not installed.
        UnsupportedError: A named runtime cannot run the model.
        ExecutionError: A named runtime refused or crashed.
    """
    if baseline is not None and save_baseline is not None:
        raise InputError("A baseline is compared with or recorded, not both at once; leave one out.")
    model, other = loaded(model, inputs=inputs), None if other is None else loaded(other)
    with ExitStack() as stack:
        held = None if baseline is None else stack.enter_context(load_baseline(Path(baseline)))
        usual = Conditions() if held is None else held.conditions
        steps = usual.train_steps if train_steps is None else train_steps
        conditions = Conditions(
            dtype=dtype or (usual.dtype if held is not None else _precision(model, other, steps)),
            mode=mode or usual.mode,
            backward=usual.backward if backward is None else backward,
            taps=usual.taps if taps is None else taps,
            train_steps=steps,
            rule=rounded(rule or usual.rule or Sgd()) if steps else None,
            loss=loss or usual.loss,
            seeds=tuple(seeds or ()) if held is not None or data is not None else _seeds(seeds),
            batches=tuple(batches),
            inputs=input_specs(inputs),
        )
        comparison = stack.enter_context(
            Comparison(
                model,
                other,
                conditions,
                on=on,
                tolerances=tolerances,
                progress=progress,
                baseline=held,
                record=None if save_baseline is None else Path(save_baseline),
            )
        )
        comparison.run(comparison.samples(data))
        return comparison.report()


def _precision(model: ir.Model, other: ir.Model | None, steps: int) -> Precision:
    """What is compared in where nobody says; steps of training are not in fewer than 32 bits."""
    found = usual_precision(model, *([] if other is None else [other]))
    return "float32" if found == "own" and steps else found


def _seeds(seeds: Sequence[int] | None) -> tuple[int, ...]:
    if seeds is not None and not seeds:
        raise InputError("There is nothing to compare: no seed is given.")
    return tuple(seeds or (0,))
