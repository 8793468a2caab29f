"""The noise floor: how far a model in float32 is from itself in float64, on one runtime.

A single comparison is not an honest floor for gradients. Where an activation lies within rounding of a kink (ReLU's
zero, a tie in max pooling), float32 takes one branch and float64 the other; the gradients then differ by up to some
per cent although nothing is wrong. In one run this happens or not by luck, and independently in every
implementation: a floor from one run is 1e-7 where another right implementation differs by 1e-2.

So the float32 model is run :data:`RUNS` times (:data:`ROUGH` times at first for outputs, which have no kinks): once as
it is, and then with every float of the inputs moved by up to :data:`UNITS` units in its last place, which redraws all
the roundings. The floor of a tensor is the largest difference from the float64 result over these runs: whichever
branches float32 rounding can reach, it has most likely reached. The units are the margin that is allowed on the floor
itself: another right implementation may round by that much more, and so may reach the branches that lie that much
farther. Measured on DenseNet-121 (121 ReLUs, images of 64 × 64, batch 1, PyTorch against MXNet, six samples): with five
runs and one unit two samples had gradients beyond 4 × the floor, with eight runs and four units one had. What is left
is put to further samples by :func:`graphkit.parity.verify.verify`.

The float64 result is not perturbed: it is the truth that both float32 runs approximate. A runtime that has NaN or an
infinity in float64 where it has a number in float32 computes something else there, as float64 overflows later than
float32 does; no floor is measured on it.

Where a model is compared in its own precision, of float16 or bfloat16, that takes the place of float32, and inputs of
16 bits move by one unit at most: four would be up to 3 % of a number, which is another input and not another rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.errors import ExecutionError, GraphkitError
from graphkit.frameworks.base import runtimes
from graphkit.parity.inputs import in_dtype, nudged
from graphkit.parity.metrics import magnitude
from graphkit.parity.tolerance import MARGIN, RESIDUE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from graphkit.frameworks.base import Session
    from graphkit.parity.sides import Precision, Side

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["FLOORS", "ROUGH", "RUNS", "UNITS", "measured_floors", "noise_floor", "residues", "spread", "sway"]

DOUBLE: Final = "float64"
FLOORS: Final = ("torch", "mxnet", "reference")
"""Runtimes that the noise floor is measured on where the reference's own cannot, in this order."""

RUNS: Final = 8
"""Runs in float32 that the noise floor of gradients is the largest difference of."""
ROUGH: Final = 2
"""Runs that do for outputs, which have no kinks, unless one of them is beyond the bound that they give."""
UNITS: Final = MARGIN
"""Units in the last place by which inputs of float32 move from run to run; those of 16 bits move by one."""
NUDGE: Final = 1e-11
"""Relative move of inputs in float64 that shows how much a gradient multiplies: what an epsilon of 1e-5 in float32,
off by 3e-13, moves a normalisation by."""


def measured_floors(
    reference: Side,
    feeds: Arrays,
    seeds: Arrays | None,
    seed: int = 0,
    taps: Sequence[str] = (),
    runs: int = RUNS,
    precision: Precision = "float32",
) -> tuple[tuple[dict[str, float], dict[str, float]], str]:
    """The noise floor on the first runtime that runs the model in both precisions; the reference's own is tried first.

    Args:
        reference: Side of the reference, whose model and mode are taken.
        feeds: As for :func:`noise_floor`, like the others.
        seeds: Cotangents.
        seed: Seed.
        taps: Values between nodes.
        runs: How often the float32 model runs; once tells residue from gradients.
        precision: What takes the place of float32: the model's own precision, where that is compared in.

    Returns:
        The floors, and a warning where no runtime runs the model in float64.
    """
    known = runtimes()
    pool, mode = reference.pool, reference.mode
    others = [(known[name], True) for name in FLOORS if name in known and name != reference.runtime.name]
    for runtime, native in [(reference.runtime, reference.native), *others]:
        if runtime.missing() is not None or (seeds is not None and "backward" not in runtime.can):
            continue
        try:
            single, double = (pool.session(runtime, native, dtype, mode) for dtype in (precision, DOUBLE))
            return noise_floor(single, double, feeds, seeds, seed, taps, runs), ""
        except GraphkitError:
            continue
    single = pool.session(reference.runtime, reference.native, precision, mode)
    told = "float32" if precision == "float32" else "the model's own precision"
    warning = (
        f"No runtime here gives the model's numbers in float64, so the noise floor is how much {reference.name} in "
        f"{told} changes when its inputs change by a rounding error."
    )
    return noise_floor(single, None, feeds, seeds, seed, taps, max(runs, 2)), warning


def noise_floor(
    single: Session,
    double: Session | None,
    feeds: Arrays,
    seeds: Arrays | None,
    seed: int = 0,
    taps: Sequence[str] = (),
    runs: int = RUNS,
) -> tuple[dict[str, float], dict[str, float]]:
    """Largest absolute difference of each output and gradient over the runs.

    Args:
        single: The model in float32.
        double: The model in float64 on the same runtime; None where it has none, then the floor is the spread of the
            float32 runs around the first, which misses what they have in common.
        feeds: Inputs in float32.
        seeds: Cotangents in float32; None where gradients are not asked for.
        seed: Seed of the perturbations.
        taps: Values between nodes that count among the outputs, and gradients in them among the gradients, as far as
            the runtime gives them.
        runs: How often the float32 model runs.

    Returns:
        Floors of the outputs and of the gradients, by IR value name.

    Raises:
        GraphkitError: The runtime does not run the model in one of the precisions, or float64 has NaN or an infinity
            where float32 has a number.
    """
    known = single.tappable if double is None else single.tappable & double.tappable
    wanted = [name for name in taps if name in known]
    truth = None
    if double is not None:
        wide = in_dtype(feeds, np.float64)
        truth = _run(double, wide, None if seeds is None else in_dtype(seeds, np.float64), wanted)
    outputs, gradients = spread(
        truth, lambda index: _run(single, nudged(feeds, seed, index, UNITS) if index else feeds, seeds, wanted), runs
    )
    return outputs, gradients


def sway(double: Session, feeds: Arrays, seeds: Arrays, seed: int = 0) -> dict[str, float]:
    """Largest absolute change of each gradient in float64 when every float of the inputs moves by :data:`NUDGE`.

    Args:
        double: The model in float64.
        feeds: Inputs in float64.
        seeds: Cotangents in float64.
        seed: Seed of the moves.
    """
    truth = [double.backward(feeds, seeds)]
    (found,) = spread(truth, lambda index: [double.backward(nudged(feeds, seed, index, NUDGE * 2.0**23), seeds)], ROUGH)
    return found


def residues(
    session: Session, feeds: Arrays, seeds: Arrays, seed: int = 0, dtype: Precision = DOUBLE
) -> dict[str, float]:
    """Largest absolute change of each gradient that is all rounding: of which rounding otherwise leaves something else.

    What is computed from other roundings of the same inputs and cotangents moves by as much as it is; a gradient that
    is wrong stays where it is, unless it comes from a kink or a tie that rounding decides.

    Args:
        session: The model in a precision.
        feeds: Inputs in it.
        seeds: Cotangents in it.
        seed: Seed of the moves.
        dtype: The precision.
    """
    units = NUDGE * 2.0**23 if dtype == DOUBLE else UNITS

    def run(index: int) -> list[Arrays]:
        return [session.backward(nudged(feeds, seed, index, units), nudged(seeds, seed, index, units))]

    first = [session.backward(feeds, seeds)]
    (found,) = spread(first, lambda index: run(index + 1), ROUGH)
    return {name: moved for name, moved in found.items() if moved > RESIDUE * magnitude(first[0][name])}


def spread(
    truth: Sequence[Arrays] | None, run: Callable[[int], Sequence[Arrays]], runs: int = RUNS
) -> list[dict[str, float]]:
    """Largest absolute difference of each tensor from the truth over the runs, in groups of tensors.

    Args:
        truth: The groups in float64; None for those of the first run.
        run: Gives the groups of a run in float32, 0 being that with inputs as they are.
        runs: How many there are.

    Raises:
        ExecutionError: The truth has NaN or an infinity where the first run has a number.
    """
    floors: list[dict[str, float]] = []
    for index in range(runs):
        found = run(index)
        floors = floors or [{} for _ in found]
        if truth is None:
            truth = found
            continue
        if not index:
            _check_truth(truth, found)
        for floor, expected, got in zip(floors, truth, found, strict=True):
            for name, array in expected.items():
                if name in got and got[name].shape == array.shape and array.dtype.kind in "fV":
                    floor[name] = max(floor.get(name, 0.0), _largest(array, got[name]))
    return floors


def _run(session: Session, feeds: Arrays, seeds: Arrays | None, taps: Sequence[str]) -> list[Arrays]:
    found = session.forward(feeds, taps)
    inner = [name for name in taps if found[name].dtype.kind in "fV"]
    return [found, {} if seeds is None else session.backward(feeds, seeds, inner)]


def _check_truth(truth: Sequence[Arrays], found: Sequence[Arrays]) -> None:
    for expected, got in zip(truth, found, strict=True):
        for name, array in expected.items():
            if name in got and got[name].shape == array.shape and array.dtype.kind in "fV":
                lost = np.isfinite(got[name].astype(np.float64)) & ~np.isfinite(array.astype(np.float64))
                if lost.any():
                    raise ExecutionError(
                        f"{name!r} has NaN or infinities in float64 where it has numbers in float32, so that float64 "
                        f"does not tell how well float32 does."
                    )


def _largest(expected: npt.NDArray[np.generic], found: npt.NDArray[np.generic]) -> float:
    left, right = expected.astype(np.float64), found.astype(np.float64)
    both = np.isfinite(left) & np.isfinite(right)
    return float(np.max(np.abs(left - right), initial=0.0, where=both))
