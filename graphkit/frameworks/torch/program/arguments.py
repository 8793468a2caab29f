"""Arguments of nodes: what a file holds as Python values, and these as attributes of nodes that stay PyTorch's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from graphkit.frameworks.torch.program.schema import chosen
from graphkit.frameworks.torch.program.stored import SCALAR_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphkit.frameworks.torch.program.schema import Json

__all__ = ["Body", "Dtype", "Text", "argument", "attribute", "holds", "tensors_in"]

_MEMORY_FORMATS: Final = ("unknown", "contiguous", "channels_last", "channels_last_3d", "preserve")
_LAYOUTS: Final = ("unknown", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "mkldnn", "strided")
_PLAIN: Final = {"as_int", "as_ints", "as_string", "as_strings", "as_bool", "as_bools", "as_int_lists", "as_operator"}
_INT64: Final = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Text:
    """A number or object that no value of the model holds: a symbolic expression, a custom object, a token."""

    text: str


@dataclass(frozen=True, slots=True)
class Dtype:
    """An element type as an argument; ``onnx`` is None where ONNX has none."""

    name: str
    onnx: ir.DataType | None


@dataclass(frozen=True, slots=True)
class Body:
    """A graph as an argument."""

    name: str
    graph: Json


def argument(union: Json, lookup: Callable[[str], Any]) -> Any:
    """An argument as a Python value.

    Args:
        union: What the file holds.
        lookup: Gives what a name of the graph stands for.
    """
    kind, held = chosen(union)
    if kind == "as_none":
        return None
    if kind in _PLAIN:
        return held
    if kind == "as_tensor":
        return lookup(held["name"] if isinstance(held, dict) else held)
    if kind == "as_tensors":
        return [lookup(one["name"]) for one in held]
    if kind in _SYMBOLIC:
        return _symbolic(held, lookup)
    if kind in _SYMBOLIC_LISTS:
        return [_symbolic(one, lookup) for one in held]
    if kind == "as_float":
        return float(held)
    if kind == "as_floats":
        return [float(one) for one in held]
    if kind == "as_float_lists":
        return [[float(one) for one in row] for row in held]
    if kind == "as_complex":
        return complex(held["real"], held["imag"])
    if kind == "as_optional_tensor":
        return argument(held, lookup)
    if kind == "as_optional_tensors":
        return [argument(one, lookup) for one in held]
    if kind == "as_nested_tensors":
        return [[lookup(one["name"]) for one in row] for row in held]
    if kind == "as_string_to_argument":
        return {name: argument(one, lookup) for name, one in held.items()}
    if kind == "as_scalar_type":
        return Dtype(*SCALAR_TYPES.get(held, (f"type {held}", None)))
    if kind == "as_device":
        return held["type"] if held.get("index") is None else f"{held['type']}:{held['index']}"
    if kind == "as_memory_format":
        return _named(_MEMORY_FORMATS, held)
    if kind == "as_layout":
        return _named(_LAYOUTS, held)
    if kind == "as_graph":
        return Body(held["name"], held["graph"])
    if kind == "as_custom_obj":
        return Text(held.get("class_fqn") or held.get("name") or "object")
    return Text(kind.removeprefix("as_"))


_SYMBOLIC: Final = ("as_sym_int", "as_sym_float", "as_sym_bool")
_SYMBOLIC_LISTS: Final = ("as_sym_ints", "as_sym_floats", "as_sym_bools")


def _symbolic(union: Json, lookup: Callable[[str], Any]) -> Any:
    kind, held = chosen(union)
    return lookup(held) if kind == "as_name" else held


def _named(names: tuple[str, ...], code: Any) -> str:
    return names[code] if isinstance(code, int) and 0 <= code < len(names) else str(code)


def tensors_in(given: Any) -> Iterator[ir.Value | None]:
    """The values of an argument, in order; None for tensors of a list that are absent."""
    if isinstance(given, ir.Value):
        yield given
    elif isinstance(given, dict):
        for one in given.values():
            yield from tensors_in(one)
    elif isinstance(given, list) and any(isinstance(one, ir.Value | list) for one in given):
        for one in given:
            if one is None:
                yield None
            else:
                yield from tensors_in(one)


def holds(given: Any, kind: type) -> bool:
    """Whether an argument is of a kind, or a list or dictionary that holds one of it."""
    if isinstance(given, list):
        return any(holds(one, kind) for one in given)
    if isinstance(given, dict):
        return any(holds(one, kind) for one in given.values())
    return isinstance(given, kind)


def attribute(name: str, given: Any, shown: Callable[[ir.Value], str | None]) -> ir.Attr | None:
    """An argument as an attribute; None for tensors and for what is not given.

    Args:
        name: Name of the attribute.
        given: The argument, without graphs.
        shown: Text of a value that is a symbolic size; None for a tensor.
    """
    if isinstance(given, bool | int):
        return ir.AttrInt64(name, int(given)) if int(given) in _INT64 else ir.AttrString(name, str(given))
    if isinstance(given, float):
        return ir.AttrFloat32(name, given)
    if given is None or (isinstance(given, ir.Value) and shown(given) is None):
        return None
    if not isinstance(given, list | dict):
        return ir.AttrString(name, _text(given, shown))
    if isinstance(given, list):
        if all(isinstance(one, int) and one in _INT64 for one in given):
            return ir.AttrInt64s(name, [int(one) for one in given])
        if all(isinstance(one, float) for one in given):
            return ir.AttrFloat32s(name, given)
        if all(one is None or (isinstance(one, ir.Value) and shown(one) is None) for one in given):
            return None
        if not any(isinstance(one, list | dict) for one in given):
            return ir.AttrStrings(name, [_text(one, shown) for one in given])
    if holds(given, ir.Value):
        return None
    return ir.AttrString(name, json.dumps(given, default=lambda one: _text(one, shown)))


def _text(given: Any, shown: Callable[[ir.Value], str | None]) -> str:
    if isinstance(given, Text):
        return given.text
    if isinstance(given, Dtype):
        return given.name
    if isinstance(given, ir.Value):
        return shown(given) or given.name or ""
    return str(given)
