"""Computations that two models write otherwise, held to the same numbers.

Nodes without counterparts, other operators in the place of some, and rearranged data stand between values that are each
other. Both sides of such a region are evaluated on the same drawn inputs: of usual size, small, and of many magnitudes,
so that bounds and epsilons show. What they give has to agree to a float32's rounding, and bit for bit where it is
computed from stored arrays alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx_ir as ir

from graphkit.inspecting.difference.evaluating import MOST, Region, evaluate
from graphkit.ir.chance import drawing
from graphkit.ir.family import family_of
from graphkit.ir.own import DOMAIN
from graphkit.ir.pairing import kind
from graphkit.ir.training import padding_row, stops_gradient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphkit.inspecting.difference.arrays import Arrays
    from graphkit.inspecting.difference.nodes import Nodes
    from graphkit.inspecting.difference.pairs import Paired

__all__ = ["regions"]

_ROUNDS: Final = 4
"""Times that regions are tried, each time larger where they did not give the same."""


def regions(paired: Paired, nodes: Nodes, arrays: Arrays, *, main: tuple[ir.Graph, ir.Graph]) -> list[Region]:
    """The regions between values that are each other, evaluated where they can be.

    They begin as small as they can be, between nodes that are each other; one that does not give the same is tried
    again with what stands around it.

    Args:
        paired: Nodes and values that are each other.
        nodes: Compares them.
        arrays: Numbers of stored values.
        main: The main graphs; bodies are not looked into.
    """
    finder = _Finder(paired, nodes, main)
    tried: dict[tuple[frozenset[ir.Node], frozenset[ir.Node]], Region] = {}
    proven: list[Region] = []
    rest: list[Region] = []
    for _ in range(_ROUNDS):
        rest = []
        for region in finder.regions():
            key = frozenset(region.left), frozenset(region.right)
            if key not in tried or len(tried[key].results) != len(region.results):
                tried[key] = region
                if _may_be_same(region, paired, nodes):
                    evaluate(region, paired, arrays)
            region = tried[key]
            (proven if region.proven else rest).append(region)
            if region.proven:
                finder.close(region)
        if not sum(finder.widen(region) for region in rest):
            break
    return [*proven, *rest]


class _Finder:
    """Finds regions.

    Attributes:
        closed: Nodes of regions that give the same.
        merged: Nodes that are each other but do not give the same, so that regions go on through them.
    """

    def __init__(self, paired: Paired, nodes: Nodes, main: tuple[ir.Graph, ir.Graph]) -> None:
        self._paired = paired
        self._nodes = nodes
        self._main = main
        self._settled: dict[ir.Node, bool] = {}
        self._proven: set[tuple[ir.Value, ir.Value]] = set()
        self.closed: set[ir.Node] = set()
        self.merged: set[ir.Node] = set()

    def close(self, region: Region) -> None:
        """Note that a region gives the same."""
        self.closed.update((*region.left, *region.right))
        self._proven.update(region.results)

    def widen(self, region: Region) -> bool:
        """Let regions go on through one that was found to give something else; whether that changes anything."""
        if region.error is None and not region.apart:
            return False
        before = len(self.merged)
        for old, _ in region.results:
            for node in (old.producer(), *(user for user in old.consumers() if _moves(user))):
                other = None if node is None else self._paired.partner.get(node)
                if node is not None and other is not None and node not in self.closed:
                    self.merged.update((node, other))
        return len(self.merged) > before

    def regions(self) -> list[Region]:
        """Regions between nodes that are each other."""
        owner: dict[ir.Node, Region] = {}
        found: list[Region] = []
        for old, new in self._due():
            left, right = self._behind(old), self._behind(new)
            if not left and not right:
                continue
            region = Region(left, right, [(old, new)])
            for other in dict.fromkeys(owner[node] for node in (*left, *right) if node in owner):
                region.left |= other.left
                region.right |= other.right
                region.results = [*other.results, *region.results]
                found.remove(other)
            owner |= dict.fromkeys((*region.left, *region.right), region)
            found.append(region)
        return found

    def _due(self) -> Iterable[tuple[ir.Value, ir.Value]]:
        """Values that are each other, are read at the same place, or given, and not surely the same."""
        seen = set(self._proven)
        for old, new in self._candidates():
            if (old, new) not in seen and not self._sure(old, new):
                seen.add((old, new))
                yield old, new

    def _candidates(self) -> Iterable[tuple[ir.Value, ir.Value]]:
        for left, right, _ in self._paired.nodes:
            if left is None or right is None or left.graph is not self._main[0] or left in self.merged:
                continue
            if self._settles(left):
                for _, _, old, new in self._nodes.slots(left, right):
                    if old is not None and new is not None:
                        yield old, new
            else:
                for old, new in zip(left.outputs, right.outputs, strict=False):
                    if old.uses() or old.is_graph_output():
                        yield old, new
        yield from self._paired.outputs

    def _sure(self, old: ir.Value, new: ir.Value) -> bool:
        """Whether two values are each other and computed alike."""
        makers = [node for value in (old, new) if (node := value.producer()) is not None]
        if not self._nodes.corresponds(old, new):
            return not makers
        return all(self._settles(node) and node not in self.merged for node in makers)

    def _settles(self, node: ir.Node) -> bool:
        """Whether a node has a counterpart of the same operator, attributes, constants and number of inputs."""
        if node in self.closed:
            return True
        if node not in self._settled:
            other = self._paired.partner.get(node)
            mine = node.graph is self._main[0]
            pair = (node, other) if mine else (other, node)
            self._settled[node] = (
                pair[0] is not None
                and pair[1] is not None
                and kind(pair[0]) == kind(pair[1])
                and not any(each in self._paired.folded for each in pair)
                and not self._nodes.own(pair[0], pair[1])
                and not any((old is None) != (new is None) for _, _, old, new in self._nodes.slots(pair[0], pair[1]))
            )
        return self._settled[node]

    def _behind(self, value: ir.Value) -> dict[ir.Node, None]:
        """The nodes that a value is computed by, up to those that have counterparts."""
        found: dict[ir.Node, None] = {}
        stack = [value]
        while stack and len(found) <= MOST:
            node = stack.pop().producer()
            if node is None or node in found or node in self.closed or node.graph not in self._main:
                continue
            paired = node in self._paired.partner and node not in self.merged
            if paired and (found or self._settles(node)):
                continue
            found[node] = None
            stack.extend(each for each in node.inputs if each is not None)
        return found


def _may_be_same(region: Region, paired: Paired, nodes: Nodes) -> bool:
    """Whether equal numbers would mean that the two sides are the same computation.

    They would not where an attribute differs that training or other inputs would show, where one side is missing, or
    where something is drawn.
    """
    every = [*region.left, *region.right]
    if len(every) > MOST or any(stops_gradient(node) or node.domain not in ("", DOMAIN) for node in every):
        return False
    if any(padding_row(node) is not None for node in every):
        return False
    if any(node.op_type == "Dropout" or drawing(node) or _nested(node) for node in every):
        return False
    if not region.left or not region.right:
        return all(_moves(node) for node in every)
    for left in region.left:
        right = paired.partner.get(left)
        changed = right is not None and kind(left) == kind(right) and nodes.own(left, right)
        if changed and not _moves(left) and not _turned(left, nodes, right):
            return False
    return True


def _turned(left: ir.Node, nodes: Nodes, right: ir.Node | None) -> bool:
    """Whether two matrix products only differ in which operands they transpose."""
    own = [] if right is None else nodes.own(left, right)
    return left.op_type == "Gemm" and all(change.name in ("transA", "transB") for change in own)


def _nested(node: ir.Node) -> bool:
    return any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())


def _moves(node: ir.Node) -> bool:
    """Whether an operator only moves data, or computes shapes."""
    return family_of(node.op_type, node.domain) == "shape" and node.op_type not in ("Resize", "Upsample", "GridSample")
