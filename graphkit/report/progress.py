"""Progress bars for long work."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["byte_progress", "progress"]

_PATIENCE = 1.0
"""Seconds before work that is counted in bytes shows a bar."""


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far long work is, in a bar on stderr that vanishes at the end; nothing where stderr is no terminal.

    Yields:
        What to call with the part of the work that is being done, how many of its steps are done, and how many there
        are; 0 where that is not known.
    """
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # stdout is left alone: it is for results.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=escape(clean(what)), completed=done, total=total or None)

        yield show


@contextmanager
def byte_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show how far writing is, in bytes with speed and time left: a bar on stderr, once it takes a second.

    Yields:
        What to call with the bytes written and those to be written; None where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("Writing"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    start = time.monotonic()

    def show(done: int, total: int) -> None:
        if not bar.tasks:
            bar.add_task("", total=total)
        bar.update(bar.tasks[0].id, completed=done, total=total)
        if not bar.live.is_started and time.monotonic() - start > _PATIENCE:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()
