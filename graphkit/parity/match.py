"""Which input, output and parameter of one model is which of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.errors import InputError
from graphkit.ir.dims import dims_of
from graphkit.ir.params import alias_of, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.params import Kind

__all__ = ["boxed", "counterparts"]


def counterparts(model: ir.Model, other: ir.Model) -> dict[str, str]:
    """Name in ``other`` of each input, output, parameter and buffer of ``model`` that has a counterpart there.

    Inputs match by name if the names are the same, else by position if there are as many; so do outputs. Parameters
    and buffers match by the name that they have in the model that was converted, where they have the same shape.

    A value without axes also matches one of a single axis of size 1: MXNet has no other.

    Raises:
        InputError: There are more inputs or outputs in one than in the other, or two that meet differ in element type
            or rank.
    """
    found = _paired("inputs", _fed(model), _fed(other))
    found |= _paired("outputs", model.graph.outputs, other.graph.outputs)
    kinds: tuple[Kind, ...] = ("parameter", "buffer")
    for kind in kinds:
        theirs = {alias_of(value): value for value in of_kind(other, kind)}
        for value in of_kind(model, kind):
            match = theirs.get(alias_of(value))
            if match is not None and dims_of(match) == dims_of(value):
                found[value.name or ""] = match.name or ""
    return found


def boxed(model: ir.Model, other: ir.Model, names: Mapping[str, str]) -> frozenset[str]:
    """Names of the inputs and outputs without axes whose counterpart has one, of size 1."""
    found: set[str] = set()
    for ours, theirs in ((_fed(model), _fed(other)), (model.graph.outputs, other.graph.outputs)):
        known = {value.name: dims_of(value) for value in theirs}
        found.update(v.name or "" for v in ours if dims_of(v) == () and known.get(names[v.name or ""]) == (1,))
    return frozenset(found)


def _fed(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if not value.is_initializer()]


def _paired(what: str, ours: Sequence[ir.Value], theirs: Sequence[ir.Value]) -> dict[str, str]:
    if len(ours) != len(theirs):
        raise InputError(
            f"The two models cannot be compared: the {what} of one are {_listed(ours)}, of the other {_listed(theirs)}."
        )
    by_name = {value.name: value for value in theirs}
    same = {value.name for value in ours} == set(by_name)
    pairs = [(value, by_name[value.name] if same else theirs[index]) for index, value in enumerate(ours)]
    for one, two in pairs:
        dims = (dims_of(one), dims_of(two))
        ranks = [shape if shape is None else len(shape) for shape in dims]
        if one.dtype != two.dtype or (None not in ranks and ranks[0] != ranks[1] and dims != ((), (1,))):
            raise InputError(
                f"The two models cannot be compared: among their {what}, {_described(one)} meets {_described(two)}."
            )
    return {one.name or "": two.name or "" for one, two in pairs}


def _described(value: ir.Value) -> str:
    dims = dims_of(value)
    shape = (
        "of unknown shape" if dims is None else "×".join("?" if dim is None else str(dim) for dim in dims) or "scalar"
    )
    return f"{value.name!r} ({value.dtype.name.lower() if value.dtype is not None else 'of unknown type'}, {shape})"


def _listed(values: Iterable[ir.Value]) -> str:
    return ", ".join(repr(value.name) for value in values) or "none"
