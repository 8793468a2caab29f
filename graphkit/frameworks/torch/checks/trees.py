"""Trees of arguments and results, for which torch imports modules that they name."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from graphkit.frameworks.torch.checks.refusal import HarmfulError

__all__ = ["check_keys", "checked_tree"]

_PROTOCOL: Final = 1
_SEQUENCES: Final = frozenset(("builtins.tuple", "builtins.list", "collections.deque"))
_DICTIONARIES: Final = frozenset(("builtins.dict", "collections.OrderedDict", "collections.defaultdict"))
_FACTORIES: Final = frozenset(("list", "dict", "int", "float", "set", "tuple", "str", "bool"))
_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_TEXT: Final = re.compile(r"[^\"'\\\x00-\x1f\x7f]*")
_DEEPEST: Final = 100
_SCALARS: Final = (str, int, float, bool, type(None))


def checked_tree(spec: str, *, of_arguments: bool) -> str:
    """The tree of a program's arguments or results.

    Args:
        spec: What the file has: what ``torch.utils._pytree.treespec_dumps`` wrote.
        of_arguments: Whether it is a tree of arguments, of which torch makes the head of a function.

    Returns:
        The same, written anew.

    Raises:
        HarmfulError: It holds something else than containers of Python, collections and torch, or keys that cannot be
            names.
    """
    try:
        protocol, tree = json.loads(spec)
        if protocol != _PROTOCOL:
            raise HarmfulError(f"it is of version {protocol!r}")
        return json.dumps([_PROTOCOL, _checked(tree, 0, head=2 if of_arguments else 0)])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise HarmfulError(f"the tree of its arguments or results is none ({type(error).__name__}: {error})") from error
    except HarmfulError as error:
        raise HarmfulError(f"the tree of its arguments or results is none that torch writes: {error}") from error


def check_keys(given: Any, depth: int = 0) -> None:
    """Refuse example inputs with keys that torch cannot write into the conditions that it executes.

    Raises:
        HarmfulError: There are some.
    """
    if depth > _DEEPEST:
        raise HarmfulError("its example inputs lie too deep")
    if isinstance(given, dict):
        for key, value in given.items():
            _check_key(key)
            check_keys(value, depth + 1)
    elif isinstance(given, list | tuple):
        for value in given:
            check_keys(value, depth + 1)


def _checked(tree: Any, depth: int, head: int) -> dict[str, Any]:
    """A part of a tree; ``head`` says how many levels below a dictionary of arguments by name may be."""
    if depth > _DEEPEST:
        raise HarmfulError("it is too deep")
    kind, context, children = tree["type"], tree["context"], tree["children_spec"]
    if not isinstance(children, list):
        raise HarmfulError("a part of it has no children")
    if kind is None:
        if context is not None or children:
            raise HarmfulError("a leaf of it holds something")
        return {"type": None, "context": None, "children_spec": []}
    if not isinstance(kind, str):
        raise HarmfulError(f"a container of it is {kind!r}")
    if kind in _DICTIONARIES:
        context = _dictionary(kind, context, named=head == 1)
    elif kind in _SEQUENCES:
        _check_sequence(context)
    else:
        context = _other(kind, context)
    return {
        "type": kind,
        "context": context,
        "children_spec": [_checked(child, depth + 1, max(head - 1, 0)) for child in children],
    }


def _dictionary(kind: str, context: Any, *, named: bool) -> Any:
    if kind == "collections.defaultdict":
        if context["default_factory_module"] != "builtins" or context["default_factory_name"] not in _FACTORIES:
            raise HarmfulError(f"a dictionary in it is filled by {context['default_factory_name']!r}")
        _check_keys_of(context["dict_context"], named=named)
        return context
    _check_keys_of(json.loads(context), named=named)
    return context


def _check_keys_of(keys: Any, *, named: bool) -> None:
    if not isinstance(keys, list):
        raise HarmfulError("a dictionary in it has no keys")
    for key in keys:
        _check_key(key)
        if named and not (isinstance(key, str) and _IDENTIFIER.fullmatch(key)):
            raise HarmfulError(f"an argument of it is called {key!r}, which is no name")


def _check_key(key: Any) -> None:
    if not isinstance(key, _SCALARS) or (isinstance(key, str) and not _TEXT.fullmatch(key)):
        raise HarmfulError(f"a key in it is {key!r}")


def _check_sequence(context: Any) -> None:
    if context is not None and not isinstance(json.loads(context), int | type(None)):
        raise HarmfulError("a list in it has more than a length")


def _other(kind: str, context: Any) -> Any:
    """What torch has registered of its own; others were made dictionaries before."""
    from torch.utils import _pytree

    if kind == "collections.namedtuple":
        if not isinstance(context, str):
            raise HarmfulError("a named tuple in it has no type")
        return context
    if kind not in _pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE:
        raise HarmfulError(f"it holds {kind!r}, which torch does not know")
    if isinstance(context, str):
        held = json.loads(context)
        for key in held if isinstance(held, list) else [held]:
            _check_keys_of(key, named=False) if isinstance(key, list) else _check_key(key)
    elif context is not None:
        raise HarmfulError(f"{kind!r} in it has fields that are no text")
    return context
