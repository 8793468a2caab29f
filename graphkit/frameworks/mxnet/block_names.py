"""How Gluon names parameters: with the prefixes of their blocks in symbols, with attributes in files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = [
    "are_neighbours",
    "by_attributes",
    "by_prefix",
    "compare_counters",
    "in_a_row",
    "in_order",
    "kind_of",
    "leaf",
    "plain",
]

_NUMBERS: Final = re.compile(r"\d+")
_UNFUSED: Final = re.compile(r"_unfused\.(\d+)\.(?:(l|r)_cell\.)?(\w+)$")
"""Where a recurrent layer's parameters would be if it were made of cells: what Gluon writes in place of their names."""


def plain(key: str) -> str:
    """The name in a file of a recurrent layer's parameter as if it were named as the layer has it."""
    return _UNFUSED.sub(lambda found: f"{found[2] or 'l'}{found[1]}_{found[3]}", key)


def leaf(key: str) -> str:
    """What a parameter is called in its block, from its name in a file."""
    return key.rpartition(".")[2]


def kind_of(name: str, leaves: Collection[str]) -> str:
    """The longest of the names that parameters have in their blocks that a variable's ends with; empty for none."""
    return max((each for each in leaves if name == each or name.endswith(f"_{each}")), key=len, default="")


def by_prefix(parameters: Sequence[str], keys: Collection[str]) -> dict[str, str] | None:
    """Name in a file by variable, where only what all of them begin with differs, as in files of ``save_params``."""
    ours, theirs = _unprefixed(parameters), _unprefixed(keys)
    return {name: theirs[rest] for rest, name in ours.items()} if ours.keys() == theirs.keys() else None


def _unprefixed(names: Collection[str]) -> dict[str, str]:
    first, last = min(names, default=""), max(names, default="")
    length = first.rfind("_", 0, _shared(first, last)) + 1
    return {name[length:]: name for name in names}


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """How many items two sequences begin with in common."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(left), len(right)))


def compare_counters(left: str, right: str) -> int:
    """-1 where counters say that the left variable was made first, 1 for the right one, 0 where they say nothing."""
    if _NUMBERS.sub("#", left) != _NUMBERS.sub("#", right):
        return 0
    ours, theirs = ([int(number) for number in _NUMBERS.findall(name)] for name in (left, right))
    return (ours > theirs) - (ours < theirs)


def by_attributes(prefixes: Mapping[str, str], keys: Sequence[str]) -> list[str] | None:
    """The variables of some arrays whose blocks were given the names of their attributes as prefixes.

    Args:
        prefixes: What each variable's name begins with, which is its block's.
        keys: As many names in a file.

    Returns:
        The variables in the order of the arrays; None unless each array has one of its own.
    """
    paths = [[part for part in key.split(".")[:-1] if not part.isdecimal()] for key in keys]
    for wanted in (["_".join(path) for path in paths], ["".join(path[-1:]) for path in paths]):
        found = [
            [name for name, prefix in prefixes.items() if attribute and f"_{prefix}".endswith(f"_{attribute}_")]
            for attribute in wanted
        ]
        if all(len(names) == 1 for names in found) and len({names[0] for names in found}) == len(keys):
            return [names[0] for names in found]
    return None


def in_a_row(left: str, right: str) -> bool:
    """Whether two arrays of a file are in different places of one sequence of blocks, which runs them in that order."""
    ours, theirs = left.split("."), right.split(".")
    place = _shared(ours, theirs)
    return all(len(each) > place and each[place].isdecimal() for each in (ours, theirs))


def are_neighbours(left: str, right: str) -> bool:
    """Whether of two blocks of a file, one after the other, the second reads what the first gives, if both are run.

    It is so where nothing but sequences separates them: the last block of one and the first of the next.
    """
    ours, theirs = left.split("."), right.split(".")
    place = _shared(ours, theirs)
    return all(part.isdecimal() for part in (*ours[place:], *theirs[place:]))


def in_order(keys: Sequence[str]) -> bool:
    """Whether blocks stand together, and numbered ones in the order of their numbers, as in files of Python 3.6 on."""
    closed: set[str] = set()
    last: list[str] = []
    for key in keys:
        path = key.split(".")[:-1]
        shared = _shared(last, path)
        closed.update(".".join(last[: i + 1]) for i in range(shared, len(last)))
        if any(".".join(path[: i + 1]) in closed for i in range(shared, len(path))):
            return False
        numbers = [int(each[shared]) for each in (last, path) if len(each) > shared and each[shared].isdecimal()]
        if numbers != sorted(numbers):
            return False
        last = path
    return True
