"""A report is a value; tables, JSON and pages are printed from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DECADES", "Check", "Kind", "Report", "Verdict"]

Kind: TypeAlias = Literal[
    "output",
    "input gradient",
    "parameter gradient",
    "loss",
    "parameter",
    "running statistic",
    "value",
    "value gradient",
    "forward",
    "backward",
    "train",
]
"""What is compared: a tensor, or a whole pass that could not be made (``"forward"``, ``"backward"``, ``"train"``).

A ``"value"`` is one between two nodes, a ``"value gradient"`` the gradient in it.
"""
Verdict: TypeAlias = Literal["pass", "fail", "unavailable"]
DECADES: Final = (-17, 3)
"""Decades of the error that a histogram tells apart: the first and the one after the last."""


@dataclass(frozen=True, slots=True)
class Check:
    """One tensor compared between two runtimes, or a comparison that could not be made.

    Attributes:
        kind: What is compared.
        name: Name of the IR value; empty for a whole pass.
        left: Side of the reference.
        right: Side under test.
        verdict: ``"unavailable"`` is neither a pass nor a failure: nothing was compared, ``note`` says why.
        error: Largest absolute difference over the scale, which is the largest magnitude of the reference; a
            reference that is zero or nothing but rounding residue takes the scale of its peers, and the note says so.
            This is what ``tol`` bounds.
        max_abs: Largest absolute difference.
        max_rel: Largest difference of an element over the magnitude of that very element of the reference, over
            those that are not zero; what single small elements make of it says little.
        ulps: Largest number of representable numbers from an element to its reference; 0 for what is not float.
        peak: Largest magnitude of the reference.
        l2: l2 norm of the difference over that of the reference.
        cosine: Cosine of the angle between the two, 1 for identical directions.
        bad: Number of elements whose difference is beyond ``tol`` times the scale, or that are finite on one side only.
        size: Number of elements.
        nonfinite: Number of elements that are NaN or infinite in the reference and in the array under test.
        first: Index of the first element counted in ``bad``; None where there is none.
        values: That element in the reference and in the array under test.
        histogram: Number of elements by their share of the scale: equal ones first, then those below
            10^``DECADES[0]``, one number for each decade of :data:`DECADES`, then those beyond; empty if not counted.
        shape: Shape of the reference.
        dtype: Element type compared in.
        tol: Bound on ``error``.
        floor: Noise floor that the bound was derived from, 0 where it is a fixed one.
        note: What a reader must know.
        step: Which step of training it belongs to, from 1 on; 0 outside of training.
        sample: Which of several samples the numbers are of, e.g. ``"seed 3, batch 8"``: the worst; empty where there
            was one.
        samples: How many samples were compared.
        failures: How many of them failed.
    """

    kind: Kind
    name: str
    left: str
    right: str
    verdict: Verdict
    error: float = 0.0
    max_abs: float = 0.0
    max_rel: float = 0.0
    ulps: float = 0.0
    peak: float = 0.0
    l2: float = 0.0
    cosine: float = 1.0
    bad: int = 0
    size: int = 0
    nonfinite: tuple[int, int] = (0, 0)
    first: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    histogram: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = ""
    tol: float = 0.0
    floor: float = 0.0
    note: str = ""
    step: int = 0
    sample: str = ""
    samples: int = 1
    failures: int = 0

    @property
    def what(self) -> str:
        """The check in words, e.g. ``"output logits"`` or ``"parameter fc.weight, step 2"``."""
        return f"{self.kind} {self.name}".strip() + (f", step {self.step}" if self.step else "")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a verification found.

    Attributes:
        title: What was compared.
        checks: All checks.
        environment: Versions and settings by name.
        warnings: Deviations that the user must know of.
        matching: Where two models were compared: what of the one met what of the other, a sentence for each kind.
        curves: Loss of each step of training by side, where training was compared.
    """

    title: str
    checks: tuple[Check, ...]
    environment: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    matching: tuple[str, ...] = ()
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing failed."""
        verdicts = [check.verdict for check in self.checks]
        return "fail" not in verdicts and "pass" in verdicts
