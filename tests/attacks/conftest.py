"""What tests of attacks share."""

import pytest
from browser import browser

__all__ = ["browser"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables and errors be as wide as where nobody says how wide they are to be, as workers of pytest's do."""
    monkeypatch.delenv("COLUMNS", raising=False)
