"""Parameters that Gluon's ``save_parameters`` wrote, matched with the variables of a symbol.

Gluon names a parameter twice. In the symbol it has the prefixes of the blocks that it was created in, counted by kind
(``resnetv10_stage1_conv0_weight``); in the file it has the attributes that lead to it, in the order in which the blocks
were registered (``features.4.0.body.0.weight``). Neither name follows from the other, so they are matched by

1. the last part of the name: ``weight`` goes to ``…_weight``;
2. the shape, as far as the variable declares it and its operators imply it;
3. order, among those that are alike in both. Blocks are registered as they are created, and counted as they are
   created, so the order of the file is that of the counters. Where the kinds of the blocks differ, so that counters
   cannot be compared, it is that in which the network runs them. Both orders must agree wherever both exist.

Then the parameters of one block must have gone to variables of one prefix. What is ambiguous after that is refused.

Where blocks have the names of their attributes as prefixes, these decide, and order must not contradict them.

Order is proof where the network runs blocks one after another and the file says the same: by their numbers in a
sequence (``features.4``, ``features.5``) or in their attributes (``conv1``, ``conv2``). So it is where a block stands
next to one beyond doubt in a sequence, and reads it or is read by it (the normalisation behind a convolution). Where
only one sign tells the order, as for layers of equal shapes that run side by side, a warning names them.
"""

from __future__ import annotations

import hashlib
from itertools import combinations, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from graphkit.errors import FormatError, ParameterError
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.block_names import (
    are_neighbours,
    by_attributes,
    by_prefix,
    compare_counters,
    in_a_row,
    in_order,
    kind_of,
    leaf,
    plain,
)
from graphkit.frameworks.mxnet.flow import Flow
from graphkit.frameworks.mxnet.weights import WEIGHTS, misfits
from graphkit.ops.codec import ints
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from graphkit.ops.mxgraph import MxGraph, MxNode

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["Matched", "is_structural", "match"]


def is_structural(graph: MxGraph, names: Collection[str]) -> bool:
    """Whether a file names its arrays otherwise than the symbol names its variables, all of them."""
    return bool(names) and {node.name for node in graph.variables()}.isdisjoint(names)


class Matched(NamedTuple):
    """Arrays with the symbol's names for them.

    Attributes:
        arrays: The arrays by variable.
        ordered: The variables that have the kind and shape of others, so that it is order that tells them apart.
        doubtful: The name in the file of those of them that only one sign of the order tells apart, by variable.
    """

    arrays: Arrays
    ordered: tuple[str, ...] = ()
    doubtful: Mapping[str, str] = MappingProxyType({})

    def warning(self, label: str) -> str:
        """What to tell of order as a proof; empty where none was needed."""
        if not self.ordered:
            return ""
        told = ""
        if self.doubtful:
            pairs = [f"{key!r} is taken for {name!r}" for name, key in self.doubtful.items()]
            told = (
                f" For {len(pairs)} of them only one sign tells the order: {several(pairs, 3)}. Compare outputs with "
                f"those of the model that was saved."
            )
        return (
            f"{label} was written by save_parameters, which does not say what the symbol calls its arrays. "
            f"{len(self.ordered)} of {len(self.arrays)} have the kind and shape of others, and are told apart by their "
            f"order.{told} export() writes files that need no matching."
        )


def match(graph: MxGraph, arrays: Arrays, fed: Collection[str], label: str) -> Matched:
    """Find the arrays of a file under the names of the symbol's variables; as they are if the file names no blocks.

    Args:
        graph: The symbol.
        arrays: The arrays, in the order of the file.
        fed: Names of variables that are inputs.
        label: What to call the file.

    Raises:
        ParameterError: The arrays do not fit the symbol, or fit it in more than one way.
    """
    weights = {name for name, places in _places(graph).items() if any(slot in WEIGHTS for _, slot in places)}
    parameters = [
        node.name
        for node in graph.variables()
        if node.name not in fed and (node.name in weights or "__lr_mult__" in node.hidden)  # Gluon's variables have it
    ]
    if (renamed := by_prefix(parameters, arrays)) is not None:
        return Matched({name: arrays[key] for name, key in renamed.items()})
    if not any("." in key for key in arrays):
        return Matched(arrays)  # of another network
    return _Match(graph, {plain(key): array for key, array in arrays.items()}, parameters, label).result()


class _Match:
    """Matches arrays and variables.

    Args:
        graph: The symbol.
        arrays: The arrays of the file, in its order.
        parameters: The variables that need a value.
        label: What to call the file.
    """

    def __init__(self, graph: MxGraph, arrays: Arrays, parameters: Sequence[str], label: str) -> None:
        self._arrays = arrays
        self._label = label
        self._places = _places(graph)
        self._variables = {node.name: node for node in graph.variables()}
        self._unknown = -1 if graph.np_shape else 0
        self._flow = Flow(graph, parameters)
        leaves = {leaf(key) for key in arrays}
        self._kinds = {name: kind_of(name, leaves) for name in parameters}
        self._in_order = in_order(list(arrays))
        self._rank = {key: i for i, key in enumerate(arrays)}
        self._found: dict[str, str] = {}
        """Name in the file by variable."""
        self._named: set[str] = set()
        """The variables whose blocks have the names of their attributes."""
        self._peers: dict[str, list[str]] = {}
        """The variables that are like a variable in kind and shape, itself included, if their arrays differ."""

    def result(self) -> Matched:
        for keys, names in self._groups():
            self._assign(keys, names)
        blocks = self._blocks()
        ordered = [name for name, peers in self._peers.items() if len(peers) > 1]
        certain = self._certain(blocks) if ordered else set()
        return Matched(
            {name: self._arrays[key] for name, key in self._found.items()},
            tuple(ordered),
            {name: self._found[name] for name in ordered if self._prefix(name) not in certain},
        )

    def _error(self, why: str) -> ParameterError:
        return ParameterError(
            f"{self._label} has names of save_parameters ({next(iter(self._arrays))!r}, …), which cannot be matched "
            f"with the symbol: {why}. Give the file that belongs to the symbol, or save both with export()."
        )

    def _groups(self) -> list[tuple[list[str], list[str]]]:
        """Arrays and variables that may belong together, in groups that have nothing to do with each other."""
        import networkx as nx

        alike: dict[tuple[str, tuple[int, ...]], list[str]] = {}
        for key, array in self._arrays.items():
            own = leaf(key)
            alike.setdefault((own if own in self._kinds.values() else "", array.shape), []).append(key)
        together = nx.Graph()
        together.add_nodes_from([*alike, *self._kinds])
        for name, kind in self._kinds.items():
            together.add_edges_from((name, each) for each in alike if each[0] == kind and self._fits(name, each[1]))
        groups = []
        for members in nx.connected_components(together):
            names = [name for name in self._kinds if name in members]
            inside = {key for each in alike if each in members for key in alike[each]}
            keys = [key for key in self._arrays if key in inside]
            if not names:
                raise self._error(f"{self._shown(keys[0])} fits none of its variables")
            if not keys:
                raise self._error(f"nothing fits its variable {names[0]!r}")
            groups.append((keys, names))
        return groups

    def _fits(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether a variable may have a shape, as far as is known."""
        declared = self._variables[name].hidden.get("__shape__", "None")
        try:
            dims = ints(declared) if declared != "None" else ()
            if dims and len(dims) != len(shape):
                return False
            if any(dim not in (self._unknown, size) for dim, size in zip(dims, shape, strict=False)):
                return False
            return not any(misfits(node, None, {slot: shape}) for node, slot in self._places.get(name, ()))
        except (FormatError, KeyError, ValueError):
            return True  # said where the node is read

    def _assign(self, keys: list[str], names: list[str]) -> None:
        """Match the members of a group."""
        different = self._different(keys)
        if len(keys) > len(names):  # a shared parameter stands under each of its blocks
            keys = different
        if len(keys) != len(names):
            raise self._error(
                f"it has {len(keys)} arrays like {self._shown(keys[0])} and {len(names)} variables for them"
            )
        if len(different) > 1:
            if not self._in_order:
                raise self._error(
                    "its arrays are not in the order of the blocks, as files of Python before 3.6 are not"
                )
            names = self._sorted(names, keys)
        for name, key in zip(names, keys, strict=True):
            if not self._fits(name, self._arrays[key].shape):
                raise self._error(f"by the order {self._shown(key)} is for {name!r}, and does not fit it")
            self._found[name] = key
            if len(different) > 1 or len(names) == 1:
                self._peers[name] = names

    def _different(self, keys: Sequence[str]) -> list[str]:
        """The keys of arrays that no key before has."""
        seen: dict[tuple[object, ...], str] = {}
        for key in keys:
            array = self._arrays[key]
            seen.setdefault((array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest()), key)
        return list(seen.values())

    def _sorted(self, names: Sequence[str], keys: Sequence[str]) -> list[str]:
        """The variables in the order of the arrays that are theirs."""
        if not self._kinds[names[0]]:
            raise self._error(f"{names[0]!r} and {names[1]!r} have the same shape, and no names that tell them apart")
        named = by_attributes({name: self._prefix(name) for name in names}, keys)
        order = self._ordered(names)
        if named is None:
            if isinstance(order, str):
                raise self._error(f"{self._shown(keys[0])} and others of its kind are for {order}")
            return order
        if order != named and not isinstance(order, str):
            place = next(i for i, name in enumerate(order) if name != named[i])
            raise self._error(
                f"by its place {self._shown(keys[place])} is for {order[place]!r}, and by its name for {named[place]!r}"
            )
        self._named.update(names)
        return named

    def _ordered(self, names: Sequence[str]) -> list[str] | str:
        """Variables in the order in which their blocks were made, as counters tell or, failing that, the network.

        Where neither does, or one contradicts the other, what is in doubt.
        """
        before: dict[str, set[str]] = {name: set() for name in names}
        for left, right in combinations(names, 2):
            by_name, by_flow = compare_counters(left, right), self._flow.compare(left, right)
            if by_name * by_flow < 0:
                first, other = (left, right) if by_name < 0 else (right, left)
                return f"{first!r} first, as its name says, or for {other!r}, which the network computes with before it"
            if order := by_name or by_flow:
                before[right if order < 0 else left].add(left if order < 0 else right)
        found: list[str] = []
        while before:
            first, *others = [name for name, earlier in before.items() if not earlier] or list(before)
            if others:
                return f"{first!r} or {others[0]!r} first, which neither their names nor the network tell"
            found.append(first)
            del before[first]
            for earlier in before.values():
                earlier.discard(first)
        return found

    def _blocks(self) -> dict[str, str]:
        """Prefix of the variables by block of the file, in its order; each block has to have one of its own."""
        blocks: dict[str, str] = {}
        names = {key: name for name, key in self._found.items() if name in self._peers and self._kinds[name]}
        for key in self._arrays:
            if key not in names:
                continue
            block, prefix = key.rpartition(".")[0], self._prefix(names[key])
            if blocks.setdefault(block, prefix) != prefix:
                raise self._error(
                    f"the arrays of its block {block!r} would go to {blocks[block]!r} and to {prefix!r}, which are "
                    f"two blocks"
                )
        if len(set(blocks.values())) < len(blocks):
            both = next(block for block, prefix in blocks.items() if list(blocks.values()).count(prefix) > 1)
            raise self._error(f"the arrays of several of its blocks, such as {both!r}, would go to {blocks[both]!r}")
        return blocks

    def _certain(self, blocks: Mapping[str, str]) -> set[str]:
        """Prefixes of the blocks that more than the order of names tells apart from others."""
        held: dict[str, list[str]] = {}
        for name in self._peers:
            held.setdefault(self._prefix(name), []).append(name)
        chained = [
            (blocks[left], blocks[right])
            for left, right in pairwise(blocks)
            if are_neighbours(left, right) and self._before(held[blocks[right]]) == {blocks[left]}
        ]
        certain: set[str] = set()
        size = -1
        while len(certain) > size:
            size = len(certain)
            certain |= {
                prefix
                for prefix, names in held.items()
                if prefix not in certain and any(self._stands_out(name, certain) for name in names)
            }
            for a, b in (*chained, *reversed(chained)):
                if {a, b} & certain:
                    certain |= {a, b}
        return certain

    def _stands_out(self, name: str, certain: Collection[str]) -> bool:
        """Whether more than counters, or more than the network, tells a parameter from others of its kind."""
        return name in self._named or all(
            peer == name or self._prefix(peer) in certain or self._in_a_row(name, peer) for peer in self._peers[name]
        )

    def _in_a_row(self, left: str, right: str) -> bool:
        """Whether the network computes with one after the other, and the numbers of blocks in the file say the same."""
        if not self._flow.compare(left, right):
            return False
        ours, theirs = self._found[left], self._found[right]
        return in_a_row(ours, theirs) or compare_counters(ours, theirs) == (
            -1 if self._rank[ours] < self._rank[theirs] else 1
        )

    def _before(self, names: Sequence[str]) -> set[str]:
        """Prefixes of the blocks that are nearest before one, whose parameters are given."""
        own = set(names)
        found = {other for name in names for other in self._flow.before(name)} - own
        return {self._prefix(name) for name in found}

    def _prefix(self, name: str) -> str:
        """What a variable's name has of its block's."""
        return name.removesuffix(self._kinds[name])

    def _shown(self, key: str) -> str:
        return f"{key!r} ({'×'.join(map(str, self._arrays[key].shape)) or 'scalar'})"


def _places(graph: MxGraph) -> dict[str, list[tuple[MxNode, str]]]:
    """The nodes that read each variable, and what they call it."""
    found: dict[str, list[tuple[MxNode, str]]] = {}
    for node in graph.nodes:
        try:
            names = () if node.is_variable else schema.arguments(node.op, node.attrs)
        except FormatError:
            continue  # said where the node is read
        for slot, ref in zip(names, node.inputs, strict=False):
            if ref.node.is_variable:
                found.setdefault(ref.node.name, []).append((node, slot))
    return found
