"""How torch computes while a session runs."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["each_on", "threads"]

T = TypeVar("T")


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Let torch use so many threads within one operator, and as many as before afterwards; None changes nothing.

    What it says of projected LSTMs, which are no faster for it, is not heard.
    """
    import torch

    before = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
        if number is None or number == before:
            yield
            return
        torch.set_num_threads(number)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def each_on(number: int | None, items: Iterable[T]) -> Iterator[T]:
    """Items that torch computes one after the other on so many threads; what happens between them is not affected."""
    found = iter(items)
    while True:
        with threads(number):
            try:
                item = next(found)
            except StopIteration:
                return
        yield item
