"""The progress bar."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

CODE = """
from graphkit.report.progress import progress
with progress() as show:
    for done in range(3):
        show("seed [red]1\\x1b[31m", done, 3)
    print("result")
"""


def test_nothing_is_shown_where_stderr_is_no_terminal():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("result\n", "")


def test_on_a_terminal_the_bar_is_on_stderr_and_results_on_stdout():
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=follower, check=True, env=environment
    )
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert done.stdout == b"result\n"
    assert "seed [red]1␛[31m" in shown
    assert "2/3" in shown
