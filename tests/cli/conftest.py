"""The command line as it is away from a terminal, whatever starts the tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test runners tell the processes that they start a width, which wraps messages and cuts tables."""
    monkeypatch.delenv("COLUMNS", raising=False)
