"""A report is a value; tables, JSON and pages are printed from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Check", "Kind", "Report", "Verdict"]

Kind: TypeAlias = Literal[
    "output",
    "input gradient",
    "parameter gradient",
    "loss",
    "parameter",
    "running statistic",
    "forward",
    "backward",
    "train",
]
"""What is compared: a tensor, or a whole pass that could not be made (``"forward"``, ``"backward"``, ``"train"``)."""
Verdict: TypeAlias = Literal["pass", "fail", "unavailable"]


@dataclass(frozen=True, slots=True)
class Check:
    """One tensor compared between two runtimes, or a comparison that could not be made.

    Attributes:
        kind: What is compared.
        name: Name of the IR value; empty for a whole pass.
        left: Runtime of the reference.
        right: Runtime under test.
        verdict: ``"unavailable"`` is neither a pass nor a failure: nothing was compared, ``note`` says why.
        max_abs: Largest absolute difference.
        peak: Largest magnitude of the reference.
        max_rel: Largest absolute difference over the scale, which is the largest magnitude of the reference; a
            reference that is zero or nothing but rounding residue takes the scale of its peers, and the note says so.
        l2: l2 norm of the difference over that of the reference.
        cosine: Cosine of the angle between the two, 1 for identical directions.
        bad: Number of elements whose difference is beyond ``tol`` times the scale, or that are finite on one side only.
        size: Number of elements.
        shape: Shape of the reference.
        dtype: Element type compared in.
        tol: Bound on ``max_rel``.
        floor: Noise floor that the bound was derived from, 0 where it is a fixed one.
        note: What a reader must know.
        step: Which step of training it belongs to, from 1 on; 0 outside of training.
    """

    kind: Kind
    name: str
    left: str
    right: str
    verdict: Verdict
    max_abs: float = 0.0
    peak: float = 0.0
    max_rel: float = 0.0
    l2: float = 0.0
    cosine: float = 1.0
    bad: int = 0
    size: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = ""
    tol: float = 0.0
    floor: float = 0.0
    note: str = ""
    step: int = 0

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
    """

    title: str
    checks: tuple[Check, ...]
    environment: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing failed."""
        verdicts = [check.verdict for check in self.checks]
        return "fail" not in verdicts and "pass" in verdicts
