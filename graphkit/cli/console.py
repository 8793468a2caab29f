"""What the command line prints besides results: errors, warnings, sizes."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import textwrap
import traceback
import warnings
from typing import TYPE_CHECKING

import click

from graphkit.errors import GraphkitError
from graphkit.files import sized as size
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

__all__ = [
    "PipeClosedError",
    "TerminatedError",
    "count",
    "echo",
    "explain",
    "fail",
    "hush",
    "results_only",
    "say_ended",
    "size",
    "stdout",
    "warn",
]

_WIDE = 120
"""Width of tables that go to a file or a pipe."""


class PipeClosedError(Exception):
    """Nobody reads stdout any more."""


class TerminatedError(BaseException):
    """A signal asks the process to end.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def explain(problem: BaseException, *, debug: bool, silent: bool = False) -> int:
    """Print what went wrong to stderr, as one paragraph, and say with which status to exit.

    Args:
        problem: What was raised.
        debug: Whether the traceback is printed too.
        silent: Whether another process says that this one was interrupted or terminated.
    """
    if debug and not isinstance(problem, click.exceptions.Exit):
        click.echo(_harmless("".join(traceback.format_exception(problem))), err=True)
    if isinstance(problem, KeyboardInterrupt | click.Abort | TerminatedError):
        number = problem.number if isinstance(problem, TerminatedError) else signal.SIGINT
        if not silent:
            say_ended(number)
        return 128 + number
    if isinstance(problem, PipeClosedError | BrokenPipeError):
        _print_nowhere()
        return 141
    fail(_told(problem))
    try:
        sys.stdout.flush()
    except OSError:  # such as that of a full disk, which is what was told
        _print_nowhere()
    return 2


def _print_nowhere() -> None:
    """Let the interpreter's last flush find a file."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # it is open for as long as the process is


def say_ended(number: int) -> None:
    """Print to stderr that a signal has ended the command."""
    if number == signal.SIGINT and sys.stderr.isatty():
        click.echo(err=True)  # after the terminal's ^C
    _say("", "interrupted." if number == signal.SIGINT else "terminated.")


def fail(message: str) -> None:
    """Print an error to stderr."""
    _say("error", message)


def warn(message: str) -> None:
    """Print a deviation that the user must know of to stderr."""
    _say("warning", message)


def hush() -> None:
    """Keep other packages' warnings and log lines off the terminal, unless Python was told which to show."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


@contextlib.contextmanager
def results_only(wanted: bool) -> Iterator[None]:
    """Send what is printed meanwhile (by a user's module, say) to stderr, where stdout is for machines to read."""
    if wanted:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


def stdout() -> Console:
    """A console for results: coloured on a terminal unless NO_COLOR is set, plain and wide elsewhere.

    What steers a terminal or a CI system comes out as visible signs, whatever is printed.
    """
    from rich.console import Console
    from rich.segment import Segment

    class Harmless(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                text = segment.text if segment.control else _harmless(segment.text)
                yield segment if text == segment.text else Segment(text, segment.style)

    fixed = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Harmless(width=fixed, highlight=False)


def echo(text: str) -> None:
    """Print lines to stdout in which nothing steers a terminal or a CI system."""
    click.echo(_harmless(text))


def _harmless(text: str) -> str:
    """Lines with visible signs for what steers a terminal; GitHub obeys lines that begin with two colons."""
    lines = [clean(line) for line in text.split("\n")]
    if os.environ.get("GITHUB_ACTIONS") == "true":
        lines = [f"\u200b{line}" if line.lstrip().startswith(("::", "##[")) else line for line in lines]
    return "\n".join(lines)


def count(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun, e.g. ``1 input``, ``1,204 nodes``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _told(problem: BaseException) -> str:
    if isinstance(problem, GraphkitError):
        return str(problem)
    if isinstance(problem, click.UsageError):
        command = problem.ctx.command_path if problem.ctx is not None else "graphkit"
        message = problem.format_message()
        return f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{command} --help`."
    if isinstance(problem, click.ClickException):
        return problem.format_message()
    if isinstance(problem, OSError) and problem.strerror:
        where = f" {problem.filename!r}" if problem.filename is not None else ""
        return f"The system refused to go on{f' at{where}' if where else ''}: {problem.strerror}."
    if isinstance(problem, MemoryError):
        return "There is not enough memory for this model; close other programs, or use a machine with more."
    detail = " ".join(str(problem).split())
    shown = f"{type(problem).__name__}{f': {detail}' if detail else ''}"
    return (
        f"graphkit itself failed ({shown.rstrip('.')}). That is a defect: please report it with the output of the same "
        f"command and --debug."
    )


def _say(kind: str, message: str) -> None:
    columns = shutil.get_terminal_size((_WIDE, 24)).columns
    lead = f"graphkit: {kind}: " if kind else "graphkit: "
    text = clean(" ".join(message.split()))
    paragraph = _harmless(textwrap.fill(lead + text, max(columns, 40), break_long_words=False, break_on_hyphens=False))
    if kind and sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        shown = click.style(f"{kind}:", fg="red" if kind == "error" else "yellow", bold=True)
        paragraph = paragraph.replace(f"{kind}:", shown, 1)
    click.echo(paragraph, err=True)
