"""The table of attacks is that of the tests."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from attacks.catalogue import BESIDE, all_attacks

FOLDER = Path(__file__).parent / "attacks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("test_*.py")), ids=lambda path: path.stem)
def test_every_test_of_attacks_is_registered(path):
    what, attacks = all_attacks()[path.stem]
    tests = [
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if (path.stem, node.name) not in BESIDE
    ]
    assert what, f"{path.name} does not say what is attacked: give it a docstring"
    assert Counter(attack.test for attack in attacks) == Counter(tests), "decorate each with attacks.catalogue.attack"


def test_no_attack_is_listed_twice():
    tried = Counter(attack.tried for _, attacks in all_attacks().values() for attack in attacks)
    assert [text for text, count in tried.items() if count > 1] == []
