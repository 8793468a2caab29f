"""torch's errors in one sentence: what went wrong, and in which of the user's lines."""

from __future__ import annotations

import importlib.util
import os
import re
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["chain", "is_library", "running_line", "sentence", "user_line"]

_ADVICE = re.compile(
    r"\n|For more information|Use tlparse|consider using data-dependent|While executing|Original traceback",
    re.IGNORECASE,
)
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_LONGEST = 300


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, outermost first."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def sentence(error: BaseException) -> str:
    """What an error says, without advice, essays and paths; a clause without a full stop."""
    text = _ADVICE.split(str(error).strip(), maxsplit=1)[0].strip().rstrip(".:")
    if not text:
        return type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0] + " …"


def is_library(path: str) -> bool:
    """Whether a source file belongs to torch or to graphkit rather than to the user."""
    return path.startswith(("<", *_library_folders()))


@cache
def _library_folders() -> tuple[str, ...]:
    spec = importlib.util.find_spec("torch")
    found = list(spec.submodule_search_locations or []) if spec is not None else []
    return tuple(f"{folder}{os.sep}" for folder in (str(Path(__file__).parents[2]), *found))


def user_line(where: BaseException | str) -> str:
    """The innermost line of user code in a traceback, e.g. ``"model.py:31, in forward"``; empty where there is none."""
    if isinstance(where, str):
        frames = [(path, int(line), name) for path, line, name in _FRAME.findall(where)]
    else:
        frames = [
            (frame.filename, frame.lineno or 0, frame.name)
            for error in reversed(list(chain(where)))
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        if not any(not is_library(path) for path, _, _ in frames):
            return user_line(str(where))
    for path, line, name in reversed(frames):
        if not is_library(path):
            return f"{Path(path).name}:{line}, in {name}"
    return ""


def running_line(within: str) -> str:
    """The line of user code that is running now, called from the source file ``within``; empty where there is none."""
    for frame in reversed(traceback.extract_stack()):
        if frame.filename == within:
            break
        if not is_library(frame.filename) and "logging" not in Path(frame.filename).parts:
            return f"{Path(frame.filename).name}:{frame.lineno}, in {frame.name}"
    return ""
