"""Consecutive uses of one class as ``nn.Sequential``, or as ``nn.ModuleList`` where all read something else, too."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from graphkit.frameworks.torch.source.blocks import Shortcut, Use, reads
from graphkit.frameworks.torch.source.naming import scope_of
from graphkit.ops.torchprogram import Code, Stmt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphkit.frameworks.torch.source.blocks import Block, Item
    from graphkit.frameworks.torch.source.plan import Plan
    from graphkit.ops.torchprogram import Var

__all__ = ["Run", "elements", "with_runs"]


@dataclass(eq=False, slots=True)
class Run:
    """Uses of one class, each of which reads what the one before gives.

    Attributes:
        uses: The uses, by their position in the sequence.
        inputs: What the first one reads.
        link: Which of its inputs each one reads from the one before; the others are the same for all.
        output: What the last one gives.
    """

    uses: list[tuple[int, Use]]
    inputs: list[Var]
    link: int
    output: Var


Part: TypeAlias = "Stmt | Use | Shortcut | Run"


def with_runs(items: Sequence[Item], outputs: Sequence[Any], plans: Mapping[Block, Plan]) -> list[tuple[int, Part]]:
    """The items with their positions, runs of two and more uses of a class joined; a run ends where its scope does."""
    readers: Counter[Var] = Counter(var for item in items for var in reads(item))
    readers.update(outputs)
    shared = Counter((item.block, scope_of(item)) for item in items if isinstance(item, Use))

    def stage(use: Use) -> tuple[str, ...]:
        """The module that holds a block: its own path up to the number that is its own."""
        path = scope_of(use)
        return path[:-1] if path and path[-1][-1:].isdigit() and shared[use.block, path] == 1 else path

    found: list[tuple[int, Part]] = []
    for position, item in enumerate(items):
        before = found[-1][1] if found else None
        link = None
        if isinstance(item, Use) and isinstance(before, Use | Run) and plans[item.block].is_class:
            link = _link(before, item, readers)
            last = before if isinstance(before, Use) else before.uses[-1][1]
            if stage(last) != stage(item):
                link = None
        if link is not None:
            assert isinstance(item, Use)
            assert isinstance(before, Use | Run)
            if isinstance(before, Use):
                before = Run([(found[-1][0], before)], before.inputs, link, before.output)
                found[-1] = (found[-1][0], before)
            before.uses.append((position, item))
            before.output = item.output
        else:
            found.append((position, item))
    return found


def _link(before: Use | Run, use: Use, readers: Counter[Var]) -> int | None:
    """Which input of a use is what the use before gives, where they can stand in one sequence."""
    last = before if isinstance(before, Use) else before.uses[-1][1]
    if last.block is not use.block or last.output not in use.inputs or readers[last.output] != 1:
        return None
    link = use.inputs.index(last.output)
    if isinstance(before, Run) and before.link != link:
        return None
    others = zip(last.inputs, use.inputs, strict=True)
    return link if all(a is b for k, (a, b) in enumerate(others) if k != link) else None


def elements(arguments: Sequence[dict[str, Any]], spell: Callable[[dict[str, Any]], str]) -> list[str]:
    """The elements of a sequence as text, those in a row that are equal or in arithmetic progression as one line.

    Args:
        arguments: What each element's constructor is passed.
        spell: Spells an element.
    """
    found: list[str] = []
    start = 0
    while start < len(arguments):
        end = start + 1
        while end < len(arguments) and _progresses(arguments[start : end + 1]):
            end += 1
        count = end - start
        if count < 3:
            end, count = start + 1, 1
        if count == 1:
            found.append(spell(arguments[start]))
        else:
            first, second = arguments[start], arguments[start + 1]
            terms = {key: _term(value, second[key]) for key, value in first.items()}
            variable = "_" if first == second else "i"
            found.append(f"*({spell(terms)} for {variable} in range({count}))")
        start = end
    return found


def _progresses(arguments: Sequence[dict[str, Any]]) -> bool:
    first = arguments[0]
    if any(list(given) != list(first) for given in arguments):
        return False
    for key, value in first.items():
        column = [given[key] for given in arguments]
        if all(number == value for number in column):
            continue
        if not all(type(number) is int for number in column):
            return False
        if len({after - before for before, after in pairwise(column)}) > 1:
            return False
    return True


def _term(value: Any, second: Any) -> Any:
    if value == second:
        return value
    step = second - value
    times = "i" if abs(step) == 1 else f"{abs(step)} * i"
    return Code(f"{value} {'+' if step > 0 else '-'} {times}")
