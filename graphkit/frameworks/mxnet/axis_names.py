"""Names of free sizes, which MXNet has no place for, as an attribute of a symbol's variables.

``__shape__`` says 0 for every free size. ``__axis_names__``, which MXNet carries along unread, says which of them are
equal: a JSON list with the name or term of each free size and null for the others, e.g. ``["batch", "length", null]``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AXES", "axes_text", "axis_names"]

AXES: Final = "__axis_names__"


def axes_text(dims: Sequence[int | str | None]) -> str:
    """The attribute for a shape."""
    return json.dumps([dim if isinstance(dim, str) else None for dim in dims])


def axis_names(hidden: Mapping[str, str], rank: int) -> list[str | None]:
    """The name of each axis of a variable; None where it has none, or the attribute is not graphkit's.

    Args:
        hidden: Attributes of the variable.
        rank: Number of its axes.
    """
    try:
        names = json.loads(hidden.get(AXES, "[]"))
    except ValueError:
        names = []
    if not isinstance(names, list) or len(names) != rank:
        return [None] * rank
    return [name if isinstance(name, str) and any(map(str.isalpha, name)) else None for name in names]
