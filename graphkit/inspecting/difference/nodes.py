"""What is otherwise in nodes that are each other: operator, attributes, small constants, what they read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.inspecting.difference.attributes import attribute_changes, shown_array
from graphkit.inspecting.difference.difference import Change
from graphkit.inspecting.difference.pairs import is_commutative, is_stored, read_by
from graphkit.inspecting.difference.parameters import is_small
from graphkit.ir.describe import role_of
from graphkit.ir.pairing import kind
from graphkit.ir.training import padding_row, stops_gradient
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    import onnx_ir as ir

    from graphkit.inspecting.difference.arrays import Arrays
    from graphkit.inspecting.difference.pairs import Paired

    Slot: TypeAlias = tuple[ir.Node, int, ir.Value | None, ir.Value | None]
    """A node, which of its inputs, and what the left and the right node read there."""

__all__ = ["Nodes"]

_NAME = 60
"""Characters of a value's name in a change."""


class Nodes:
    """Compares nodes that are each other.

    Args:
        paired: Nodes and values that are each other.
        stored: Stored arrays that are each other.
        arrays: Their numbers.
    """

    def __init__(self, paired: Paired, stored: Mapping[ir.Value, ir.Value], arrays: Arrays) -> None:
        self._paired = paired
        self._stored = stored
        self._arrays = arrays
        self._own: dict[ir.Node, list[Change]] = {}
        self._slots: dict[ir.Node, list[Slot]] = {}

    def own(self, left: ir.Node, right: ir.Node) -> list[Change]:
        """What is otherwise whatever the two read: operator, attributes, small constants, gradients."""
        if left not in self._own:
            self._own[left] = self._compared(left, right)
        return self._own[left]

    def _compared(self, left: ir.Node, right: ir.Node) -> list[Change]:
        changes = []
        other = kind(left) != kind(right)
        if other:
            changes.append(Change("operator", "", _operator(left), _operator(right)))
        changes += attribute_changes(left, right, shared=other)
        if stops_gradient(left) != stops_gradient(right):
            words = ("passes", "is stopped")
            changes.append(Change("gradient", "", words[stops_gradient(left)], words[stops_gradient(right)]))
        if padding_row(left) != padding_row(right):
            changes.append(Change("gradient", "", _given_rows(left), _given_rows(right)))
        if not other:
            for node, index, old, new in self.unequal(left, right):
                if all(value is None or _constant(value) for value in (old, new)):
                    name = _input_name(node, index)
                    changes.append(Change("constant", name, self._shown(old), self._shown(new)))
        return changes

    def read(self, left: ir.Node, right: ir.Node) -> list[tuple[Change, ir.Value | None, ir.Value | None]]:
        """Inputs that are other values; not those that nodes without counterparts stand in front of."""
        found = []
        for node, index, old, new in self.unequal(left, right):
            if (_constant(old) or old is None) and (_constant(new) or new is None):
                continue
            if old is not None and new is not None and self.explained(old, new):
                continue
            name = _input_name(node, index)
            found.append((Change("input", name, self._shown(old), self._shown(new)), old, new))
        return found

    def unequal(self, left: ir.Node, right: ir.Node) -> list[Slot]:
        """Inputs at which two nodes of one operator do not read what is each other."""
        return [slot for slot in self.slots(left, right) if not self.corresponds(slot[2], slot[3])]

    def corresponds(self, old: ir.Value | None, new: ir.Value | None) -> bool:
        """Whether two values are each other, or equal small constants."""
        if old is None or new is None:
            return old is new
        if is_stored(old) != is_stored(new):
            return False
        if is_stored(old):
            if is_small(old) and is_small(new):
                return self._arrays.equal(old, new)
            return self._stored.get(old) is new
        return self._paired.values.get(old) is new

    def explained(self, old: ir.Value, new: ir.Value) -> bool:
        """Whether two values differ by nodes without counterparts only, between them and what is each other."""
        partner = self._paired.partner
        if all(value.producer() is None or value.producer() in partner for value in (old, new)):
            return False
        before = {self._stored.get(value, value) for value in self._paired.origins(old, left=True)}
        after = self._paired.origins(new, left=False)
        return bool({value for value in before & after if not _constant(value)})

    def slots(self, left: ir.Node, right: ir.Node) -> list[Slot]:
        """Inputs of two nodes that are each other, and which meets which."""
        if left not in self._slots:
            self._slots[left] = self._met(left, right)
        return self._slots[left]

    def _met(self, left: ir.Node, right: ir.Node) -> list[Slot]:
        mine, theirs = read_by(left), read_by(right)
        if not is_commutative(left):
            size = max(len(mine), len(theirs))
            mine += [None] * (size - len(mine))
            theirs += [None] * (size - len(theirs))
            return [(left, i, old, new) for i, (old, new) in enumerate(zip(mine, theirs, strict=True))]
        rest = list(theirs)
        found: list[Slot] = []
        open_: list[tuple[int, ir.Value | None]] = []
        for index, old in enumerate(mine):
            new = next((each for each in rest if self.corresponds(old, each)), None)
            if new is None:
                open_.append((index, old))
            else:
                _drop(rest, new)
                found.append((left, index, old, new))
        for index, old in open_:
            alike = (
                each for each in rest if old is not None and each is not None and is_stored(old) == is_stored(each)
            )
            near = next((e for e in rest if old is not None and e is not None and self.explained(old, e)), None)
            new = near if near is not None else next(alike, rest[0] if rest else None)
            if new is not None:
                _drop(rest, new)
            found.append((left, index, old, new))
        found += [(right, len(mine) + index, None, new) for index, new in enumerate(rest)]
        return found

    def _shown(self, value: ir.Value | None) -> str | None:
        if value is None:
            return None
        array = self._arrays.array(value) if _constant(value) else None
        return short(value.name or "an unnamed value", _NAME) if array is None else shown_array(array)


def _drop(values: list[ir.Value | None], value: ir.Value) -> None:
    for index, each in enumerate(values):
        if each is value:
            del values[index]
            return


def _constant(value: ir.Value | None) -> bool:
    return value is not None and is_stored(value) and is_small(value)


def _operator(node: ir.Node) -> str:
    return f"{node.domain}:{node.op_type}" if node.domain else node.op_type


def _given_rows(node: ir.Node) -> str:
    row = padding_row(node)
    return "passes" if row is None else f"is stopped at row {row}"


def _input_name(node: ir.Node, index: int) -> str:
    """ONNX's name of an input; its number where it has none."""
    return role_of(node.op_type, node.domain, index) or f"input {index}"
