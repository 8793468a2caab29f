"""The conditions of a comparison that a baseline was recorded under."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from graphkit.frameworks.base import Adam, InputSpec, Sgd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.frameworks.base import Rule
    from graphkit.parity.sides import Precision

__all__ = ["Conditions", "parse_rule", "plain_rule"]

_RULES: Final[Mapping[str, type[Rule]]] = {"sgd": Sgd, "adam": Adam}


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the comparison was made that a baseline was recorded in.

    Attributes:
        dtype: Precision; ``"own"`` for that of each tensor in the model.
        mode: How BatchNorm behaves.
        backward: Whether gradients are held.
        taps: Whether values between nodes are held.
        train_steps: How many steps of training are held.
        rule: Their optimizer.
        loss: What they make smaller.
        seeds: Seeds of the drawn samples; empty where data was given.
        batches: Batch sizes of the drawn samples; empty for the usual one.
        inputs: Given shapes.
    """

    dtype: Precision = "float32"
    mode: Literal["eval", "train"] = "eval"
    backward: bool = False
    taps: bool = False
    train_steps: int = 0
    rule: Rule | None = None
    loss: str = ""
    seeds: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()
    inputs: tuple[InputSpec, ...] = ()

    def lacking(self, asked: Conditions) -> list[str]:
        """What of the settings of a comparison a baseline recorded in these does not serve, as clauses."""
        found = []
        for name in ("dtype", "mode"):
            ours, theirs = getattr(self, name), getattr(asked, name)
            if ours != theirs:
                found.append(f"{name} {ours} was recorded, {theirs} is asked for")
        for name, what in (("backward", "gradients"), ("taps", "values between nodes")):
            if getattr(asked, name) and not getattr(self, name):
                found.append(f"no {what} were recorded")
        if asked.train_steps > self.train_steps:
            found.append(f"{self.train_steps or 'no'} steps of training were recorded, {asked.train_steps} asked for")
        elif asked.train_steps:
            if asked.rule != self.rule:
                found.append(f"steps of training were recorded with {self.rule}, {asked.rule} is asked for")
            if asked.loss != self.loss:
                found.append(f"loss {self.loss or 'by default'} was recorded, {asked.loss or 'the default'} asked for")
        for name in ("seeds", "batches"):
            unknown = [number for number in getattr(asked, name) if number not in getattr(self, name)]
            if unknown:
                found.append(f"{name} {_numbers(unknown)} were not recorded, {_numbers(getattr(self, name))} were")
        return found

    def plain(self) -> dict[str, Any]:
        """The settings in the types that JSON has."""
        rule = None if self.rule is None else plain_rule(self.rule)
        return asdict(self) | {"rule": rule, "inputs": [asdict(spec) for spec in self.inputs]}

    @classmethod
    def parsed(cls, told: dict[str, Any]) -> Conditions:
        """The settings that :meth:`plain` gave."""
        rule = None if told["rule"] is None else parse_rule(told["rule"])
        specs = tuple(InputSpec(one["name"], tuple(one["shape"]), one["dtype"]) for one in told["inputs"])
        numbers = {name: tuple(told[name]) for name in ("seeds", "batches")}
        return cls(**{**told, "rule": rule, "inputs": specs, **numbers})


def plain_rule(rule: Rule) -> dict[str, Any]:
    """An optimizer in the types that JSON has."""
    name = next(name for name, kind in _RULES.items() if isinstance(rule, kind))
    return {"optimizer": name, **asdict(rule)}


def parse_rule(told: dict[str, Any]) -> Rule:
    """The optimizer that :func:`plain_rule` gave."""
    numbers = {name: number for name, number in told.items() if name != "optimizer"}
    return _RULES[told["optimizer"]](**numbers)


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
