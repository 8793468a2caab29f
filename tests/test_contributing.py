"""What CONTRIBUTING.md shows is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DIFFS = re.findall(r"^```diff\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("diff", DIFFS, ids=["a row", "a file"])
def test_a_shown_diff_is_in_the_code(diff: str) -> None:
    head, _, body = diff.partition("@@")
    file = ROOT / head.split("+++ b/")[1].split()[0]
    added = "\n".join(line[1:] for line in body.splitlines() if line.startswith("+"))
    code = file.read_text(encoding="utf-8")
    assert added in code
    if "/dev/null" in head:
        assert added == code.rstrip("\n")


def test_what_it_names_is_there() -> None:
    named = re.findall(r"`((?:graphkit|tests|tools|docs)/[\w./]+)`", TEXT)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
