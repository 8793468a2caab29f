"""What leads to a program's inputs and outputs in the trees that torch's pytrees say they make."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["leaf_paths"]


def leaf_paths(spec: str, named_tuples: Mapping[str, Sequence[str]], count: int) -> list[list[str]]:
    """The steps to each leaf of a tree: keys, names of fields and positions.

    Args:
        spec: The tree, as ``torch.utils._pytree.treespec_dumps`` writes it.
        named_tuples: Names of the fields of named tuples, by type.
        count: Number of leaves that there are.

    Returns:
        As many paths; positions only where the tree is none, or is of another size.
    """
    try:
        _, tree = json.loads(spec)
        paths = list(_walk(tree, named_tuples, []))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        paths = []
    return paths if len(paths) == count else [[str(index)] for index in range(count)]


def _walk(tree: Any, named_tuples: Mapping[str, Sequence[str]], path: list[str]) -> Iterator[list[str]]:
    children = tree["children_spec"]
    if tree["type"] is None:
        yield path
        return
    for step, child in zip(_steps(tree, named_tuples, len(children)), children, strict=True):
        yield from _walk(child, named_tuples, [*path, step])


def _steps(tree: Any, named_tuples: Mapping[str, Sequence[str]], count: int) -> list[str]:
    """Keys of dictionaries, names of fields, and positions in anything else."""
    context = tree["context"]
    held = json.loads(context) if isinstance(context, str) and context[:1] in ('"', "[", "{") else context
    if isinstance(held, str) and len(fields := named_tuples.get(held, ())) == count:
        return [str(name) for name in fields]
    for names in (held, *(held if isinstance(held, list) else ())):
        if isinstance(names, list) and len(names) == count and all(isinstance(name, str) for name in names):
            return names
    return [str(index) for index in range(count)]
