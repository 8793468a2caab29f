"""What holds pages to what they show would notice if they showed something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pages.blocks import PageError, parse
from pages.comparing import same
from pages.numbers import unfounded
from pages.running import run

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """
outputs, torch | ort
  output     2×3     1.4e-07   1.0e-05   1.4e-07         0  pass
  other      4       0         1.0e-05   1.4e-07         0  pass
In parity: 2 checks
"""


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("6 nodes", "6 nodes"),
        ("error 1.2e-16", "error 0"),
        ("took 1.25 s", "took 831 ms"),
        ("loss 0.12345", "loss 0.12346"),
        ("torch 2.13.0+cpu", "torch 2.13.1"),
        ("first\n…\nlast", "first\n1\n2\nlast"),
        ("…\nlast", "last"),
        (TABLE, "\n".join(TABLE.splitlines()[i] for i in (0, 1, 3, 2, 4))),
        ("outputs\n  a   3   1e-7  pass\n…", "outputs\n  b   4   3e-7  pass\n  a   3   2e-7  pass\nend"),
    ],
)
def test_what_differs_from_machine_to_machine_is_the_same(shown: str, found: str) -> None:
    assert same(shown, found)


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("6 nodes", "7 nodes"),
        ("loss 0.12345", "loss 0.13"),
        ("passed", "failed"),
        ("error 1.2e-16", "error none"),
        ("first\n…\nlast", "first\nlast but one"),
        ("first\nlast", "first\n1\nlast"),
        (TABLE, TABLE.replace("0  pass", "0  FAIL", 1)),
        (TABLE, TABLE.replace("  other      4       0         1.0e-05   1.4e-07         0  pass\n", "")),
        (TABLE, TABLE.replace("2×3", "2×4")),
        ("outputs\n  a   3   1e-7  pass\n…", "outputs\n  b   3   1e-7  pass\nend"),
    ],
)
def test_what_differs_otherwise_is_not(shown: str, found: str) -> None:
    assert not same(shown, found)


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```console\n$ echo one\ntwo\n```", "-two"),
        ("```sh\nfalse\n```", "status 1"),
        ("<!-- exit: 1 -->\n```sh\ntrue\n```", "status 0"),
        ("```python\nraise ValueError(3)\n```", "ValueError: 3"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```", "+1"),
        ("![a](nowhere.svg)", "nowhere.svg is not there"),
        ('<!-- file: a.json -->\n```json\n{"a": 2}\n```', "nothing wrote a.json"),
        ("```text\n2\n```", "output of nothing"),
    ],
)
def test_a_page_that_shows_what_is_not_so_is_told(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    try:
        problems = run(parse(page(tmp_path, text)), tmp_path / "run").problems
    except PageError as error:
        problems = [str(error)]
    assert problem in "\n".join(problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```\nls\n```", "says by its language"),
        ("<!-- not run -->\n```sh\nls\n```", "says why"),
        ("<!-- varies -->\nwords", "before no block"),
    ],
)
def test_a_block_says_what_it_is(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=problem):
        parse(page(tmp_path, text))


@pytest.mark.parametrize("words", ["It takes 3 ms.", "The error is 2e-9.", "| 0.25 |", "1,000,000 numbers"])
def test_a_number_that_nothing_prints_is_told(words: str, tmp_path: Path) -> None:
    table = "| a |\n|---|\n" if words.startswith("|") else ""
    assert unfounded(parse(page(tmp_path, table + words)))


@pytest.mark.parametrize(
    "words",
    ["torch 2.13 and three nodes", "`--lr 0.25`", "It takes 3 ms.\n\n```text\ntook 3 ms\n```"],
)
def test_versions_code_and_what_is_printed_are_no_such_numbers(words: str, tmp_path: Path) -> None:
    assert not unfounded(parse(page(tmp_path, words)))


def test_a_constant_is_looked_up(tmp_path: Path) -> None:
    said = "<!-- number 36: graphkit.text.NAME_LIMIT -->\n\nA label shows 36 s of it."
    assert not unfounded(parse(page(tmp_path, said)))
    assert unfounded(parse(page(tmp_path, said.replace("36", "37"))))


def test_what_is_recorded_is_what_came_last(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    read = parse(page(tmp_path, "<!-- recorded -->\n```console\n$ echo took 5 ms\ntook 3 ms\n```\n"))
    assert not run(read, tmp_path / "run").contents
    done = run(read, tmp_path / "run", record=True)
    assert not done.problems
    assert "$ echo took 5 ms\ntook 5 ms\n" in read.replaced(done.contents)
