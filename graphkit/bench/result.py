"""A benchmark is a value; tables, charts, JSON and pages are made of it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

__all__ = ["BUSY", "DOUBT", "SPREAD", "Benchmark", "Entry", "Spread", "Status", "leaders", "ratio", "spread"]

Status: TypeAlias = Literal["measured", "wrong", "failed", "unavailable"]
"""Whether there are figures: ``"wrong"`` computes something else than the reference, ``"failed"`` crashed or refused in
the middle, ``"unavailable"`` is not installed here or cannot express the model."""

DOUBT: Final = "Not reliable: "
"""How warnings begin that figures are not to be relied on."""
SPREAD: Final = 0.1
"""Interquartile range over median beyond which figures are not to be relied on."""
BUSY: Final = 0.1
"""Share of the machine's processors that other programs may take before figures are not to be relied on."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one quantity.

    Attributes:
        median: The median.
        low: The first quartile.
        high: The third quartile.
        least: The smallest.
        most: The largest.
    """

    median: float
    low: float
    high: float
    least: float
    most: float

    @property
    def relative(self) -> float:
        """Interquartile range over median."""
        return (self.high - self.low) / self.median if self.median else 0.0


def spread(numbers: tuple[float, ...]) -> Spread:
    """Median, quartiles (inclusive, interpolated linearly) and extremes of at least one number."""
    if len(numbers) == 1:
        return Spread(*numbers * 5)
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Spread(median, low, high, min(numbers), max(numbers))


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant at one batch size.

    Attributes:
        name: How the command line calls it.
        label: How people call it.
        batch: Samples in a call.
        status: Whether there are figures.
        note: What a reader must know: why there are none, or what is unusual about them.
        setup: What was changed in its usual settings, with which it computes something else; empty for nothing.
        seconds: Mean duration of a call in each round.
        calls: Calls that were timed, in all rounds.
        load: Seconds to load the model, the runtime being imported.
        first: Seconds of the first call, which binds and compiles.
        peak: Bytes of memory at most, above those that the runtime takes once imported.
        running: The same, from the end of warming up on.
        work: Processor time of a call in seconds, of all threads, the median over rounds. Other programs add to the
            duration of a call, and hardly to this.
        busy: Processors that it kept busy, the median over rounds.
        others: Processors that other programs kept busy meanwhile, the mean over rounds.
    """

    name: str
    label: str
    batch: int
    status: Status
    note: str = ""
    setup: str = ""
    seconds: tuple[float, ...] = ()
    calls: int = 0
    load: float = 0.0
    first: float = 0.0
    peak: int = 0
    running: int = 0
    work: float = 0.0
    busy: float = 0.0
    others: float = 0.0

    @property
    def latency(self) -> Spread:
        """Seconds of a call; there have to be some."""
        return spread(self.seconds)

    @property
    def throughput(self) -> Spread:
        """Samples in a second; there have to be some."""
        return spread(tuple(self.batch / number for number in self.seconds))

    @property
    def title(self) -> str:
        """The label, with what was changed in the settings."""
        return f"{self.label}, {self.setup}" if self.setup else self.label


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All that was measured.

    Attributes:
        title: What was timed.
        backward: Whether a call gives gradients, too.
        threads: Threads that each contestant was given.
        rounds: Rounds that were asked for.
        reference: What the contestants were checked against.
        entries: Every contestant at every batch size, batch by batch, in the order given.
        environment: Versions, machine and settings by name.
        warnings: What a reader must know.
    """

    title: str
    backward: bool
    threads: int
    rounds: int
    reference: str
    entries: tuple[Entry, ...]
    environment: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes, in order."""
        return tuple(dict.fromkeys(entry.batch for entry in self.entries))

    @property
    def right(self) -> bool:
        """Whether something was measured, and nothing computed something else or failed."""
        found = {entry.status for entry in self.entries}
        return "measured" in found and not found & {"wrong", "failed"}

    @property
    def base(self) -> str:
        """Name of the contestant that the others' speed is told in: the first of which anything was measured."""
        return next((entry.name for entry in self.entries if entry.status == "measured"), "")

    def speed(self, entry: Entry) -> Spread | None:
        """How many times faster an entry is than :attr:`base` at the same batch size; None where one has no figures."""
        found = [one for one in self.at(entry.batch) if one.name == self.base and one.status == "measured"]
        return ratio(entry, found[0]) if found and entry.status == "measured" else None

    def at(self, batch: int) -> tuple[Entry, ...]:
        """The contestants at one batch size."""
        return tuple(entry for entry in self.entries if entry.batch == batch)


def ratio(entry: Entry, first: Entry) -> Spread:
    """How many times faster a contestant is than another one that took part in the same rounds.

    Each round is compared with the other's in the same turn, in which the machine was the same.
    """
    return spread(tuple(b / a for a, b in zip(entry.seconds, first.seconds, strict=True)))


def leaders(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The fastest of those that were measured, and those that cannot be told from it.

    One can be told from the fastest if it was slower in at least three quarters of the rounds.
    """
    known = [entry for entry in entries if entry.status == "measured"]
    if not known:
        return ()
    best = min(known, key=lambda entry: entry.latency.median)
    return tuple(entry for entry in known if entry is best or ratio(entry, best).high >= 1)
