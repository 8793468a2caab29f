"""What a bisection found: where sides begin to differ, and which nodes are wrong on their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from graphkit.report.report import Check, Report

__all__ = ["Bisection", "Direction", "Finding", "Place", "Suspect"]

Direction: TypeAlias = Literal["forward", "backward", "training"]


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a model.

    Attributes:
        name: Its name.
        op: Its operator.
        origin: What it comes from, e.g. ``"aten.conv2d.default, net.py:12, in forward"``; empty if that is not known.
    """

    name: str
    op: str
    origin: str = ""

    def __str__(self) -> str:
        """The node in words."""
        return f"{self.op} node {self.name!r}{f' ({self.origin})' if self.origin else ''}"


@dataclass(frozen=True, slots=True)
class Suspect:
    """Where a side is wrong on its own.

    Attributes:
        direction: Whether it computes something else, differentiates so, or moves its statistics so.
        nodes: The node; several where what is between them is not known of the reference.
        check: What it gives, given what the reference has before it.
        files: What reproduces it: the model of it alone, its inputs, and what it should give.
        shown_by: The command that shows it on these files; empty where there are none.
    """

    direction: Direction
    nodes: tuple[Place, ...]
    check: Check
    files: tuple[Path, ...] = ()
    shown_by: str = ""

    @property
    def name(self) -> str:
        """Name of the node, the last of several."""
        return self.nodes[-1].name


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one side.

    Attributes:
        side: Name of the side.
        reference: Name of the reference.
        first: The first value, in the order of the model, that differs where the whole model runs; backwards the
            gradient nearest to the outputs. None where nothing differs.
        node: The node that gives it, or in whose output the gradient is.
        suspects: The nodes that are wrong on their own, in the order of the model. Where there are none and something
            differs, errors accumulate.
        growth: Where errors grow most: how many times the largest error of what a node reads that of a value is.
        note: Why the nodes could not be looked at one by one.
    """

    side: str
    reference: str
    first: Check | None = None
    node: Place | None = None
    suspects: tuple[Suspect, ...] = ()
    growth: tuple[tuple[float, Check], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bisection:
    """What a bisection found.

    Attributes:
        report: The comparison with all values between nodes.
        findings: One for each side compared with the reference.
    """

    report: Report
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return self.report.passed
