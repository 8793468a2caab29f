"""torch's errors in one sentence: what went wrong, and in which of the user's lines."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["chain", "is_library", "sentence", "user_line"]

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
    parts = Path(path).parts
    installed = "site-packages" in parts or "dist-packages" in parts
    return (installed and "torch" in parts) or "graphkit" in parts[-5:-1] or path.startswith("<")


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
