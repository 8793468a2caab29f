"""What all tests of the command line need."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the length that they have in a file; pytest-xdist's processes say that they have a terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
