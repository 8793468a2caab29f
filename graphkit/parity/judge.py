"""Judging one pass: names first, then each tensor against its bound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from graphkit.parity.metrics import compare, magnitude
from graphkit.parity.precision import least_bound
from graphkit.parity.tolerance import DOUBLE, Bound, double_bounds, single_bounds
from graphkit.parity.tolerances import bound_of
from graphkit.report.report import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from graphkit.parity.recorded import Party
    from graphkit.parity.sides import Arrays
    from graphkit.parity.tolerances import Override
    from graphkit.report.report import Kind

__all__ = ["Pass", "judge"]

_STRICT: Final = Bound(0.0)
_EXACT: Final = "biuOSU"
"""Kinds of element types that have to be equal whatever bound is given."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a forward pass, a backward pass or a step of training has to give.

    Attributes:
        kinds: What each wanted tensor is, by IR value name.
        of: What a side gave.
        gradients: Whether the tensors are gradients or made of them, which kinks disturb and rounding may be all of.
        single: Names of the tensors behind which a runtime computes with float32 numbers, by its name.
        stray: What a tensor is that nobody asked for.
        tol: Bound in float64 where nothing computes in float32.
        step: Which step of training it is; 0 outside of training.
    """

    kinds: Mapping[str, Kind]
    of: Callable[[Party], Arrays]
    gradients: bool
    single: Mapping[str, frozenset[str]]
    stray: Kind
    tol: float = DOUBLE
    step: int = 0


def judge(
    wanted: Pass,
    left: Party,
    right: Party,
    floors: Callable[[], Mapping[str, float]],
    overrides: Sequence[Override] = (),
    sways: Mapping[str, float] | None = None,
    residues: Mapping[str, float] | None = None,
) -> list[Check]:
    """One check for each tensor that the pass has to give, and a failed one for each that nobody asked for.

    Args:
        wanted: The pass.
        left: Side of the reference.
        right: Side under test.
        floors: Measures the absolute noise floor of each tensor; called only if it is needed, which is in float32 and
            fewer bits, and in float64 to tell a wrong gradient from rounding residue.
        overrides: Bounds that the user gives; multiples of the noise floor are for where there is one.
        sways: How much inputs that hardly move move each tensor in float64, where it was measured.
        residues: What each tensor of the side under test moves by that is nothing but rounding there.
    """
    double = left.dtype == right.dtype == "float64"
    checks = _checks(wanted, left, right, None if double else floors(), overrides, None, residues)
    if double and wanted.gradients and any(check.verdict == "fail" and check.tol for check in checks):
        checks = _checks(wanted, left, right, floors(), overrides, sways, residues)
    return checks


def _checks(
    wanted: Pass,
    left: Party,
    right: Party,
    floors: Mapping[str, float] | None,
    overrides: Sequence[Override],
    sways: Mapping[str, float] | None,
    residues: Mapping[str, float] | None,
) -> list[Check]:
    expected, found = wanted.of(left), wanted.of(right)
    within = _bounds(wanted, left, right, floors, sways, residues)
    checks = []
    for name, kind in wanted.kinds.items():
        if kind != "loss" and right.lacks(name):  # a loss towards targets has no name in either model
            note = f"{right.name} has no such parameter of the same shape"
            checks.append(Check(kind, name, left.name, right.name, "unavailable", note=note))
            continue
        lacking = [side.name for side in (left, right) if name not in wanted.of(side)]
        if lacking:
            note = f"not returned by {' nor by '.join(lacking)}"
            checks.append(Check(kind, name, left.name, right.name, "fail", note=note))
        else:
            array = _levelled(found[name], left, right, expected[name])
            bound = within.get(name, _STRICT)
            if array.dtype.kind not in _EXACT:
                bound = _overridden(bound, bound_of(overrides, kind, name, str(array.dtype)))
            checks.append(compare(kind, name, (left.name, right.name), expected[name], array, bound))
    for side in (left, right):
        for name in wanted.of(side):
            if name not in wanted.kinds:
                note = f"returned by {side.name}, which was not asked for it"
                checks.append(Check(wanted.stray, name, left.name, right.name, "fail", note=note))
    return [replace(check, step=wanted.step) for check in checks] if wanted.step else checks


def _overridden(bound: Bound, override: Override | None) -> Bound:
    """The bound that the user gives, on the same scale."""
    if override is None or (override.times_floor and not bound.floor):
        return bound
    tol = override.value * bound.floor if override.times_floor else override.value
    return replace(bound, tol=tol, note="; ".join(filter(None, (bound.note, f"bound given as {override}"))))


def _bounds(
    wanted: Pass,
    left: Party,
    right: Party,
    floors: Mapping[str, float] | None,
    sways: Mapping[str, float] | None,
    residues: Mapping[str, float] | None,
) -> dict[str, Bound]:
    peaks = {name: magnitude(array) for name, array in wanted.of(left).items() if array.dtype.kind in "fV"}
    if "own" in (left.dtype, right.dtype):
        coarse = {
            name: max(least_bound(array.dtype, gradients=wanted.gradients) for array in (wanted.of(left)[name], other))
            for name, other in wanted.of(right).items()
            if name in peaks and other.dtype.kind in "fV"
        }
        return single_bounds(peaks, floors or {}, gradients=wanted.gradients, least=coarse, residues=residues)
    if "float32" in (left.dtype, right.dtype):
        return single_bounds(peaks, floors or {}, gradients=wanted.gradients, residues=residues)
    holders: dict[str, list[str]] = {}
    for runtime in dict.fromkeys((left.runtime, right.runtime)):
        for name in wanted.single.get(runtime.name, ()):
            holders.setdefault(name, []).append(runtime.label)
    told = {name: " and ".join(labels) for name, labels in holders.items()}
    return double_bounds(peaks, floors, told, wanted.tol, sways, residues)


def _levelled(
    array: npt.NDArray[np.generic], left: Party, right: Party, reference: npt.NDArray[np.generic]
) -> npt.NDArray[np.generic]:
    """An array in the precision of the reference, where the sides' precisions differ and it has its own side's."""
    if left.dtype == right.dtype and not right.levels:
        return array
    floats = all(each.dtype.kind in "fV" for each in (array, reference))
    if floats and _is_own(array, right) and _is_own(reference, left):
        return array.astype(reference.dtype)
    return array


def _is_own(array: npt.NDArray[np.generic], side: Party) -> bool:
    """Whether a float array has the precision of its side."""
    return side.dtype == "own" or bool(array.dtype == side.dtype)
