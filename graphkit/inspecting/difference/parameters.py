"""Which stored array of one model is which of another."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from graphkit.inspecting.difference.arrays import Arrays, distance, layout
from graphkit.inspecting.difference.difference import Change, ParameterDifference, Stored
from graphkit.inspecting.difference.pairs import is_commutative, is_stored, read_by
from graphkit.ir.describe import constant_of, element_name, parameters_of
from graphkit.ir.dims import dims_of, shown
from graphkit.ir.edit import graphs_of
from graphkit.ir.params import alias_of, kind_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    import onnx_ir as ir

    from graphkit.inspecting.difference.difference import Status
    from graphkit.inspecting.difference.pairs import Paired

__all__ = ["compared", "held", "is_small", "match_arrays", "stored"]

_SMALL: Final = 16
"""Elements up to which a constant belongs to the node that reads it, like an attribute."""
_INDICES: Final = 64
"""The same for integers, which say sizes, axes and places."""


def is_small(value: ir.Value) -> bool:
    """Whether a stored value is a small constant, which is compared where it is read."""
    if kind_of(value) != "constant":
        return False
    dims = dims_of(value)
    if dims is None or not all(isinstance(dim, int) for dim in dims):
        return False
    whole = value.dtype is not None and not value.dtype.is_floating_point()
    return math.prod(int(dim) for dim in dims if isinstance(dim, int)) <= (_INDICES if whole else _SMALL)


def held(model: ir.Model) -> list[ir.Value]:
    """Stored arrays of a model, those of bodies included, without small constants."""
    found: dict[ir.Value, None] = {}
    for graph in graphs_of(model.graph):
        found.update(dict.fromkeys(graph.initializers.values()))
    return [value for value in found if not is_small(value)]


def match_arrays(left: ir.Model, right: ir.Model, paired: Paired, arrays: Arrays) -> dict[ir.Value, ir.Value]:
    """Stored arrays of the left model -> those of the right one.

    In this order they match

    1. where nodes that are each other read equal numbers at the same place;
    2. by name, where the numbers are equal;
    3. where nodes that are each other read arrays of one name, element type and shape at the same place;
    4. by numbers that are in either model once;
    5. where nodes that are each other read them at the same place, those of one shape first;
    6. by name.
    """
    ours, theirs = held(left), held(right)
    found: dict[ir.Value, ir.Value] = {}
    taken: set[ir.Value] = set()
    mine, other = set(ours), set(theirs)

    def accept(pairs: Iterable[tuple[ir.Value, ir.Value]], *, same: bool) -> None:
        for one, two in pairs:
            if one in mine and two in other and one not in found and two not in taken:
                if same and not arrays.equal(one, two):
                    continue
                found[one] = two
                taken.add(two)

    read = list(_read_alike(paired, arrays))
    accept(read, same=True)
    accept(_named(ours, theirs), same=True)
    accept([(one, two) for one, two in read if one.name == two.name and _fits(one, two)], same=False)
    accept(_unique(ours, theirs, found, taken, arrays), same=True)
    accept([pair for pair in read if _fits(*pair)], same=False)
    accept(read, same=False)
    accept(_named(ours, theirs), same=False)
    return found


def _read_alike(paired: Paired, arrays: Arrays) -> Iterable[tuple[ir.Value, ir.Value]]:
    """Stored arrays that nodes which are each other read at the same place."""
    for left, right, _ in paired.nodes:
        if left is None or right is None or (left.domain, left.op_type) != (right.domain, right.op_type):
            continue
        mine, theirs = read_by(left), read_by(right)
        if is_commutative(left):
            ours = [value for value in mine if value is not None and is_stored(value)]
            rest = [value for value in theirs if value is not None and is_stored(value)]
            for one in ours:
                two = next((each for each in rest if arrays.equal(one, each)), rest[0] if rest else None)
                if two is not None:
                    rest.remove(two)
                    yield one, two
            continue
        for old, new in zip(mine, theirs, strict=False):
            if old is not None and new is not None and is_stored(old) and is_stored(new):
                yield old, new


def _named(ours: list[ir.Value], theirs: list[ir.Value]) -> list[tuple[ir.Value, ir.Value]]:
    """Arrays of one name, or of one name in the model that both were converted from."""
    by_name = {value.name: value for value in theirs}
    by_alias = {alias_of(value): value for value in theirs}
    found = [(value, by_name.get(value.name) or by_alias.get(alias_of(value))) for value in ours]
    return [(one, two) for one, two in found if two is not None]


def _fits(one: ir.Value, two: ir.Value) -> bool:
    return one.dtype == two.dtype and dims_of(one) == dims_of(two)


def _unique(
    ours: list[ir.Value],
    theirs: list[ir.Value],
    found: dict[ir.Value, ir.Value],
    taken: set[ir.Value],
    arrays: Arrays,
) -> list[tuple[ir.Value, ir.Value]]:
    rest = [[v for v in ours if v not in found], [v for v in theirs if v not in taken]]
    prints: list[list[Hashable]] = [[arrays.print(value) for value in values] for values in rest]
    counts = [Counter(each) for each in prints]
    there = dict(zip(prints[1], rest[1], strict=True))
    return [
        (value, there[key])
        for value, key in zip(rest[0], prints[0], strict=True)
        if counts[0][key] == counts[1][key] == 1
    ]


def compared(one: ir.Value, two: ir.Value, arrays: Arrays) -> ParameterDifference:
    """How a stored array differs from its counterpart."""
    left, right = stored(one), stored(two)
    changes = []
    if left.dtype != right.dtype:
        changes.append(Change("dtype", "", left.dtype, right.dtype))
    if left.shape != right.shape:
        changes.append(
            Change("shape", "", *(shown(each.shape) if each.shape is not None else None for each in (left, right)))
        )
    if left.kind != right.kind:
        changes.append(Change("kind", "", left.kind, right.kind))
    numbers, note = None, ""
    if not arrays.equal(one, two):
        old, new = arrays.array(one), arrays.array(two)
        if old is None or new is None:
            note = (
                "the data is not there"
                if old is None and new is None
                else (f"the data is not there in the {'first' if old is None else 'second'} model")
            )
        else:
            numbers = distance(old, new)
            if numbers is None and not changes:
                changes.append(Change("text", "", "", ""))
            if numbers is not None and not numbers.differing:
                numbers = None
            if order := layout(old, new):
                note = f"equal {order}"
    renamed = left.name != right.name
    status: Status = "changed" if changes or numbers or note else "renamed" if renamed else "same"
    return ParameterDifference(status, (left,), (right,), tuple(changes), numbers, note, readers(one))


def readers(value: ir.Value) -> tuple[str, ...]:
    """Nodes that read a value, by name."""
    return tuple(dict.fromkeys(node.name or node.op_type for node in value.consumers()))


def stored(value: ir.Value) -> Stored:
    """A stored array as plain data."""
    known = parameters_of((value,))
    if known:
        first = known[0]
        return Stored(first.name, first.kind, first.dtype, first.shape, first.bytes)
    tensor = constant_of(value)
    dtype = None if value.dtype is None else element_name(value.dtype)
    return Stored(value.name or "", kind_of(value), dtype, dims_of(value), None if tensor is None else tensor.nbytes)
