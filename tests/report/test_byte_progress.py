"""The bar of bytes that are written."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from graphkit.report import progress
from graphkit.report.progress import byte_progress

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bytes_speed_and_time_left_are_shown_of_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with byte_progress() as show:
        assert show is not None
        show(2_000_000, 8_000_000)
        show(6_000_000, 8_000_000)
    assert "Writing" in terminal.getvalue()
    assert "2.0/8.0 MB" in terminal.getvalue()
    assert "/s" in terminal.getvalue()


def test_what_is_done_at_once_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with byte_progress() as show:
        assert show is not None
        show(8, 8)
    assert terminal.getvalue().strip("\n") == ""


def test_nothing_is_shown_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with byte_progress() as show:
        assert show is None
