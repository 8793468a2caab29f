"""Numbers laid over a graph: what each node costs, how far it is from parity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Mark", "Overlay", "Scale", "Verdict"]

Verdict: TypeAlias = Literal["", "pass", "fail", "unknown"]

Scale: TypeAlias = Literal["linear", "log", "bound"]
"""How colours follow numbers: in proportion, by magnitude, or as shares of a bound of which 1 is all."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What an overlay says of one node.

    Attributes:
        value: The number that colours it; None where it is not known.
        told: Lines for whoever asks, e.g. ``"output: 3.1e-7 of 1e-5 allowed"``.
        verdict: Whether the node holds, where an overlay judges.
    """

    value: float | None
    told: tuple[str, ...] = ()
    verdict: Verdict = ""


@dataclass(frozen=True, slots=True)
class Overlay:
    """One number for each of some nodes.

    Attributes:
        title: What the numbers are, e.g. ``"FLOPs"``.
        marks: What is said of a node, by its key in the view. A node that is not there has nothing to do with it.
        scale: How colours follow the numbers.
        unit: Unit of the numbers, e.g. ``"bytes"``; empty for counts and shares.
        note: What readers must know of it as a whole, e.g. checks that belong to no node.
    """

    title: str
    marks: Mapping[str, Mark] = field(default_factory=dict)
    scale: Scale = "linear"
    unit: str = ""
    note: str = ""
