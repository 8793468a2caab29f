"""Every page of the documentation runs, shows what its commands print, and tells numbers that they print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pages.blocks import parse
from pages.generated import files, same
from pages.listing import ROOT, pages
from pages.numbers import unfounded
from pages.running import needs, run
from realmxnet import mxnet

from graphkit.doctor import examine

if TYPE_CHECKING:
    from pathlib import Path

GENERATED = files()
PAGES = [path for path in pages() if str(path.relative_to(ROOT)) not in GENERATED]


def skip_without(names: set[str]) -> None:
    """Skip the test where something is missing that a page needs."""
    if "mxnet" in names:
        mxnet()
    for found in examine(sorted(names - {"mxnet"})):
        if not found.works:
            pytest.skip(f"{found.name}: {found.note}")


def titled(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.long
@pytest.mark.parametrize("path", PAGES, ids=titled)
def test_a_page_shows_what_its_commands_print(path: Path, tmp_path: Path) -> None:
    page = parse(path)
    skip_without(needs(page))
    done = run(page, tmp_path)
    assert not done.problems, "\n\n".join([*done.problems, f"tools/docs run {titled(path)} writes what is printed now"])


@pytest.mark.parametrize("path", PAGES, ids=titled)
def test_a_page_tells_numbers_that_a_command_prints(path: Path) -> None:
    assert not (found := unfounded(parse(path))), "\n".join(found)


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_file_is_what_code_writes(name: str) -> None:
    held, written = (ROOT / name).read_text(encoding="utf-8"), GENERATED[name]()
    assert held == written or same(name, held, written), "run: tools/docs generate"
