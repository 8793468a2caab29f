"""Calling a module with nothing but tensors in lists and dictionaries, and getting nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError
from graphkit.frameworks.torch.caches import PRESENT, growing, is_cache, is_cache_tree, present, rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch

__all__ = ["cache_arguments", "plainly"]

_PAIRS: Final = {2: ("key", "value"), 4: ("decoder.key", "decoder.value", "encoder.key", "encoder.value")}
"""What the tensors of a layer are in caches that are tuples, by their number."""
_PAST: Final = "past_key_values"


@contextlib.contextmanager
def plainly(module: torch.nn.Module, caches: frozenset[str], warn: Callable[[str], None], label: str) -> Iterator[None]:
    """Have a module take and give caches as dictionaries of tensors for a while; torch.export knows no others.

    Args:
        module: The module; the ``forward`` of this one object is replaced, and put back.
        caches: The arguments that are caches, given as nested dictionaries.
        warn: Told when what is given differs from what the module itself gives.
        label: How to call the module in messages.
    """
    original: Any = module.forward
    mine = "forward" in vars(module)
    names = list(inspect.signature(original).parameters)
    windows: set[str] = set()

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        given = [
            rebuilt(value, module, name) if name in caches else value for name, value in zip(names, args, strict=False)
        ]
        named = {name: rebuilt(value, module, name) if name in caches else value for name, value in kwargs.items()}
        return _plain(original(*given, *args[len(given) :], **named), label)

    object.__setattr__(module, "forward", forward)
    try:
        with growing(windows.add):
            yield
    finally:
        if mine:
            object.__setattr__(module, "forward", original)
        else:
            object.__delattr__(module, "forward")
    if windows:
        warn(
            f"The cache of {label} grows with every position, where the module's own keeps a window of "
            f"{', '.join(sorted(windows))} positions; what is computed is the same, since the mask hides the others."
        )


def _plain(result: Any, label: str) -> Any:
    """What a module returns, with dictionaries in place of caches and dataclasses.

    Raises:
        InputError: There is an object in it that is no tensor, number or text.
    """
    import torch
    from torch.utils import _pytree

    def convert(value: Any) -> Any:
        if is_cache(value):
            return present(value)
        if _is_record(value):
            return {each.name: _plain(getattr(value, each.name), label) for each in dataclasses.fields(value)}
        known = (torch.Tensor, torch.SymInt, torch.SymFloat, torch.SymBool, bool, int, float, complex, str)
        if value is None or isinstance(value, known):
            return value
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise InputError(
            f"{label} returns a {kind}, and a graph can return tensors only. Return its tensors, in tuples, "
            f"lists or dictionaries; or tell torch how it is taken apart, with "
            f"torch.utils._pytree.register_pytree_node or torch.export.register_dataclass."
        )

    if isinstance(result, dict) and _is_layers(result.get(_PAST)):
        result[_PAST] = _of_tuples(result[_PAST])
    return _pytree.tree_map(convert, result, is_leaf=lambda value: is_cache(value) or _is_record(value))


def _is_record(value: Any) -> bool:
    """Whether a value is an instance of a dataclass that torch does not know how to take apart."""
    from torch.utils import _pytree

    return (
        dataclasses.is_dataclass(value) and not isinstance(value, type) and type(value) not in _pytree.SUPPORTED_NODES
    )


def _is_layers(past: Any) -> bool:
    """Whether a value is a cache of old: a tuple with one of 2 or 4 tensors for every layer."""
    import torch

    return (
        isinstance(past, tuple)
        and bool(past)
        and all(
            isinstance(layer, tuple)
            and len(layer) in _PAIRS
            and all(isinstance(tensor, torch.Tensor) for tensor in layer)
            for layer in past
        )
    )


def _of_tuples(past: Any) -> dict[str, torch.Tensor]:
    return {
        f"{PRESENT}.{index}.{name}": tensor
        for index, layer in enumerate(past)
        for name, tensor in zip(_PAIRS[len(layer)], layer, strict=True)
    }


def cache_arguments(args: Any, kwargs: Mapping[str, Any], names: list[str]) -> frozenset[str]:
    """The arguments that are nested dictionaries of a cache."""
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return frozenset(name for name, value in given.items() if is_cache_tree(value))
