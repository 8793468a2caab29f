"""Lists, tuples and dictionaries from dotted names: ``features.0``, ``features.1``, ``pair.left``."""

from __future__ import annotations

from typing import Any

from graphkit.errors import InputError

__all__ = ["put", "structure"]


def put(tree: dict[str, Any], steps: list[str], leaf: Any, name: str) -> None:
    """Put something into nested dictionaries.

    Args:
        tree: The dictionaries; changed.
        steps: The keys that lead to it.
        leaf: What to put there.
        name: How to call it in messages.

    Raises:
        InputError: There is something already.
    """
    held: Any = tree
    for step in steps[:-1]:
        held = held.setdefault(step, {}) if isinstance(held, dict) else None
    if not isinstance(held, dict) or steps[-1] in held:
        raise InputError(f"Input {name!r} is given twice, or both as a whole and by its parts; leave one out.")
    held[steps[-1]] = leaf


def structure(tree: Any, name: str, *, tuples: bool) -> Any:
    """Nested dictionaries whose keys are positions as lists.

    Args:
        tree: Dictionaries and what is in them.
        name: How to call the whole in messages.
        tuples: Whether to make tuples rather than lists.

    Raises:
        InputError: A position is missing.
    """
    if not isinstance(tree, dict):
        return tree
    parts = {key: structure(value, f"{name}.{key}", tuples=tuples) for key, value in tree.items()}
    if not all(key.isdigit() for key in parts):
        return parts
    missing = next((index for index in range(len(parts)) if str(index) not in parts), None)
    if missing is not None:
        raise InputError(f"Input {name!r} is given by its parts, but {name}.{missing} is missing; give all of them.")
    items = [parts[str(index)] for index in range(len(parts))]
    return tuple(items) if tuples else items
