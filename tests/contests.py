"""Contestants that run the model of ``fakes`` in this process, rightly or wrongly in a chosen way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fakes import Fake

from graphkit.frameworks.timing import Answer, Memory, Round

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Contestant", "Running"]


@dataclass
class Running:
    """A contestant that was started.

    Attributes:
        name: Of the contestant.
        session: What it computes with.
        log: Told of all that is asked of it.
        durations: Seconds of a call in one round after the other.
        dies: Raised in the round of that number.
    """

    name: str
    session: Any
    log: list[tuple[str, str]]
    durations: Sequence[float]
    dies: dict[int, BaseException]
    load: float = 0.5
    notes: tuple[str, ...] = ()
    rounds: int = 0

    def call(self, feeds: Any, seeds: Any) -> Answer:
        self.log.append((self.name, "call"))
        gradients = {} if seeds is None else self.session.backward(feeds, seeds)
        return Answer(self.session.forward(feeds), gradients, 0.25)

    def measure(self, least: float, lead: bool = True) -> Round:
        del lead
        if "settle" not in [what for name, what in self.log if name == self.name]:
            return Round(10, 1.0, 1.0, 0.0)
        self.log.append((self.name, "round"))
        if self.rounds in self.dies:
            raise self.dies[self.rounds]
        seconds = self.durations[self.rounds % len(self.durations)]
        self.rounds += 1
        return Round(max(round(least / seconds), 1), seconds, 1.0, 0.0)

    def settle(self) -> None:
        self.log.append((self.name, "settle"))

    def memory(self) -> Memory:
        return Memory(3_000_000, 2_000_000)

    def close(self) -> None:
        self.log.append((self.name, "close"))


@dataclass
class Contestant:
    """Something that can be timed.

    Attributes:
        name: What reports call it.
        outputs: Spoils the outputs, for each variant in turn.
        gradients: Spoils the gradients, for each variant in turn.
        variants: How it can be set up.
        durations: Seconds of a call in one round after the other.
        absent: What is missing, if it is not installed.
        fails: Raised on starting.
        dies: Raised in the round of that number.
        log: Told of all that is asked of it.
    """

    name: str
    outputs: Sequence[Callable[..., Any] | None] = (None,)
    gradients: Sequence[Callable[..., Any] | None] = (None,)
    variants: tuple[str, ...] = ("",)
    durations: Sequence[float] = (0.1,)
    absent: str = ""
    fails: BaseException | None = None
    dies: dict[int, BaseException] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.name.title()

    def missing(self) -> str | None:
        return self.absent or None

    def version(self) -> str:
        return f"{self.name} 1.0"

    def start(self, model: Any, folder: Any, *, threads: int, backward: bool, variant: int = 0) -> Running:
        del threads, backward
        assert folder.is_dir()
        self.log.append((self.name, "start"))
        if self.fails is not None:
            raise self.fails
        spoils = {
            key: found
            for key, spoil in (("outputs", self.outputs), ("gradients", self.gradients))
            if (found := spoil[min(variant, len(spoil) - 1)]) is not None
        }
        return Running(self.name, Fake(self.name, **spoils).open(model), self.log, self.durations, self.dies)
