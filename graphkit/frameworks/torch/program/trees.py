"""What leads to a program's inputs and outputs in the trees that torch's pytrees say they make."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from graphkit import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["leaf_paths", "without_classes"]

_KNOWN: Final = ("builtins.", "collections.", "torch.")
"""How the names of containers begin that torch takes apart without having imported anything else."""


def without_classes(spec: str) -> str:
    """A tree with dictionaries of their fields in place of objects, and tuples where no fields are told.

    torch reads a tree of objects only where their classes have been imported and registered, as those in which models
    of the transformers library return their results.

    Args:
        spec: The tree, as ``torch.utils._pytree.treespec_dumps`` writes it; what is none comes back as it is.
    """
    try:
        protocol, tree = json.loads(spec)
        return json.dumps((protocol, _plain(tree)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return spec


def _plain(tree: Any) -> Any:
    children = [_plain(child) for child in tree["children_spec"]]
    kind, context = tree["type"], tree["context"]
    if kind is not None and not kind.startswith(_KNOWN):
        steps = _steps(tree, {}, len(children))
        fields = bool(children) and not steps[0].isdigit() and len(set(steps)) == len(steps)
        kind, context = ("builtins.dict", json.dumps(steps)) if fields else ("builtins.tuple", "null")
    return {"type": kind, "context": context, "children_spec": children}


def leaf_paths(spec: str, named_tuples: Mapping[str, Sequence[str]], count: int) -> list[list[str]]:
    """The steps to each leaf of a tree: keys, names of fields and positions.

    Args:
        spec: The tree, as ``torch.utils._pytree.treespec_dumps`` writes it.
        named_tuples: Names of the fields of named tuples, by type.
        count: Number of leaves that there are.

    Returns:
        As many paths; positions only where the tree is none, or is of another size.
    """
    limits.check_json(spec, "The tree of inputs or outputs in the archive")
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
