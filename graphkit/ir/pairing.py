"""Pairs of nodes of two models found so far, and how much they say for others."""

from __future__ import annotations

from bisect import bisect, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphkit.ir.dims import dims_of
from graphkit.ir.outline import Outline, may_be_equal

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import onnx_ir as ir

__all__ = ["How", "Pairing", "kind"]

How: TypeAlias = Literal["name", "structure", "order", "alone"]
"""How two nodes were found: they have a name in common and nothing speaks against it; by what they compute, read and
are read by; by their place between nodes that were found; ``"alone"`` for a node without a counterpart."""

_FAR: Final = 4
"""Nodes in a row that may have been inserted or removed between two that are read by each other."""

_COPIES: Final = frozenset(("Dropout", "Identity"))
"""Operators that stand in nobody's place, as they hand on what they read."""


def kind(node: ir.Node) -> tuple[str, str]:
    """Domain and operator."""
    return node.domain, node.op_type


@dataclass(slots=True, eq=False)
class Pairing:
    """Pairs found so far.

    Attributes:
        left: One model.
        right: The other.
        given: Names in the left model -> names in the right one that are known.
        ends: Output of the left model -> that of the right one.
        partner: Node of either model -> its counterpart.
        values: Value of the left model -> that of the right one.
        back: The other way round.
        how: How each left node was found.
        absorbed: Node of either model that is folded into another -> the node of the other model that it is part of.
        same: Numbers of what each node of either model computes and of what it is used for, equal for the same.
        trusted: Whether equal names mean anything.
    """

    left: Outline
    right: Outline
    given: Mapping[str, str]
    ends: dict[ir.Value, ir.Value]
    partner: dict[ir.Node, ir.Node] = field(default_factory=dict)
    values: dict[ir.Value, ir.Value] = field(default_factory=dict)
    back: dict[ir.Value, ir.Value] = field(default_factory=dict)
    how: dict[ir.Node, How] = field(default_factory=dict)
    absorbed: dict[ir.Node, ir.Node] = field(default_factory=dict)
    same: dict[ir.Node, tuple[int, int]] = field(default_factory=dict)
    trusted: bool = True
    _found: list[int] = field(default_factory=list)
    _held: tuple[frozenset[Hashable], ...] = ()

    def __post_init__(self) -> None:
        self._held = tuple(frozenset().union(*outline.sources.values()) for outline in (self.left, self.right))

    def equate(self, one: ir.Value, two: ir.Value) -> None:
        """Note that two values are each other, unless one of them is another's."""
        if one not in self.values and two not in self.back:
            self.values[one], self.back[two] = two, one

    def accept(self, left: ir.Node, right: ir.Node, how: How = "structure") -> None:
        """Note that two nodes are each other, and so are their results."""
        self.partner[left], self.partner[right] = right, left
        self.how[left] = how
        insort(self._found, self.left.place[left])
        for one, two in zip(left.outputs, right.outputs, strict=False):
            self.equate(one, two)

    def forget(self, left: ir.Node, right: ir.Node) -> None:
        """Undo a pair."""
        for one, two in zip(left.outputs, right.outputs, strict=False):
            self.values.pop(one, None)
            self.back.pop(two, None)
        del self.partner[left], self.partner[right], self.how[left]
        self._found.remove(self.left.place[left])

    def is_open(self, node: ir.Node) -> bool:
        """Whether a node is still to be found."""
        return node not in self.partner and node not in self.absorbed

    def are_open(self, left: ir.Node, right: ir.Node) -> bool:
        """Whether both are still to be found."""
        return self.is_open(left) and self.is_open(right)

    def are_ends(self, one: ir.Value, two: ir.Value) -> bool:
        """Whether two values are the same output of the two models."""
        return self.ends.get(one) is two or self.ends.get(two) is one

    def evidence(self, left: ir.Node, right: ir.Node) -> float:
        """How much speaks for two nodes of the same operator being each other, in points.

        4 for what they read and 3 for who reads them, less as far as that is not known, minus as much if it
        contradicts; 3 for equal arrays, less for equal shapes of arrays; 2 for the same computation and 1.5 for the
        same use; 1.5 for a name in common and 0.5 for the same module, if names are trusted; 0.5 each for
        attributes and shape, -1 for a shape that cannot be the same. Order decides between equals.
        """
        score = 4 * self._reading(left, right) + 3 * self._use(left, right) + 3 * self._arrays(left, right)
        above, below = (one == two for one, two in zip(self.same[left], self.same[right], strict=True))
        score += 2 * above + 1.5 * below + 0.5 * (self.left.settings[left] == self.right.settings[right])
        if self.trusted:
            score += 1.5 * bool(self.left.names[left] & self.right.names[right])
            score += 0.5 * (bool(self.left.scope[left]) and self.left.scope[left] == self.right.scope[right])
        score += {True: 0.5, False: -1.0, None: 0.0}[_shaped(left, right)]
        return score - 0.01 * min(self._drift(left, right), 20)

    def _drift(self, left: ir.Node, right: ir.Node) -> int:
        """How much farther one node is than the other from the last node before that was found."""
        place = self.left.place[left]
        index = bisect(self._found, place) - 1
        if index < 0:
            return abs(place - self.right.place[right])
        last = self._found[index]
        return abs(place - last - self.right.place[right] + self.right.place[self.partner[self.left.nodes[last]]])

    def _reading(self, left: ir.Node, right: ir.Node) -> float:
        """How far what two nodes read is each other, from -1 to 1."""
        mine, theirs = self.left.data[left], self.right.data[right]
        if not mine or not theirs:
            return 0.0
        if self._strangers(left, right):
            return -1.0
        total = 0.0
        for position, value in mine:
            wanted = self.values.get(value)
            found = [other for at, other in theirs if at == position]
            if wanted is None:
                strangers = [self.back[other] for other in found if other in self.back]
                if strangers and position >= 0:
                    total += 0.5 if any(self._through(self.left, value, other) for other in strangers) else -1
            elif wanted in found:
                total += 1
            elif any(other is wanted for _, other in theirs):
                total += 0.25
            elif any(self._through(self.right, other, wanted) for _, other in theirs):
                total += 0.5
            else:
                total -= 1
        return total / max(len(mine), len(theirs))

    def _use(self, left: ir.Node, right: ir.Node) -> float:
        """How far the nodes that read two nodes are each other, from -1 to 1."""
        total, number = 0.0, 0
        for one, two in zip(left.outputs, right.outputs, strict=False):
            theirs = set(self.right.users.get(two, ()))
            readers = {node for node, _ in theirs}
            for user, position in self.left.users.get(one, ()):
                number += 1
                other = self.partner.get(user) or self.absorbed.get(user)
                if other is None:
                    continue
                if (other, position) in theirs:
                    total += 1
                elif other in readers:
                    total += 0.25
                elif any(self._through(self.right, value, two) for _, value in self.right.data[other]):
                    total += 0.5
                else:
                    total -= 1
            if one in self.ends:
                number += 1
                end = self.ends[one]
                total += 1 if end is two else 0.5 if self._through(self.right, end, two) else -1
        return total / number if number else 0.0

    def _arrays(self, left: ir.Node, right: ir.Node) -> float:
        """How far the stored arrays that two nodes read are each other, from -0.5 to 1."""
        mine, theirs = self.left.weights[left], self.right.weights[right]
        total = 0.0
        for (at, one), (place, two) in zip(mine, theirs, strict=False):
            if at != place:
                total -= 0.25
            elif self.left.print(one) == self.right.print(two) or self.given.get(one.name or "") == two.name:
                total += 1
            else:
                total += 0.25 if dims_of(one) == dims_of(two) else -0.5
        return total / max(len(mine), len(theirs), 1)

    def _through(self, outline: Outline, value: ir.Value, target: ir.Value) -> bool:
        """Whether a value is computed from another by nodes without counterparts."""
        for _ in range(_FAR):
            node = value.producer()
            if node is None or node in self.partner or node not in outline.place:
                return False
            read = [each for _, each in outline.data[node]]
            if any(each is target for each in read):
                return True
            if not read:
                return False
            value = read[0]
        return False

    def _strangers(self, left: ir.Node, right: ir.Node) -> bool:
        """Whether two nodes compute from stored arrays alone, from others that are in both models."""
        mine, theirs = self.left.sources.get(left), self.right.sources.get(right)
        if not mine or not theirs or mine & theirs:
            return False
        return mine <= self._held[1] and theirs <= self._held[0]

    def stands_in(self, left: ir.Node, right: ir.Node, fitting: bool) -> float:
        """How much speaks for one node being in the place of another, 0 if too little.

        Args:
            left: Node of the left model.
            right: Node of the right model.
            fitting: Whether their results have to fit in shape and element type.
        """
        if not left.outputs or not right.outputs or {left.op_type, right.op_type} & _COPIES:
            return 0
        if self._strangers(left, right):
            return 0
        reading, use = self._reading(left, right), self._use(left, right)
        between = reading > 0 and use > 0
        if not fitting:
            return reading + 2 * use if between else 0
        one, two = left.outputs[0], right.outputs[0]
        if one.dtype != two.dtype or not may_be_equal(one, two):
            return 0
        named = self.trusted and bool(self.left.names[left] & self.right.names[right])
        enough = between or use == 1 or (named and min(reading, use) >= 0 and reading + use > 0)
        return reading + 2 * use + named if enough else 0


def _shaped(left: ir.Node, right: ir.Node) -> bool | None:
    if not left.outputs or not right.outputs:
        return None
    return may_be_equal(left.outputs[0], right.outputs[0])
