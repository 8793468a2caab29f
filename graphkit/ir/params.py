"""What each initializer is: a parameter, a buffer or a constant, and how it was derived.

The kind is kept in the value's ``metadata_props``, so it survives in ONNX files; values without one are classified by
:func:`kind_of` when a foreign ONNX file is read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import onnx_ir as ir

__all__ = [
    "Kind",
    "alias_of",
    "exact",
    "frozen_parameters",
    "kind_of",
    "of_kind",
    "set_alias",
    "set_exact",
    "set_kind",
    "set_tied",
    "store_exact",
    "take_exact",
    "tied_names",
]

Kind: TypeAlias = Literal["parameter", "buffer", "constant"]
"""A parameter is trained; a buffer is state that is not (BatchNorm's statistics, what is frozen); constants neither."""

KIND = "graphkit.kind"
ALIAS = "graphkit.alias"
EXACT = "graphkit.exact"
TIED = "graphkit.tied"
_NONE: Final[frozenset[str]] = frozenset()
_STORED: Final = 4096
"""Elements up to which the doubles of a constant are written to files: some 80 kB of text."""


def set_kind(value: ir.Value, kind: Kind) -> None:
    """Note what an initializer is."""
    value.metadata_props[KIND] = kind


def kind_of(value: ir.Value) -> Kind:
    """What an initializer is; ``"constant"`` where nothing was noted."""
    kind = value.metadata_props.get(KIND, "constant")
    if kind == "parameter" or kind == "buffer":
        return "parameter" if kind == "parameter" else "buffer"
    return "constant"


def of_kind(model: ir.Model, *kinds: Kind) -> Iterator[ir.Value]:
    """The initializers of the main graph that are of one of the kinds, in the model's order."""
    return (value for value in model.graph.initializers.values() if kind_of(value) in kinds)


def frozen_parameters(trained: Mapping[str, bool]) -> frozenset[str]:
    """Names of the float parameters that stay as they are while others are trained.

    Where none is trained, the model was made ready for inference, which says nothing about how to train it: none counts
    as frozen then.

    Args:
        trained: Whether the model's framework trains each float parameter, by name.
    """
    return frozenset(name for name, is_trained in trained.items() if not is_trained) if any(trained.values()) else _NONE


def set_alias(value: ir.Value, name: str) -> None:
    """Note what the model that this one was converted from calls an initializer."""
    value.metadata_props[ALIAS] = name


def alias_of(value: ir.Value) -> str:
    """What the model that this one was converted from calls an initializer; its own name where nothing was noted."""
    return value.metadata_props.get(ALIAS, value.name or "")


def set_tied(value: ir.Value, name: str) -> None:
    """Note another name that a tensor of the source has: tied parameters are one initializer under the first name."""
    value.metadata_props[TIED] = json.dumps([*tied_names(value), name])


def tied_names(value: ir.Value) -> list[str]:
    """The other names that the tensor of an initializer has in the source."""
    names: list[str] = json.loads(value.metadata_props.get(TIED, "[]"))
    return names


def set_exact(value: ir.Value, array: npt.NDArray[np.float64]) -> None:
    """Keep the double-precision numbers that a float constant was rounded from, so that float64 runs use them."""
    value.meta[EXACT] = array


def exact(value: ir.Value) -> npt.NDArray[np.float64] | None:
    """The double-precision numbers that a float constant was rounded from, if they are known."""
    found: Any = value.meta.get(EXACT)
    return None if found is None else found


def store_exact(value: ir.Value) -> None:
    """Note the doubles of a float constant where files keep them, as a JSON list; those of large constants are not."""
    doubles = exact(value)
    if doubles is not None and doubles.size <= _STORED:
        value.metadata_props[EXACT] = json.dumps(doubles.ravel().tolist())


def take_exact(value: ir.Value) -> None:
    """Take the doubles that a file keeps of a constant, unless its own numbers are others by now."""
    text, tensor = value.metadata_props.pop(EXACT, None), value.const_value
    if text is None or tensor is None or not tensor.dtype.is_floating_point():
        return
    try:
        doubles = np.array(json.loads(text), np.float64).reshape(tensor.shape.numpy())
    except (TypeError, ValueError, OverflowError, RecursionError):
        return
    with np.errstate(over="ignore"):
        rounded = doubles.astype(tensor.dtype.numpy())
    if np.array_equal(rounded, tensor.numpy(), equal_nan=True):
        set_exact(value, doubles)
