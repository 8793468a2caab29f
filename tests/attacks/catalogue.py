"""The attacks that tests try, and the table of them."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from graphkit.report.markdown import escaped

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = TypeVar("Test", bound=Callable[..., object])

__all__ = ["BESIDE", "Attack", "all_attacks", "attack", "beside", "page"]

_FOLDER: Final = Path(__file__).parent
_ATTACKS: Final[list[Attack]] = []
BESIDE: Final[set[tuple[str, str]]] = set()
"""Modules and names of tests that are no attacks."""
_HEAD: Final = """\
# Attacks

What was tried against graphkit, and what happens instead; each line is a test, which tries it again with every change.
Written by `tools/docs generate`.
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack that a test tries.

    Attributes:
        tried: What a file, or who gives it, tries.
        outcome: What happens.
        module: Name of the test's module.
        test: Name of the test.
    """

    tried: str
    outcome: str
    module: str
    test: str


def attack(tried: str, outcome: str) -> Callable[[Test], Test]:
    """Register a test as an attack; one with parameters counts once.

    Args:
        tried: What is tried, as a phrase: "Pickle in a checkpoint that calls os.system".
        outcome: What happens, as a phrase: "refused, since checkpoints are read with weights only".
    """

    def register(test: Test) -> Test:
        _ATTACKS.append(Attack(tried, outcome, test.__module__.rpartition(".")[2], test.__name__))
        return test

    return register


def beside(test: Test) -> Test:
    """Mark a test of what goes on working beside attacks, which is none itself."""
    BESIDE.add((test.__module__.rpartition(".")[2], test.__name__))
    return test


def all_attacks() -> dict[str, tuple[str, list[Attack]]]:
    """By the name of each module of tests, in order: what it attacks, and its attacks in the order of the tests."""
    found = {}
    for path in sorted(_FOLDER.glob("test_*.py")):
        module = importlib.import_module(f"attacks.{path.stem}")
        what = (inspect.getdoc(module) or "").partition("\n\n")[0].replace("\n", " ")
        found[path.stem] = what, [item for item in _ATTACKS if item.module == path.stem]
    return found


def page() -> str:
    """The table as Markdown."""
    areas = all_attacks()
    lines = [_HEAD, f"{sum(len(attacks) for _, attacks in areas.values())} attacks."]
    for module, (what, attacks) in areas.items():
        lines += ["", f"## {module.removeprefix('test_').replace('_', ' ').capitalize()}", "", what, ""]
        lines += ["| What is tried | What happens | Test |", "| --- | --- | --- |"]
        for item in attacks:
            link = f"[{item.test.removeprefix('test_')}](../tests/attacks/{module}.py)"
            lines.append(f"| {escaped(item.tried)} | {escaped(item.outcome)} | {link} |")
    return "\n".join(lines) + "\n"
