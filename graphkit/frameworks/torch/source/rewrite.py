"""Reaches the numbers of an item: the literals in which the uses of a block may differ."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from graphkit.frameworks.torch.source.signature import DEFAULTS, is_number
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graphkit.ops.torchprogram import Arg, Layer, Stmt

__all__ = ["Key", "Visit", "rewrite_layer", "rewrite_stmt"]

Key: TypeAlias = "tuple[int | str, ...]"
"""Where a number stands in its item."""
Visit: TypeAlias = "Callable[[Key, str, Any], Arg]"
"""(where, what it is called, number) -> what to put there."""

_ARGUMENTS = {
    "Conv": ("in_channels", "out_channels", "kernel_size"),
    "BatchNorm": ("num_features",),
    "InstanceNorm": ("num_features",),
    "GroupNorm": ("num_groups", "num_channels"),
    "LayerNorm": ("normalized_shape",),
    "Linear": ("in_features", "out_features"),
    "Embedding": ("num_embeddings", "embedding_dim"),
    "PReLU": ("num_parameters",),
    "LSTM": ("input_size", "hidden_size"),
    "GRU": ("input_size", "hidden_size"),
    "RNN": ("input_size", "hidden_size"),
}
"""Names of the positional arguments of torch's layers, by how their names begin."""

_ROLES = {"*": "scale", "/": "divisor", "+": "offset", "-": "offset", "**": "exponent"}
"""Names of the operands of torch's operators."""


def rewrite_layer(layer: Layer, visit: Visit, keys: Iterable[str] = ()) -> Layer:
    """A layer with its numbers replaced.

    Args:
        layer: The layer; it is not changed.
        visit: Gives what to put in the place of each number.
        keys: Keyword arguments with a default that some use of the block gives.
    """
    names = next((names for kind, names in _ARGUMENTS.items() if layer.type.startswith(f"nn.{kind}")), ())
    args = tuple(
        visit(("arg", k), names[k] if k < len(names) else "size", arg) if is_number(arg) else arg
        for k, arg in enumerate(layer.args)
    )
    kwargs: dict[str, Arg] = {}
    for key in dict.fromkeys([*layer.kwargs, *keys]):
        given = layer.kwargs.get(key, DEFAULTS.get(key))
        new = visit(("kwarg", key), key, given) if is_number(given) else given
        if key in layer.kwargs or new != DEFAULTS.get(key):
            kwargs[key] = new
    order = [*DEFAULTS, *(key for key in kwargs if key not in DEFAULTS)]
    return replace(layer, args=args, kwargs={key: kwargs[key] for key in order if key in kwargs})


def rewrite_stmt(stmt: Stmt, visit: Visit) -> Stmt:
    """A statement with its numbers replaced, those of its layer apart."""
    role = "index" if stmt.kind == "item" else _ROLES.get(stmt.head, "size")
    args = tuple(_rewrite(arg, ("arg", k), role, visit) for k, arg in enumerate(stmt.args))
    kwargs = {key: _rewrite(arg, ("kwarg", key), key, visit) for key, arg in stmt.kwargs.items()}
    return replace(stmt, args=args, kwargs=kwargs)


def _rewrite(arg: Any, key: Key, name: str, visit: Visit) -> Any:
    if is_number(arg):
        return visit(key, name, arg)
    if isinstance(arg, list) and arg and all(is_number(item) for item in arg):
        new = visit(key, name, tuple(arg))
        if isinstance(new, Code) and name == "index":
            return Code(f"list({new.text})")  # a tuple would index an axis with each of its numbers
        return list(new) if isinstance(new, tuple) else new
    if isinstance(arg, tuple | list):
        return type(arg)(_rewrite(item, (*key, k), name, visit) for k, item in enumerate(arg))
    if isinstance(arg, slice):
        parts = (arg.start, arg.stop, arg.step)
        names = ("start", "stop", "step")
        return slice(*(_rewrite(part, (*key, k), names[k], visit) for k, part in enumerate(parts)))
    return arg
