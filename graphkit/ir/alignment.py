"""Which node and which value of one model is which of another."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from graphkit.ir.anchors import anchor, unfold
from graphkit.ir.dims import dims_of
from graphkit.ir.outline import Outline, may_be_equal
from graphkit.ir.pairing import Pairing, kind
from graphkit.ir.params import kind_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.pairing import How

__all__ = ["Alignment", "Pair", "align", "align_bodies", "ends_of"]

_ENOUGH: Final = 2.0
"""Evidence from which on two nodes are taken for each other; see :meth:`Pairing.evidence`."""
_WIDE: Final = 24
"""Readers of one value that are each compared with each; of more, those at about the same place."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A node of the one model and its counterpart in the other.

    Attributes:
        left: Node of the left model; None if ``right`` has no counterpart.
        right: Node of the right model; None if ``left`` has no counterpart.
        how: How they were found: ``"name"`` if they have a name in common and nothing speaks against it,
            ``"structure"`` if by what they compute, read and are read by, ``"order"`` if by their place between nodes
            that were found so; ``"alone"`` for a node without a counterpart.
    """

    left: ir.Node | None
    right: ir.Node | None
    how: How

    @property
    def replaced(self) -> bool:
        """Whether another operator stands in the place of the left one."""
        left, right = self.left, self.right
        return left is not None and right is not None and kind(left) != kind(right)


@dataclass(frozen=True, slots=True)
class Alignment:
    """What of one model is what of another.

    Attributes:
        values: Name in the left model -> name in the right one, of inputs, outputs, parameters, buffers and values
            between nodes; each value is in it once at most.
        reshaped: The same for results of nodes that are each other although the shapes of these cannot be the same:
            one of them is wrong, or the models hold the same numbers in another layout there.
        folded: Node of either model that has no counterpart of its own because it was folded into the weights of
            another -> that node, of the other model.
        nodes: Every node of the main graphs once: those of the left model in its order, then what the right one has
            besides, in its order.
    """

    values: dict[str, str]
    reshaped: dict[str, str]
    folded: Mapping[ir.Node, ir.Node]
    nodes: tuple[Pair, ...]


def align(left: ir.Model, right: ir.Model, given: Mapping[str, str] | None = None) -> Alignment:
    """Find out which node and which value of one model is which of another.

    What is sure comes first: values that are computed alike from the inputs, arrays included, and operators that alone
    read the same arrays. From there on nodes are taken for each other one by one, those first that most speaks for:
    what they read, who reads them, their arrays and attributes, shapes, and names as far as sure pairs bear names out.
    What is left is found by its order between nodes that were found; last come operators in the place of others. So a
    node that differs is still found by all around it, and does not spoil the rest.

    Control flow counts as one node: what is inside is compared but not aligned.

    Args:
        left: A canonical model.
        right: Another.
        given: Names in the left model -> names in the right one of inputs, outputs, parameters and buffers that are
            known; other inputs and outputs meet by name, else by position.
    """
    given = given or {}
    inputs, outputs = ends_of(left.graph, right.graph, given)
    return _aligned(left.graph, right.graph, given, inputs, outputs)


def align_bodies(left: ir.Graph, right: ir.Graph, around: Mapping[ir.Value, ir.Value]) -> Alignment:
    """Find out which node and which value of one control-flow body is which of another.

    Their inputs and outputs meet by position.

    Args:
        left: Graph in an attribute of a node.
        right: Another.
        around: Values of the graphs around the left one -> those of the graphs around the right one that they are.
    """
    inputs = [*around.items(), *zip(left.inputs, right.inputs, strict=False)]
    return _aligned(left, right, {}, inputs, list(zip(left.outputs, right.outputs, strict=False)))


def ends_of(
    left: ir.Graph, right: ir.Graph, given: Mapping[str, str] | None = None
) -> tuple[list[tuple[ir.Value, ir.Value]], list[tuple[ir.Value, ir.Value]]]:
    """Inputs and outputs of two models that are each other: as given, else by name, else by position."""
    given = given or {}
    return _meet(_fed(left), _fed(right), given), _meet(left.outputs, right.outputs, given)


def _aligned(
    left: ir.Graph,
    right: ir.Graph,
    given: Mapping[str, str],
    inputs: Sequence[tuple[ir.Value, ir.Value]],
    outputs: Sequence[tuple[ir.Value, ir.Value]],
) -> Alignment:
    pairs = Pairing(Outline(left), Outline(right), given, dict(outputs))
    for one, two in inputs:
        pairs.equate(one, two)
    anchor(pairs, inputs)
    _Search(pairs).run()
    unfold(pairs)
    return _told(pairs)


def _fed(graph: ir.Graph) -> list[ir.Value]:
    return [value for value in graph.inputs if not value.is_initializer()]


def _meet(
    ours: Sequence[ir.Value], theirs: Sequence[ir.Value], given: Mapping[str, str]
) -> list[tuple[ir.Value, ir.Value]]:
    """Inputs, or outputs, of the two models: as given, else by name, else by position."""
    named = {value.name: value for value in theirs}
    pairs: dict[ir.Value, ir.Value] = {}
    for names in (given, {value.name or "": value.name or "" for value in ours}):
        for value in ours:
            other = named.get(names.get(value.name or ""))
            if value not in pairs and other is not None and other not in pairs.values():
                pairs[value] = other
    rest = [value for value in ours if value not in pairs]
    free = [value for value in theirs if value not in pairs.values()]
    if len(rest) == len(free):
        pairs |= dict(zip(rest, free, strict=True))
    return [(value, pairs[value]) for value in ours if value in pairs]


@dataclass(slots=True, eq=False)
class _Search:
    """What follows from pairs that are sure."""

    pairs: Pairing
    _heap: list[tuple[float, int, int]] = field(default_factory=list)

    def run(self) -> None:
        for left in self.pairs.left.nodes:
            if left in self.pairs.partner:
                self._offer_neighbours(left, self.pairs.partner[left])
        self._offer_seeds()
        self._extend()
        while self._fill_gaps() or self._replace():
            self._extend()

    def _offer(self, left: ir.Node, right: ir.Node) -> None:
        if self.pairs.are_open(left, right) and kind(left) == kind(right):
            score = self.pairs.evidence(left, right)
            if score >= _ENOUGH:
                heapq.heappush(self._heap, (-score, self.pairs.left.place[left], self.pairs.right.place[right]))

    def _offer_seeds(self) -> None:
        """Offer nodes that alone have a certain name or use."""
        for keys in self._seeds():
            for key, group in keys[0].items():
                others = keys[1].get(key, [])
                if len(group) == len(others) == 1:
                    self._offer(group[0], others[0])
        for one, two in self.pairs.ends.items():
            left, right = one.producer(), two.producer()
            if left is not None and right is not None:
                self._offer(left, right)

    def _seeds(self) -> Iterator[tuple[dict[Hashable, list[ir.Node]], ...]]:
        for what in ("name", "use"):
            keys: tuple[dict[Hashable, list[ir.Node]], ...] = ({}, {})
            for found, outline in zip(keys, (self.pairs.left, self.pairs.right), strict=True):
                for node in outline.nodes:
                    own: frozenset[Hashable] = frozenset((self.pairs.same[node][1],))
                    for key in outline.names[node] if what == "name" else own:
                        found.setdefault((*kind(node), key), []).append(node)
            if what == "use" or self.pairs.trusted:
                yield keys

    def _offer_neighbours(self, left: ir.Node, right: ir.Node) -> None:
        """Offer the pairs that a pair that was found speaks for."""
        for one, two in zip(left.outputs, right.outputs, strict=False):
            mine, theirs = self._readers(self.pairs.left, one), self._readers(self.pairs.right, two)
            wide = len(mine) * len(theirs) > _WIDE**2
            for i, user in enumerate(mine):
                for j, other in enumerate(theirs):
                    if not wide or abs(i * len(theirs) - j * len(mine)) <= _WIDE * max(len(mine), len(theirs)) // 4:
                        self._offer(user, other)
        above = [
            [node for node in self._writers(outline, reader) if self.pairs.is_open(node)]
            for outline, reader in ((self.pairs.left, left), (self.pairs.right, right))
        ]
        for writer in above[0]:
            for other in above[1]:
                self._offer(writer, other)

    def _readers(self, outline: Outline, value: ir.Value) -> list[ir.Node]:
        """Nodes not found yet that read a value, or read it through one more such node."""
        direct = [node for node, _ in outline.users.get(value, ()) if node not in self.pairs.partner]
        if len(direct) > _WIDE:
            return list(dict.fromkeys(direct))
        beyond = [
            node
            for each in direct
            for result in each.outputs
            for node, _ in outline.users.get(result, ())
            if node not in self.pairs.partner
        ]
        return list(dict.fromkeys([*direct, *beyond[: 2 * _WIDE]]))

    def _writers(self, outline: Outline, node: ir.Node) -> list[ir.Node]:
        """Nodes that a node reads from, or reads from through one more."""
        direct = [writer for _, value in outline.data[node] if (writer := value.producer()) in outline.place]
        beyond = [
            writer
            for each in direct[:_WIDE]
            for _, value in outline.data[each][:_WIDE]
            if (writer := value.producer()) in outline.place
        ]
        return list(dict.fromkeys([*direct, *beyond]))

    def _extend(self) -> None:
        """Accept what most speaks for, one pair after the other."""
        while self._heap:
            old, i, j = heapq.heappop(self._heap)
            left, right = self.pairs.left.nodes[i], self.pairs.right.nodes[j]
            if not self.pairs.are_open(left, right):
                continue
            score = self.pairs.evidence(left, right)
            if score < _ENOUGH:
                continue
            if self._heap and -score > self._heap[0][0] and -score > old:
                heapq.heappush(self._heap, (-score, i, j))
                continue
            self.pairs.accept(left, right)
            self._offer_neighbours(left, right)

    def _fill_gaps(self) -> bool:
        """Pair nodes by their order between pairs, as far as nothing speaks against it."""
        found = False
        for ours, theirs in self._gaps():
            mine = [_token(self.pairs.left, node) for node in ours]
            other = [_token(self.pairs.right, node) for node in theirs]
            for block in SequenceMatcher(None, mine, other, autojunk=False).get_matching_blocks():
                for left, right in zip(ours[block.a :][: block.size], theirs[block.b :][: block.size], strict=True):
                    if self.pairs.evidence(left, right) > 0:
                        self.pairs.accept(left, right, "order")
                        self._offer_neighbours(left, right)
                        found = True
        return found

    def _gaps(self) -> Iterator[tuple[list[ir.Node], list[ir.Node]]]:
        """Nodes without counterparts between pairs that are in the same order in both models."""
        order = [
            self.pairs.right.place[self.pairs.partner[n]] if n in self.pairs.partner else -1
            for n in self.pairs.left.nodes
        ]
        kept = _rising(order)
        start, begin = 0, 0
        for end in (*kept, len(order)):
            stop = order[end] if end < len(order) else len(self.pairs.right.nodes)
            ours = [node for node in self.pairs.left.nodes[start:end] if self.pairs.is_open(node)]
            theirs = [node for node in self.pairs.right.nodes[begin:stop] if self.pairs.is_open(node)]
            if ours and theirs:
                yield ours, theirs
            start, begin = end + 1, stop + 1

    def _replace(self) -> bool:
        """Pair nodes of different operators: one in the place of the other, or the last of what computes the same."""
        found = False
        for fitting in (True, False):
            for left in self.pairs.left.nodes:
                if not self.pairs.is_open(left):
                    continue
                ranks = {right: self.pairs.stands_in(left, right, fitting) for right in self._around(left)}
                right = max(ranks, key=ranks.__getitem__, default=None)
                if right is not None and ranks[right] > 0:
                    self.pairs.accept(left, right)
                    self._offer_neighbours(left, right)
                    found = True
            if found:
                break
        return found

    def _around(self, left: ir.Node) -> list[ir.Node]:
        """Nodes without counterparts that read or are read by the counterparts of a node's neighbours."""
        found: dict[ir.Node, None] = {}
        for _, value in self.pairs.left.data[left]:
            if value in self.pairs.values:
                found |= {node: None for node, _ in self.pairs.right.users.get(self.pairs.values[value], ())}
        for value in left.outputs:
            if (end := self.pairs.ends.get(value)) is not None and (producer := end.producer()) is not None:
                found[producer] = None
            for user, _ in self.pairs.left.users.get(value, ()):
                if user in self.pairs.partner:
                    found |= {
                        node: None
                        for _, each in self.pairs.right.data[self.pairs.partner[user]]
                        if (node := each.producer()) in self.pairs.right.place
                    }
        return [node for node in found if self.pairs.is_open(node)]


def _told(pairs: Pairing) -> Alignment:
    values = {one.name: two.name for one, two in pairs.ends.items() if one.name and two.name}
    reshaped: dict[str, str] = {}
    taken = set(values.values())
    for one, two in pairs.values.items():
        if one.name and two.name and one.name not in values and two.name not in taken:
            fits = _boxed(one, two) or may_be_equal(one, two) is not False
            (values if fits else reshaped)[one.name] = two.name
    taken |= set(values.values())
    known = pairs.left.graph.initializers, pairs.right.graph.initializers
    stored = [(name, other) for name, other in pairs.given.items() if name in known[0] and other in known[1]]
    for left in pairs.left.graph:
        right = pairs.partner.get(left)
        if right is None or kind(left) != kind(right):
            continue
        mine, theirs = pairs.left.weights[left], pairs.right.weights[right]
        stored += [
            (one.name or "", two.name or "")
            for (at, one), (place, two) in zip(mine, theirs, strict=False)
            if at == place and dims_of(one) == dims_of(two) and "constant" not in (kind_of(one), kind_of(two))
        ]
    for name, other in stored:
        if name not in values and other not in taken:
            values[name] = other
            taken.add(other)
    nodes = [
        Pair(left, pairs.partner.get(left), _how(pairs, left) if left in pairs.partner else "alone")
        for left in pairs.left.graph
    ]
    nodes += [Pair(None, node, "alone") for node in pairs.right.graph if node not in pairs.partner]
    return Alignment(values, reshaped, pairs.absorbed, tuple(nodes))


def _how(pairs: Pairing, left: ir.Node) -> How:
    named = pairs.left.names[left] & pairs.right.names[pairs.partner[left]]
    return "name" if named and pairs.trusted else pairs.how[left]


def _token(outline: Outline, node: ir.Node) -> Hashable:
    dims = dims_of(node.outputs[0]) if node.outputs else None
    shapes = tuple(dims_of(value) for _, value in outline.weights[node] if kind_of(value) != "constant")
    return (*kind(node), None if dims is None else len(dims), shapes)


def _boxed(left: ir.Value, right: ir.Value) -> bool:
    """Whether one has no axes and the other a single one of size 1."""
    return {dims_of(left), dims_of(right)} == {(), (1,)}


def _rising(numbers: Sequence[int]) -> list[int]:
    """Indices of a longest strictly rising subsequence of the numbers that are not negative."""
    tails: list[int] = []
    ends: list[int] = []
    before: dict[int, int] = {}
    for index, number in enumerate(numbers):
        if number < 0:
            continue
        low = bisect_left(tails, number)
        if low:
            before[index] = ends[low - 1]
        if low == len(tails):
            tails.append(number)
            ends.append(index)
        else:
            tails[low], ends[low] = number, index
    found = ends[-1:]
    while found and found[-1] in before:
        found.append(before[found[-1]])
    return found[::-1]
