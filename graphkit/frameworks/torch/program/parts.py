"""Results, names and numbers in parts of a serialised graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from graphkit.frameworks.torch.program.schema import chosen, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphkit.frameworks.torch.program.schema import Json

__all__ = ["SCALARS", "TABLES", "flat", "names_in", "outputs_in", "symbol"]

SCALARS: Final = {
    "as_sym_int": ir.DataType.INT64,
    "as_sym_float": ir.DataType.DOUBLE,
    "as_sym_bool": ir.DataType.BOOL,
}
"""Element types of the results that are symbolic numbers, by kind."""
TABLES: Final = {
    "as_sym_int": "sym_int_values",
    "as_sym_float": "sym_float_values",
    "as_sym_bool": "sym_bool_values",
}
"""Tables of a graph that tell what these numbers are."""


def symbol(held: Json) -> int | float | str:
    """A symbolic number: a number that is known, or an expression as text."""
    if not isinstance(held, dict):
        return size(held)
    kind, value = chosen(held)
    if kind in ("as_int", "as_float", "as_bool"):
        number: int | float = value
        return number
    return size(held)


def outputs_in(given: Iterable[Json]) -> Iterable[tuple[str, str]]:
    """Kind and name of each result, lists one by one; the name is empty for one that is absent."""
    for union in given:
        kind, held = chosen(union)
        if kind == "as_tensors":
            yield from (("as_tensor", one["name"]) for one in held)
        elif kind in SCALARS:
            yield kind, held.get("as_name") or ""
        elif isinstance(held, dict) and isinstance(held.get("name"), str):
            yield kind, held["name"]
        else:
            yield kind, ""


def names_in(union: Json) -> Iterable[str]:
    """The names of the graph in an argument, those inside its graphs left out."""
    if isinstance(union, dict):
        for key, held in union.items():
            if key in ("name", "as_name") and isinstance(held, str):
                yield held
            elif key != "graph":
                yield from names_in(held)
    elif isinstance(union, list):
        for one in union:
            yield from names_in(one)


def flat(given: Iterable[Any]) -> list[Any]:
    """What lists and the lists in them hold."""
    found: list[Any] = []
    for one in given:
        if isinstance(one, list):
            found.extend(flat(one))
        else:
            found.append(one)
    return found
