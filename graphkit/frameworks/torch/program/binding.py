"""Calling rows of operators with the arguments that a file gives by name."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.program.arguments import Body, Dtype, Text, holds
from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["call"]

_IGNORED: Final = frozenset(
    {
        "device", "layout", "pin_memory", "memory_format", "non_blocking", "copy", "cudnn_enable", "cudnn_enabled",
        "requires_grad", "dtype",
    }
)  # fmt: skip
"""Arguments that change nothing that a row has to know; of the element type the file says what comes out."""


@cache
def _parameters(row: Callable[..., Any]) -> tuple[tuple[str, ...], frozenset[str], bool]:
    """Names of a row's parameters that may be given by position, those by name only, and whether it takes more."""
    given = list(inspect.signature(row).parameters.values())[1:]
    by_position = tuple(one.name for one in given if one.kind is one.POSITIONAL_OR_KEYWORD)
    by_name = frozenset(one.name for one in given if one.kind is one.KEYWORD_ONLY)
    return by_position, by_name, any(one.kind is one.VAR_POSITIONAL for one in given)


def call(row: Callable[..., Any], emit: Recorder, arguments: Sequence[tuple[str, Any]]) -> Any:
    """Call a row.

    Args:
        row: The row.
        emit: What it emits with.
        arguments: The arguments given, with the names of ATen's schema, in its order.

    Raises:
        UnfitError: An argument is none that the row knows, or is a symbolic one that nothing computes.
    """
    by_position, by_name, takes_more = _parameters(row)
    named: dict[str, Any] = {}
    more: list[Any] = []
    for place, (name, value) in enumerate(arguments):
        key = next((one for one in (name, f"_{name}") if one in by_position or one in by_name), None)
        if key is None and name in _IGNORED:
            continue
        if holds(value, Text) or holds(value, Body) or holds(value, complex):
            raise UnfitError(f"its argument {name!r} is not known before it runs")
        if key is None and place < len(by_position) and by_position[place] not in named:
            key = by_position[place]
        if key is None and value is None:
            continue
        if key is not None:
            named[key] = _plain(value)
        elif takes_more:
            more.append(_plain(value))
        else:
            raise UnfitError(f"its argument {name!r} has no part in ONNX")
    if more:
        front = [named.pop(name) for name in by_position if name in named]
        return row(emit, *front, *more, **named)
    return row(emit, **named)


def _plain(value: Any) -> Any:
    if isinstance(value, Dtype):
        if value.onnx is None:
            raise UnfitError(f"ONNX has no element type {value.name}")
        return value.onnx
    return value
