"""Hostile files: what fuzzing found stays mended, and a short run of it finds nothing new."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hostile.budget import measured
from hostile.readers import READERS

if TYPE_CHECKING:
    from pathlib import Path

    from hostile.readers import Reader

_REGRESSIONS = [
    pytest.param(reader, path, id=f"{reader.name}-{path.name}")
    for reader in READERS.values()
    for path in reader.regressions()
]


def _problem(reader: Reader, data: bytes) -> str:
    """What is wrong with how a file is read; the time is that of the slowest machine, so only a hang counts."""
    reader.prepare()
    for _ in range(2):  # what is imported late is imported by the first
        finding = measured(reader.read, data).finding
        if finding is None or finding.kind == "slow":
            return ""
    return f"{finding.signature}\n{finding.told}"


@pytest.mark.parametrize(("reader", "path"), _REGRESSIONS)
def test_what_was_found_once_stays_mended(reader: Reader, path: Path) -> None:
    assert not _problem(reader, path.read_bytes())


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_hostile_files_are_refused_in_time_and_within_memory(reader: Reader) -> None:
    rng = random.Random(reader.name)
    seeds = reader.seeds()
    for _ in range(reader.short):
        data = reader.mutated(rng, rng.choice(seeds), seeds)
        if measured(reader.read, data).finding is not None:
            problem = _problem(reader, data)
            assert not problem, f"{problem}\n{data!r}"
