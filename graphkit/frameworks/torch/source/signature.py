"""When two pieces of a program have the same structure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.source.blocks import Shortcut, Use
from graphkit.frameworks.torch.source.uses import stored_dtype, stored_shape
from graphkit.ir import params
from graphkit.ops.torchprogram import Code, Device, Size, Stmt, Stored, Var

if TYPE_CHECKING:
    from collections.abc import Hashable

    from graphkit.frameworks.torch.source.blocks import Item
    from graphkit.ops.torchprogram import Arg, Layer

__all__ = ["DEFAULTS", "head", "is_number", "numbers_of", "shape_of_layer", "signature"]

DEFAULTS: dict[str, int] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
"""Keyword arguments of layers whose absence means the same as a number."""


def head(item: Item) -> Hashable:
    """What an item calls."""
    if isinstance(item, Use):
        return item.block
    if isinstance(item, Shortcut):
        return "shortcut"
    return item.layer.type if item.layer is not None else (item.kind, item.head)


def shape_of_layer(layer: Layer) -> Hashable:
    """A layer without its numbers."""
    kwargs = sorted((key, _leaf(arg)) for key, arg in layer.kwargs.items() if key not in DEFAULTS)
    return (
        layer.type,
        tuple(_leaf(arg) for arg in layer.args),
        tuple(kwargs),
        tuple(sorted(layer.tensors)),
        layer.frozen,
    )


def numbers_of(item: Item) -> Hashable:
    """The numbers of an item that tell what it does rather than how wide it is: kernels, strides and the like."""
    if not isinstance(item, Stmt) or item.layer is None:
        return ()
    kwargs = ((key, repr(arg)) for key, arg in item.layer.kwargs.items() if key != "groups")
    return (tuple(map(repr, item.layer.args[2:])), "groups" in item.layer.kwargs, tuple(sorted(kwargs)))


def signature(item: Item, common: Hashable) -> Hashable:
    """An item without its numbers, tensors and variables.

    Args:
        item: The item.
        common: Shape of the shortcuts that may be left out; see :class:`Shortcut`.
    """
    if isinstance(item, Use):
        return item.block
    if isinstance(item, Shortcut):
        shape = tuple(shape_of_layer(stmt.layer) for stmt in item.items if stmt.layer is not None)
        return ("shortcut", "" if not shape or shape == common else shape)
    layer = shape_of_layer(item.layer) if item.layer is not None else None
    args = tuple(map(_shape, item.args))
    kwargs = tuple((key, _shape(arg)) for key, arg in item.kwargs.items())
    return (item.kind, item.head, layer, args, kwargs, _pattern(item))


def _pattern(stmt: Stmt) -> Hashable:
    def shape(target: Any) -> Any:
        return "v" if isinstance(target, Var) else tuple(map(shape, target))

    return tuple(map(shape, stmt.outputs))


def _shape(arg: Arg) -> Hashable:
    if isinstance(arg, Var):
        return "var"
    if isinstance(arg, Stored):
        return ("stored", params.kind_of(arg.value), len(stored_shape(arg)), str(stored_dtype(arg)))
    if isinstance(arg, Size):
        return ("size", _shape(arg.of), str(arg.axis))
    if isinstance(arg, Device):
        return ("device", _shape(arg.of))
    if isinstance(arg, tuple | list):
        if is_number(tuple(arg)):
            return ("numbers", isinstance(arg, list))
        return (type(arg).__name__, tuple(_shape(item) for item in arg))
    if isinstance(arg, slice):
        return ("slice", *(_shape(part) for part in (arg.start, arg.stop, arg.step)))
    return _leaf(arg)


def is_number(arg: Any) -> bool:
    """Whether the uses of a block may differ in an argument: an integer, or a tuple of some."""
    if isinstance(arg, tuple):
        return bool(arg) and all(isinstance(item, int) and not isinstance(item, bool) for item in arg)
    return isinstance(arg, int) and not isinstance(arg, bool)


def _leaf(arg: Arg) -> Hashable:
    """A literal; numbers may differ from use to use."""
    if is_number(arg):
        return "number"
    if isinstance(arg, Code):
        return ("code", arg.text)
    return ("literal", repr(arg))
