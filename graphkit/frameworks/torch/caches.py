"""The caches of the transformers library: as dictionaries of tensors, and as the objects that its models take.

A cache is written as its tensors under the names that ONNX models of language models usually have: ``0.key`` and
``0.value`` for the keys and values of the first layer (batch, heads, positions, features), ``0.decoder.key`` and
``0.encoder.key`` where a decoder attends to itself and to an encoder; ``0.conv`` and ``0.recurrent`` for the states of
linear attention and state space models, and ``0.length`` for how much of a cache of fixed size is used.
The library is never imported here; only a program that has imported it has such objects.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch

__all__ = ["PRESENT", "growing", "is_cache", "is_cache_tree", "present", "rebuilt", "states"]

PRESENT: Final = "present"
"""What the caches among a model's outputs are called; those among its inputs are called as the argument is."""
_LEAVES: Final = frozenset({"key", "value", "conv", "recurrent", "length"})
_SIDES: Final = {"decoder": "self_attention_cache", "encoder": "cross_attention_cache"}
_HELD: Final = {"key": "keys", "value": "values", "length": "cumulative_length"}
"""The attribute of a layer that holds what a name stands for."""
_STATES: Final = ("conv", "recurrent")


def _library() -> Any:
    """The module that defines caches, None where nothing has imported it."""
    return sys.modules.get("transformers.cache_utils")


def is_cache(value: Any) -> bool:
    """Whether a value is a cache of the transformers library."""
    library = _library()
    return library is not None and isinstance(value, library.Cache)


def states(cache: Any) -> dict[str, torch.Tensor]:
    """The tensors of a cache, by the names described above."""
    sides = {side: getattr(cache, held) for side, held in _SIDES.items() if hasattr(cache, held)}
    if not sides:
        return {f"{index}.{name}": value for index, layer in enumerate(cache.layers) for name, value in _held(layer)}
    layers = max(len(part.layers) for part in sides.values())
    return {
        f"{index}.{side}.{name}": value
        for index in range(layers)
        for side, part in sides.items()
        if index < len(part.layers)
        for name, value in _held(part.layers[index])
    }


def present(cache: Any) -> dict[str, torch.Tensor]:
    """The tensors of a cache that a model gives: ``present.0.key`` and so on."""
    return {f"{PRESENT}.{name}": value for name, value in states(cache).items()}


def _held(layer: Any) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    for name, attribute in _HELD.items():
        value = getattr(layer, attribute, None)
        if isinstance(value, torch.Tensor):
            yield name, value
    for name in _STATES:
        found = getattr(layer, f"{name}_states", None) or {}
        kept = {index: value for index, value in found.items() if isinstance(value, torch.Tensor)}
        for index, value in kept.items():
            yield (name if len(found) == 1 else f"{name}.{index}"), value


def is_cache_tree(tree: Any) -> bool:
    """Whether nested dictionaries are those of a cache, ``{"0": {"key": …, "value": …}, …}``."""
    if _library() is None or not isinstance(tree, dict) or not tree:
        return False
    layers = [layer for layer in tree.values() if isinstance(layer, dict)]
    if len(layers) != len(tree) or not all(str(index).isdigit() for index in tree):
        return False
    return all(set(layer) <= _LEAVES or set(layer) <= set(_SIDES) for layer in layers)


def rebuilt(tree: Mapping[str, Any], module: torch.nn.Module, name: str) -> Any:
    """The cache that a model takes, of the tensors of another one.

    Args:
        tree: The tensors, nested: ``{"0": {"key": …, "value": …}, …}``.
        module: The model, whose configuration tells the kinds of its layers.
        name: How to call the argument in messages.

    Raises:
        InputError: The model has other layers.
    """
    library = _library()
    config = _config(module)
    if any(set(layer) <= set(_SIDES) for layer in tree.values()):
        parts = [
            _cache({index: layer.get(side, {}) for index, layer in tree.items()}, config, f"{name}.…{side}")
            for side in _SIDES
        ]
        return library.EncoderDecoderCache(*parts)
    return _cache(tree, config, name)


def _config(module: torch.nn.Module) -> Any:
    models: Any = sys.modules.get("transformers.modeling_utils")
    found = (part for part in module.modules() if models is not None and isinstance(part, models.PreTrainedModel))
    return getattr(next(found, None), "config", None)


def _cache(tree: Mapping[str, Any], config: Any, name: str) -> Any:
    library = _library()
    static = next((layer for layer in tree.values() if "length" in layer), None)
    if static is not None:
        cache = library.StaticCache(config=config, max_cache_len=static["key"].shape[2])
    else:
        cache = library.DynamicCache(config=config)
        while len(cache.layers) < len(tree) and config is None:
            cache.layers.append(library.DynamicLayer())
    for index, layer in tree.items():
        if int(index) >= len(cache.layers):
            raise InputError(
                f"{name}.{index} is given, but the model has {len(cache.layers)} layers with a cache; give "
                f"{name}.0 to {name}.{len(cache.layers) - 1}."
            )
        _fill(cache.layers[int(index)], layer, f"{name}.{index}")
    return cache


def _fill(layer: Any, tensors: Mapping[str, Any], name: str) -> None:
    for key, value in tensors.items():
        if key in _HELD and not hasattr(layer, "keys"):
            raise InputError(
                f"{name}.{key} is given, but layer {name} of the model keeps no keys and values; leave it out."
            )
        if key in _STATES:
            if not hasattr(layer, f"{key}_states"):
                raise InputError(
                    f"{name}.{key} is given, but layer {name} of the model keeps no such state; leave it out."
                )
            several = value if isinstance(value, dict) else {"0": value}
            for index, state in several.items():
                # The layer writes to its states in place; the caller's tensors stay what they are.
                getattr(layer, f"{key}_states")[int(index)] = state.clone()
                getattr(layer, f"is_{key}_states_initialized")[int(index)] = True
                layer.has_previous_state[int(index)] = True
                if key == "conv":
                    layer.conv_kernel_size[int(index)] = state.shape[-1]
                layer.dtype, layer.device = state.dtype, state.device
        elif "length" in tensors:
            setattr(layer, _HELD[key], value.clone())
        else:
            setattr(layer, _HELD[key], value)
    if "key" in tensors:
        keys, values = tensors["key"], tensors.get("value")
        if values is None:
            raise InputError(f"{name}.key is given without {name}.value; give both.")
        layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
        if "length" in tensors:
            layer.batch_size, layer.num_heads = keys.shape[:2]
            layer.k_head_dim, layer.v_head_dim = keys.shape[-1], values.shape[-1]


@contextlib.contextmanager
def growing(tell: Callable[[str], None]) -> Iterator[None]:
    """Have layers that keep a window of positions keep all of them for a while, as the graph of one step needs.

    Such a layer counts positions in Python, which a graph would hold as a constant. The mask lets nobody see beyond the
    window either way.

    Args:
        tell: Called with the size of the window when such a layer is used.
    """
    library = _library()
    if library is None:
        yield
        return
    window, whole = library.DynamicSlidingWindowLayer, library.DynamicLayer
    names = ("update", "get_mask_sizes", "get_seq_length")
    before = {name: vars(window).get(name) for name in names}

    def update(layer: Any, *args: Any, **kwargs: Any) -> Any:
        tell(str(layer.sliding_window))
        return whole.update(layer, *args, **kwargs)

    try:
        window.update = update
        window.get_mask_sizes = whole.get_mask_sizes
        window.get_seq_length = whole.get_seq_length
        yield
    finally:
        for name, method in before.items():
            if method is None:
                delattr(window, name)
            else:
                setattr(window, name, method)
