"""Grouping nodes by module scope, so that a group can be drawn as one frame or folded into one box.

A module that is called in several places (one ReLU used twice in a block) gives several groups. A group is *closed*:
no path leaves it and comes back, so a box that stands for it makes no cycle and its frame encloses nothing foreign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Reach"]


class Reach:
    """Which of a graph's nodes reach which, as bit sets.

    Args:
        size: Number of nodes; they are numbered from 0.
        edges: (tail, head) pairs.
    """

    def __init__(self, size: int, edges: Iterable[tuple[int, int]]) -> None:
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from(range(size))
        graph.add_edges_from(edges)
        dag = nx.condensation(graph)
        order = list(nx.topological_sort(dag))
        member = {part: sum(1 << node for node in dag.nodes[part]["members"]) for part in order}
        below = dict.fromkeys(order, 0)
        above = dict.fromkeys(order, 0)
        for part in order:
            for head in dag.successors(part):
                above[head] |= above[part] | member[part]
        for part in reversed(order):
            for head in dag.successors(part):
                below[part] |= below[head] | member[head]
        part_of = dag.graph["mapping"]
        self.below = [below[part_of[node]] | member[part_of[node]] for node in range(size)]
        self.above = [above[part_of[node]] | member[part_of[node]] for node in range(size)]
        self.near = [0] * size
        """Direct neighbours."""
        for tail, head in graph.edges:
            self.near[tail] |= 1 << head
            self.near[head] |= 1 << tail
        self.rank = {node: rank for rank, part in enumerate(order) for node in dag.nodes[part]["members"]}

    def closed_groups(self, nodes: Sequence[int]) -> list[list[int]]:
        """Partition nodes into as few closed groups as a greedy merge finds, in order of their first nodes.

        Connected nodes are put together first, then groups that stay closed when joined.
        """
        groups: list[_Group] = []
        for part in self._components(nodes):
            for piece in [part] if self._closed(part) else self._split(part):
                self._merge(groups, piece)
        return sorted(sorted(group.nodes) for group in groups)

    def _components(self, nodes: Sequence[int]) -> list[_Group]:
        left = set(nodes)
        inside = sum(1 << node for node in nodes)
        found = []
        for start in nodes:
            if start not in left:
                continue
            left.discard(start)
            part, stack = [start], [start]
            while stack:
                fresh = [node for node in _bits(self.near[stack.pop()] & inside) if node in left]
                left.difference_update(fresh)
                part.extend(fresh)
                stack.extend(fresh)
            found.append(self._group(part))
        return found

    def _group(self, nodes: list[int]) -> _Group:
        group = _Group(nodes, 0, 0, 0)
        for node in nodes:
            group.mask |= 1 << node
            group.below |= self.below[node]
            group.above |= self.above[node]
        return group

    @staticmethod
    def _closed(group: _Group) -> bool:
        return not group.below & group.above & ~group.mask

    def _split(self, group: _Group) -> list[_Group]:
        pieces: list[_Group] = []
        for node in sorted(group.nodes, key=lambda node: (self.rank[node], node)):
            self._merge(pieces, self._group([node]))
        return pieces

    def _merge(self, groups: list[_Group], piece: _Group) -> None:
        for index in range(len(groups) - 1, -1, -1):
            union = groups[index].joined(piece)
            if self._closed(union):
                groups[index] = union
                return
        groups.append(piece)


class _Group:
    __slots__ = ("above", "below", "mask", "nodes")

    def __init__(self, nodes: list[int], mask: int, below: int, above: int) -> None:
        self.nodes = nodes
        self.mask = mask
        self.below = below
        self.above = above

    def joined(self, other: _Group) -> _Group:
        return _Group(
            self.nodes + other.nodes, self.mask | other.mask, self.below | other.below, self.above | other.above
        )


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
