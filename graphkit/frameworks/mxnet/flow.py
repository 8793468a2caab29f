"""In which order a symbol computes with its parameters."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from graphkit.ops.mxgraph import MxGraph

__all__ = ["Flow"]


class Flow:
    """The paths between the nodes that read parameters.

    Args:
        graph: The symbol.
        parameters: Names of the variables that are parameters.
    """

    def __init__(self, graph: MxGraph, parameters: Collection[str]) -> None:
        index = {id(node): i for i, node in enumerate(graph.nodes)}
        self._inputs = [[index[id(ref.node)] for ref in node.inputs] for node in graph.nodes]
        held: dict[int, frozenset[str]] = {}
        """Parameters that nodes hold which compute with nothing else: packed ones, and the parameters themselves."""
        self._read: list[frozenset[str]] = []
        above: list[int] = []
        """A bit for each node that a node depends on, itself included."""
        self._readers: dict[str, set[int]] = defaultdict(set)
        self._reading: dict[str, int] = defaultdict(int)
        """A bit for each node that reads a parameter."""
        self._earlier: dict[str, int] = defaultdict(int)
        """A bit for each node that those depend on, themselves not included."""
        for i, node in enumerate(graph.nodes):
            sources = self._inputs[i]
            earlier = _union(above[source] for source in sources)
            above.append(earlier | 1 << i)
            packed = frozenset().union(*(held.get(source, frozenset()) for source in sources))
            if node.is_variable and node.name in parameters:
                held[i] = frozenset([node.name])
            elif packed and all(source in held for source in sources):
                held[i] = packed
            if i in held or not packed:
                self._read.append(frozenset())
            else:
                self._read.append(packed)
                for name in packed:
                    self._readers[name].add(i)
                    self._reading[name] |= 1 << i
                    self._earlier[name] |= earlier
        self._held = held

    def leads(self, first: str, then: str) -> bool:
        """Whether what is computed with one parameter goes into what is computed with another."""
        return bool(self._reading[first] & self._earlier[then])

    def compare(self, left: str, right: str) -> int:
        """-1 where the left one is used first, 1 where the right one is, 0 where neither."""
        return self.leads(right, left) - self.leads(left, right)

    def before(self, name: str) -> set[str]:
        """The parameters of the nodes that are nearest before those that read a parameter."""
        found: set[str] = set()
        stack = [source for reader in self._readers[name] for source in self._inputs[reader]]
        seen: set[int] = set()
        while stack:
            node = stack.pop()
            if node in seen or node in self._held:
                continue
            seen.add(node)
            if self._read[node]:
                found |= self._read[node]
            else:
                stack.extend(self._inputs[node])
        return found


def _union(bits: Iterable[int]) -> int:
    found = 0
    for each in bits:
        found |= each
    return found
