"""Verification: one model, several runtimes, the same inputs and cotangents, every tensor compared by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from graphkit.parity.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.base import Rule, Runtime
    from graphkit.frameworks.convert import Input
    from graphkit.parity.sides import Precision
    from graphkit.parity.tolerances import Override
    from graphkit.report.report import Report

__all__ = ["verify"]


def verify(
    model: ir.Model,
    other: ir.Model | None = None,
    *,
    on: Sequence[str | Runtime] = (),
    backward: bool = False,
    mode: Literal["eval", "train"] = "eval",
    train_steps: int = 0,
    rule: Rule | None = None,
    loss: str = "",
    dtype: Precision = "float32",
    batches: Sequence[int] = (),
    seeds: Sequence[int] = (0,),
    data: Iterable[Any] | None = None,
    inputs: Sequence[Input] = (),
    taps: bool = False,
    tolerances: Sequence[str | Override] = (),
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
        model: A canonical model, as :func:`graphkit.load` gives it.
        other: Another model that is to compute the same, which the other runtimes run then;
            :mod:`graphkit.parity.match` says how its tensors are found.
        on: Runtimes, by name or as objects; a named one has to run. Empty for
            :data:`graphkit.parity.lineup.DEFAULT`, of which those that are not installed or cannot run the model are
            shown as not available; for the home of ``other``, if given.
        backward: Whether gradients are compared too.
        mode: Whether BatchNorm takes its running statistics or the batch's. Dropout is off in both: every framework
            draws masks of its own.
        train_steps: How many steps of training are made and compared too; :mod:`graphkit.parity.training` says how.
        rule: The optimizer of these steps; None for :class:`graphkit.frameworks.base.Sgd`.
        loss: What they make smaller: ``"given"`` for the losses that the model has, ``"mse"`` or ``"cross-entropy"``;
            empty for those that it has, else ``"mse"``.
        dtype: Precision: ``"float64"`` proves semantics, ``"float32"`` compares against the noise floor. A runtime
            without float64 kernels is compared in float32 all the same, and the report says so.
        batches: Sizes of a free batch dimension; empty for 2.
        seeds: Seeds of inputs and cotangents; each is compared with each batch size.
        data: Inputs to compare on instead of drawn ones: mappings of names to arrays, or tuples of arrays.
        inputs: Shapes of inputs with free dimensions, given as to :func:`graphkit.load`.
        taps: Whether the values between nodes are compared too, and with ``backward`` the gradients in them.
        tolerances: Bounds of the user's own, as :func:`graphkit.parity.tolerances.parse_tolerance` reads them.
        progress: Told what is being done, how many samples are done and how many there are (0 if that is not known).

    Raises:
        InputError: No runtime has that name, a shape does not fit, ``other`` has other inputs or outputs, a tolerance
            is none, or there is nothing to compare.
        MissingError: A named runtime is not installed.
        UnsupportedError: A named runtime cannot run the model.
        ExecutionError: A named runtime refused or crashed.
    """
    with Comparison(
        model,
        other,
        on=on,
        dtype=dtype,
        mode=mode,
        inputs=inputs,
        tolerances=tolerances,
        progress=progress,
        backward=backward,
        taps=taps,
    ) as comparison:
        if train_steps:
            comparison.train(train_steps, rule, loss)
        comparison.run(comparison.samples(seeds, batches, data))
        return comparison.report()
