"""How much has been written of what is to be."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress: TypeAlias = Callable[[int, int], None]

__all__ = ["showing", "writing", "written"]


@dataclass(slots=True)
class _Work:
    """How many bytes are to be written, and have been."""

    total: int
    tell: Progress | None
    done: int = 0


_shown: ContextVar[Progress | None] = ContextVar("graphkit_progress", default=None)
_work: ContextVar[_Work | None] = ContextVar("graphkit_work", default=None)


@contextmanager
def showing(progress: Progress | None) -> Iterator[None]:
    """Tell a function of the bytes that are written by what is called meanwhile, of those and how many there will be.

    It is called with every few megabytes of files whose size is known beforehand: those that hold weights.
    """
    token = _shown.set(progress)
    try:
        yield
    finally:
        _shown.reset(token)


@contextmanager
def writing(total: int) -> Iterator[None]:
    """Say that so many bytes are written meanwhile; 0 where that is not known, and nothing is told."""
    if not total:
        yield
        return
    token = _work.set(_Work(total, _shown.get()))
    try:
        yield
    finally:
        _work.reset(token)


def written(count: int) -> None:
    """Note that as many bytes have been written; :func:`graphkit.files.write_array` does so itself."""
    work = _work.get()
    if work is not None:
        work.done += count
        if work.tell is not None:
            work.tell(min(work.done, work.total), work.total)
