"""Nodes, stored arrays and rewrites of a difference as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from graphkit.inspecting.difference.arrays import distance, layout
from graphkit.inspecting.difference.difference import Change, NodeDifference, ParameterDifference, Rewrite
from graphkit.inspecting.difference.pairs import is_stored, places_of, read_by
from graphkit.inspecting.difference.parameters import compared, held, is_small, readers, stored
from graphkit.ir.family import family_of
from graphkit.ir.pairing import kind
from graphkit.ir.params import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx_ir as ir

    from graphkit.inspecting.difference.arrays import Arrays
    from graphkit.inspecting.difference.difference import Status
    from graphkit.inspecting.difference.evaluating import Region
    from graphkit.inspecting.difference.nodes import Nodes
    from graphkit.inspecting.difference.pairs import Paired

__all__ = ["Entries"]


class Entries:
    """What is told of two models.

    Attributes:
        nodes: Every node of both.
        parameters: Every stored array of both but small constants.
        rewrites: What is written otherwise and gives the same.
        settled: Values of the two that were found to hold the same numbers.
    """

    def __init__(
        self,
        left: ir.Model,
        right: ir.Model,
        paired: Paired,
        matched: Mapping[ir.Value, ir.Value],
        arrays: Arrays,
        nodes: Nodes,
        regions: Iterable[Region],
    ) -> None:
        self._paired = paired
        self._matched = dict(matched)
        self._arrays = arrays
        self._compare = nodes
        self._places = places_of(left) | places_of(right)
        self._regions = [region for region in regions if _counts(region, paired)]
        self.settled = {pair for region in self._regions for pair in region.results}
        self.parameters: list[ParameterDifference] = []
        self._changed: dict[ir.Value, int] = {}
        self._tell_parameters(left, right)
        self.nodes: list[NodeDifference] = []
        self.rewrites: list[Rewrite] = []
        self._tell_nodes()

    def _tell_parameters(self, left: ir.Model, right: ir.Model) -> None:
        done: set[ir.Value] = set()
        groups: dict[ir.Value, tuple[Region, list[ir.Value], list[ir.Value]]] = {}
        for region in self._regions:
            ours, theirs = self._loose(region)
            for value in (*ours, *theirs):
                groups.setdefault(value, (region, ours, theirs))
        back = {two: one for one, two in self._matched.items()}
        ours_first = [(value, True) for value in held(left)] + [(value, False) for value in held(right)]
        for value, mine in ours_first:
            if value in done:
                continue
            if value in groups:
                region, ours, theirs = groups[value]
                ours, theirs = ([each for each in side if each not in done] for side in (ours, theirs))
                done.update((*ours, *theirs))
                self._add(self._grouped(region, ours, theirs), (*ours, *theirs))
            elif value in self._matched:
                other = self._matched[value]
                done.update((value, other))
                self._add(compared(value, other, self._arrays), (value, other))
            elif value not in back:
                done.add(value)
                self._add(_alone(value, left=mine), (value,))

    def _add(self, entry: ParameterDifference, values: Iterable[ir.Value]) -> None:
        if entry.status == "changed":
            self._changed |= dict.fromkeys(values, len(self.parameters))
        self.parameters.append(entry)

    def _loose(self, region: Region) -> tuple[list[ir.Value], list[ir.Value]]:
        """Arrays of a region whose numbers are not those of a counterpart."""
        ours, theirs = (
            [
                value
                for value in dict.fromkeys(_stored_in(side, [pair[index] for pair in region.results]))
                if not is_small(value)
            ]
            for index, side in enumerate((region.left, region.right))
        )
        back = {two: one for one, two in self._matched.items()}
        loose = (
            [v for v in ours if v not in self._matched or not self._arrays.equal(v, self._matched[v])],
            [v for v in theirs if v not in back or not self._arrays.equal(back[v], v)],
        )
        if not loose[0] or not loose[1]:
            return (
                [v for v in loose[0] if kind_of(v) == "constant"],
                [v for v in loose[1] if kind_of(v) == "constant"],
            )
        plain = len(loose[0]) == len(loose[1]) and all(self._matched.get(v) in loose[1] for v in loose[0])
        if plain and not region.folds and all(_alike(v, self._matched[v]) for v in loose[0]) and not region.proven:
            return [], []
        return loose

    def _grouped(self, region: Region, ours: list[ir.Value], theirs: list[ir.Value]) -> ParameterDifference:
        status: Status = "folded" if region.folds else "rewritten" if region.proven else "changed"
        numbers, note = None, ""
        if len(ours) == len(theirs) == 1:
            old, new = self._arrays.array(ours[0]), self._arrays.array(theirs[0])
            note = layout(old, new) if old is not None and new is not None else ""
        if not note and status != "folded":
            note = "in another layout"
        if status == "changed" and region.arrays:
            numbers = distance(*region.arrays[-1])
            note = "compared as it is read"
        names = dict.fromkeys(name for value in (ours or theirs) for name in readers(value))
        left, right = (tuple(stored(value) for value in side) for side in (ours, theirs))
        return ParameterDifference(status, left, right, (), numbers, note, tuple(names))

    def _tell_nodes(self) -> None:
        inside = {node: i for i, region in enumerate(self._regions) for node in (*region.left, *region.right)}
        index: dict[ir.Node, int] = {}
        order: list[NodeDifference] = []
        for left, right, how in self._paired.nodes:
            region = next((inside[node] for node in (left, right) if node in inside), None)
            for node in (left, right):
                if node is not None:
                    index[node] = len(order)
            order.append(self._entry(left, right, how, region))
        self.nodes = order
        for piece in self._regions:
            sides = [tuple(sorted({index[node] for node in side})) for side in (piece.left, piece.right)]
            word: Literal["layout", "folded", "otherwise"]
            word = "folded" if piece.folds else "layout" if piece.stored else "otherwise"
            error = None if piece.stored and not piece.proven else piece.error
            self.rewrites.append(Rewrite(word, sides[0], sides[1], error))

    def _entry(self, left: ir.Node | None, right: ir.Node | None, how: Any, region: int | None) -> NodeDifference:
        one, two = (None if node is None else self._places[node] for node in (left, right))
        changed = {
            self._changed[value]
            for node in (left, right)
            if node is not None
            for value in node.inputs
            if value in self._changed
        }
        parameters = tuple(sorted(changed))
        if region is not None:
            status: Status = "folded" if self._regions[region].folds else "rewritten"
            return NodeDifference(status, one, two, how, (), parameters, region)
        if left is None or right is None:
            return NodeDifference("added" if left is None else "removed", one, two, how)
        changes = self._compare.own(left, right)
        read = (
            [change for change, old, new in self._compare.read(left, right) if (old, new) not in self.settled]
            if kind(left) == kind(right)
            else []
        )
        given = self._given(left)
        missing = any(change.old is None or change.new is None for change in read)
        if kind(left) != kind(right):
            status = "replaced"
        elif changes or missing:
            status = "changed"
        elif read or given:
            status = "moved"
        else:
            status = "renamed" if left.name != right.name else "same"
        return NodeDifference(status, one, two, how, (*changes, *read, *given), parameters)

    def _given(self, left: ir.Node) -> list[Change]:
        """Outputs of bodies that are other values."""
        changes = []
        for one, _, name, ours, theirs in self._paired.bodies:
            if one is not left:
                continue
            if len(ours.outputs) != len(theirs.outputs):
                sizes = (str(len(graph.outputs)) for graph in (ours, theirs))
                changes.append(Change("output", f"outputs of {name}", *sizes))
            for place, (old, new) in enumerate(zip(ours.outputs, theirs.outputs, strict=False)):
                if not self._compare.corresponds(old, new) and not self._compare.explained(old, new):
                    changes.append(Change("output", f"{name} output {place}", old.name or "", new.name or ""))
        return changes


def _counts(region: Region, paired: Paired) -> bool:
    """Whether a region is told as one thing: it gives the same, is a folding, or rearranges arrays that changed."""
    if region.proven:
        return True
    if region.stored and region.arrays:
        moves = all(family_of(node.op_type, node.domain) == "shape" for node in (*region.left, *region.right))
        return moves and all(old.shape == new.shape for old, new in region.arrays)
    return region.folds and any(node in paired.folded for node in (*region.left, *region.right))


def _stored_in(nodes: Iterable[ir.Node], results: Iterable[ir.Value]) -> Iterable[ir.Value]:
    for node in nodes:
        yield from (value for value in read_by(node) if value is not None and is_stored(value))
    yield from (value for value in results if is_stored(value))


def _alike(one: ir.Value, two: ir.Value) -> bool:
    left, right = stored(one), stored(two)
    return (left.dtype, left.shape) == (right.dtype, right.shape)


def _alone(value: ir.Value, *, left: bool) -> ParameterDifference:
    told = (stored(value),)
    if left:
        return ParameterDifference("removed", told, (), readers=readers(value))
    return ParameterDifference("added", (), told, readers=readers(value))
