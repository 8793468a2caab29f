"""How far apart two right implementations may be, and why.

**float64.** Two right implementations of the same mathematics differ by rounding only: by some 1e-14 of a tensor's
largest magnitude in practice, so :data:`DOUBLE` = 1e-9 leaves room for depth and ill-conditioning and still catches
a wrong epsilon. Where MXNet itself holds a parameter or constant in float32 (the slope of LeakyReLU, the bounds of
clip, GELU's polynomial, …) it cannot do better than :data:`SINGLE_INSIDE` = 1e-6; :mod:`graphkit.parity.single` finds
out where. So does ONNX Runtime hold attributes, the scale of Attention and the factor of a fused matrix product. Where
several such nodes follow one another (steps of a recurrent layer that MXNet computes in float32), a gradient that would
fail may be as far off as in float32: :data:`MARGIN` times its noise floor, up to :data:`SUMMED`.
A gradient that cancels, as that of one number which scales everything may, multiplies what is otherwise far below 1e-9:
the epsilon 1e-5, which MXNet holds in float32, is off by up to 3e-13, and moves what a LayerNorm gives by 1e-11 where
the variance is 0.01. How much such a gradient multiplies is a matter of the model: one that would fail is measured
again with inputs moved by 1e-11, and may be off by :data:`MARGIN` times what that moves it by, up to
:data:`SINGLE_INSIDE`.
Steps of training add up what single gradients differ by: :data:`TRAINED` = 1e-8 is for the parameters after them.

**float32.** The bound is :data:`MARGIN` = 4 times the *noise floor*: how far the same model, on one runtime, is from
itself in float64 (:mod:`graphkit.parity.floor` says how that is measured). Four things keep a floor from being small
by luck:

- Of outputs, none counts less than the median of all: one of a single element may be right to the last bit.
- Of gradients, none counts less than the largest of all. What disturbs gradients are activations at a kink, and each
  implementation has its own: in a DenseNet-121 some two in each run, in other layers every time. Of its 365 gradients
  up to 43 were then beyond 4 times their own floor, one by 80,000 times, but none was beyond 2.4 times the largest.
  Where no activation is at a kink, the largest floor is within a few times the median, and the bound is sharp.
- Of a gradient that would fail, the floor on the runtime under test counts as well, where that computes in float64:
  runtimes add up in other orders, and MXNet adds a bias's gradient term by term. What a runtime computes wrongly, it
  computes wrongly in both precisions, unless its kernels for one of them are wrong; so this floor counts for bounds up
  to :data:`SUMMED` = 1e-4 only. The error of adding up n numbers one by one grows with √n units of roundoff (Higham and
  Mary, 2019, A new approach to probabilistic rounding error analysis): 6e-5 for a million of them.
- No bound is below what different implementations of the same elementary functions may take, which no measurement on
  one runtime shows: :data:`OUTPUT` = 1e-5 for outputs and :data:`ULPS` = 16 units in the last place for gradients, the
  error that the OpenCL specification (full profile, "Relative error as ULPs") grants a single-precision function such
  as erf or pow.

**float16 and bfloat16.** The same, with the model in its own precision in place of float32;
:mod:`graphkit.parity.precision` has what is coarser then: the least bound, and that up to which a runtime's own floor
counts.

**Zeros and residue.** A gradient that is exactly zero (a dead unit), or that cancels to nothing but rounding residue
(a bias that a normalisation takes out again), has no magnitude to be measured against. It takes the scale of its
peers: the median of their largest magnitudes. Residue is what float32 cannot tell a digit of: its floor is above
:data:`RESIDUE` of its own magnitude.
How large residue is, what it cancels from decides: where most gradients are far below the largest (behind layers that
pass little back), it may be above the median. Residue of the runtime under test is known by moving, when inputs and
cotangents move by rounding errors, by more than :data:`RESIDUE` of what it is, which a wrong gradient does only where
it comes from a kink or a tie that rounding decides. It may be :data:`MARGIN` times that, up to :data:`SUMMED` (in
float64 :data:`DOUBLE`) of the largest of all gradients: what float32 does not tell from residue so far below, float64
does.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DOUBLE",
    "MARGIN",
    "OUTPUT",
    "RESIDUE",
    "SINGLE_INSIDE",
    "SUMMED",
    "TRAINED",
    "ULPS",
    "Bound",
    "double_bounds",
    "single_bounds",
    "sound",
]

DOUBLE: Final = 1e-9
"""In float64, for outputs and gradients: rounding takes some 1e-14, and a wrong epsilon more than this."""
TRAINED: Final = 1e-8
"""In float64, for what steps of training give: they add up what single gradients differ by."""
SINGLE_INSIDE: Final = 1e-6
"""In float64, behind an operator inside which a runtime computes with float32 numbers; for gradients that cancel."""
MARGIN: Final = 4.0
"""How many times its noise floor a tensor may be off: another right implementation may round by that much more."""
OUTPUT: Final = 1e-5
"""In float32, the least bound of an output: what elementary functions of two libraries differ by, layer upon layer."""
ULPS: Final = 16 * 2.0**-23
"""In float32, the least bound of a gradient: 16 units in the last place, which OpenCL grants a function such as pow."""
SUMMED: Final = 1e-4
"""In float32, up to where the noise floor of the runtime under test counts: sums of a million terms lose 6e-5."""
RESIDUE: Final = 0.5
"""A gradient whose noise floor is a larger part of its magnitude is what rounding leaves of a cancellation."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How far a tensor may be from its reference.

    Attributes:
        tol: Bound on max|d| / scale.
        scale: What differences are measured against; 0 for the largest magnitude of the reference.
        floor: Noise floor relative to the scale, 0 where the bound is a fixed one.
        note: Why the bound is not the usual one.
    """

    tol: float
    scale: float = 0.0
    floor: float = 0.0
    note: str = ""


def double_bounds(
    peaks: Mapping[str, float],
    floors: Mapping[str, float] | None = None,
    single: Mapping[str, str] | None = None,
    tol: float = DOUBLE,
    sways: Mapping[str, float] | None = None,
    residues: Mapping[str, float] | None = None,
) -> dict[str, Bound]:
    """Bounds for tensors compared in float64.

    Args:
        peaks: Largest magnitude of each reference, for tensors that are peers (all outputs, or all gradients).
        floors: Largest difference between float32 and float64 of each, absolute, where it was measured; tells residue,
            and what a runtime may be off by that computes with float32 numbers.
        single: What runtime computes with a number in float32 behind a tensor, by name of the tensor.
        tol: The bound where none does.
        sways: By how much inputs that move by 1e-11 move each tensor, absolute, where it was measured.
        residues: What each tensor of the side under test moves by that is nothing but rounding there, absolute.
    """
    holders = single or {}
    bounds = {}
    for name in peaks:
        scale, note = _scale(name, peaks, floors or {})
        within = tol
        if name in holders:
            level = (floors or {}).get(name, 0.0) / (scale or peaks[name] or 1.0)
            within = max(SINGLE_INSIDE, min(MARGIN * level, SUMMED))
        elif sways:
            level = sways.get(name, 0.0) / (scale or peaks[name] or 1.0)
            within = max(tol, min(MARGIN * level, SINGLE_INSIDE))
        reason = f"{holders[name]} holds a constant in float32" if name in holders else ""
        bounds[name] = Bound(within, scale, note="; ".join(filter(None, (note, reason))))
    return bounds | _of_residue(bounds, peaks, floors or {}, residues or {}, DOUBLE)


def single_bounds(
    peaks: Mapping[str, float],
    floors: Mapping[str, float],
    *,
    gradients: bool,
    least: Mapping[str, float] | None = None,
    residues: Mapping[str, float] | None = None,
) -> dict[str, Bound]:
    """Bounds for tensors compared in float32, or in fewer bits.

    Args:
        peaks: Largest magnitude of each reference, for tensors that are peers.
        floors: Noise floor of each, absolute.
        gradients: Whether the tensors are gradients.
        least: What the bound of a tensor is at least, where that is not that of float32.
        residues: As for :func:`double_bounds`.
    """
    relative = [floors[name] / peaks[name] for name in sound(peaks, floors) if name in floors]
    common = (max(relative) if gradients else statistics.median(relative)) if relative else 0.0
    usual = ULPS if gradients else OUTPUT
    bounds = {}
    for name, peak in peaks.items():
        floor = floors.get(name, 0.0)
        scale, note = _scale(name, peaks, floors)
        level = max(floor / (scale or peak or 1.0), common)
        bounds[name] = Bound(max(MARGIN * level, (least or {}).get(name, usual)), scale, level, note)
    return bounds | _of_residue(bounds, peaks, floors, residues or {}, SUMMED)


def _of_residue(
    bounds: Mapping[str, Bound],
    peaks: Mapping[str, float],
    floors: Mapping[str, float],
    residues: Mapping[str, float],
    limit: float,
) -> dict[str, Bound]:
    """The bounds of what is zero or residue in the reference and residue on the side under test."""
    whole = sound(peaks, floors)
    most = limit * max(peaks.values(), default=0.0)
    found = {}
    for name in residues.keys() & bounds.keys() - whole:
        bound = bounds[name]
        level = min(MARGIN * residues[name], most) / (bound.scale or peaks[name] or 1.0)
        if level > bound.tol:
            note = "; ".join(filter(None, (bound.note, "residue on the side under test, too")))
            found[name] = replace(bound, tol=level, note=note)
    return found


def sound(peaks: Mapping[str, float], floors: Mapping[str, float]) -> set[str]:
    """Names of the tensors that are neither zero nor residue.

    Args:
        peaks: Largest magnitude of each.
        floors: Noise floor of each, absolute, where it was measured.
    """
    return {name for name, peak in peaks.items() if peak and floors.get(name, 0.0) <= RESIDUE * peak}


def _scale(name: str, peaks: Mapping[str, float], floors: Mapping[str, float]) -> tuple[float, str]:
    """0 for a tensor's own magnitude; else its peers', and why."""
    whole = sound(peaks, floors)
    if name in whole:
        return 0.0, ""
    typical = statistics.median(peaks[other] for other in whole) if whole else 1.0
    peak = peaks[name]
    if not peak:
        return typical, f"zero in the reference, judged against its peers' magnitude {typical:.1e}"
    if typical <= peak:
        return 0.0, ""
    return typical, f"nothing but rounding residue, judged against its peers' magnitude {typical:.1e}"
