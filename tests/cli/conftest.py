"""The command line as it is away from a terminal, whatever starts the tests."""

from __future__ import annotations

import logging

import pytest

from graphkit.cli import main


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test runners tell the processes that they start a width, which wraps messages and cuts tables."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """Run the command line in an empty folder beside ``tmp_path`` and give back its complaint in one line."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*arguments) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        logging.disable(logging.NOTSET)
        out, err = capfd.readouterr()
        assert left.value.code == 2, out + err
        assert not out
        assert err.startswith("graphkit: error:")
        assert "Traceback" not in err
        assert "\n\n" not in err.strip()
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before, "something was written"
        return " ".join(err.split())

    return run
