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

Order is proof where the network runs the blocks one after another, for then both orders agree, and where the block
before or after it in its container is beyond doubt and is what it reads or is read by (the normalisation behind a
convolution). Of parallel blocks of equal shapes that nothing else tells apart, the counters alone decide, and a warning
names them.
"""

from __future__ import annotations

import hashlib
import re
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Final

from graphkit.errors import FormatError, ParameterError
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.flow import Flow
from graphkit.frameworks.mxnet.weights import WEIGHTS, misfits
from graphkit.ops.spec import ints

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from graphkit.ops.mxgraph import MxGraph, MxNode

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["is_structural", "match"]

_NUMBERS: Final = re.compile(r"\d+")
_UNFUSED: Final = re.compile(r"_unfused\.(\d+)\.(?:(l|r)_cell\.)?(\w+)$")
"""Where a recurrent layer's parameters would be if it were made of cells: what Gluon writes in place of their names."""


def is_structural(graph: MxGraph, names: Collection[str]) -> bool:
    """Whether a file names its arrays otherwise than the symbol names its variables, all of them."""
    return bool(names) and {node.name for node in graph.variables()}.isdisjoint(names)


def match(graph: MxGraph, arrays: Arrays, fed: Collection[str], label: str, warn: Callable[[str], None]) -> Arrays:
    """The arrays of a file under the names of the symbol's variables; as they are if the file names no blocks either.

    Args:
        graph: The symbol.
        arrays: The arrays, in the order of the file.
        fed: Names of variables that are inputs.
        label: What to call the file.
        warn: Receives what was matched by order.

    Raises:
        ParameterError: The arrays do not fit the symbol, or fit it in more than one way.
    """
    weights = {name for name, places in _places(graph).items() if any(slot in WEIGHTS for _, slot in places)}
    parameters = [
        node.name
        for node in graph.variables()
        if node.name not in fed and (node.name in weights or "__lr_mult__" in node.hidden)  # Gluon's variables have it
    ]
    if (renamed := _by_prefix(parameters, arrays)) is not None:
        return {name: arrays[key] for name, key in renamed.items()}
    if not any("." in key for key in arrays):
        return arrays  # of another network
    return _Match(graph, {_plain(key): array for key, array in arrays.items()}, parameters, label).result(warn)


def _by_prefix(parameters: Sequence[str], arrays: Collection[str]) -> dict[str, str] | None:
    """Name in the file by variable, where only what all of them begin with differs, as in files of ``save_params``."""
    ours, theirs = _unprefixed(parameters), _unprefixed(arrays)
    return {name: theirs[rest] for rest, name in ours.items()} if ours.keys() == theirs.keys() else None


def _unprefixed(names: Collection[str]) -> dict[str, str]:
    first, last = min(names, default=""), max(names, default="")
    length = first.rfind("_", 0, _shared(first, last)) + 1
    return {name[length:]: name for name in names}


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """How many items two sequences begin with in common."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(left), len(right)))


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
        leaves = {_leaf(key) for key in arrays}
        self._kinds = {name: _kind(name, leaves) for name in parameters}
        self._in_order = _is_in_order(list(arrays))
        self._found: dict[str, str] = {}
        """Name in the file by variable."""
        self._peers: dict[str, list[str]] = {}
        """The variables that are like a variable in kind and shape, itself included, if their arrays differ."""

    def result(self, warn: Callable[[str], None]) -> Arrays:
        """The arrays by variable; what order decided is warned of."""
        for keys, names in self._groups():
            self._assign(keys, names)
        blocks = self._blocks()
        ordered = [name for name, peers in self._peers.items() if len(peers) > 1]
        if ordered:
            certain = self._certain(blocks)
            doubtful = [name for name in ordered if _prefix(name, self._kinds[name]) not in certain]
            told = ""
            if doubtful:
                pairs = [f"{self._found[name]!r} is taken for {name!r}" for name in doubtful]
                told = (
                    f" For {len(doubtful)} of them, in layers that run side by side, nothing else does: "
                    f"{_few(pairs, 3)}. Compare outputs with those of the model that was saved."
                )
            warn(
                f"{self._label} was written by save_parameters, which does not say what the symbol calls its arrays. "
                f"{len(ordered)} of {len(self._arrays)} have the kind and shape of others, and are told apart by their "
                f"order.{told} export() writes files that need no matching."
            )
        return {name: self._arrays[key] for name, key in self._found.items()}

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
            leaf = _leaf(key)
            alike.setdefault((leaf if leaf in self._kinds.values() else "", array.shape), []).append(key)
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
        """Variables in the order in which their blocks were made, as their names tell or, failing that, the network."""
        if not self._kinds[names[0]]:
            raise self._error(f"{names[0]!r} and {names[1]!r} have the same shape, and no names that tell them apart")
        before: dict[str, set[str]] = {name: set() for name in names}
        for left, right in combinations(names, 2):
            by_name, by_flow = _compare(left, right), self._flow.compare(left, right)
            if by_name * by_flow < 0:
                first = left if by_name < 0 else right
                raise self._error(
                    f"{left!r} and {right!r} are of one kind and shape, and by its name {first!r} is the first of "
                    f"them, but the network computes with the other before"
                )
            if order := by_name or by_flow:
                before[right if order < 0 else left].add(left if order < 0 else right)
        found: list[str] = []
        while before:
            first, *others = [name for name, earlier in before.items() if not earlier] or list(before)
            if others:
                raise self._error(
                    f"{self._shown(keys[len(found)])} is for {first!r} or {others[0]!r}: they are of one kind and "
                    f"shape, and neither their names nor the network tell which comes first"
                )
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
            block, prefix = key.rpartition(".")[0], _prefix(names[key], self._kinds[names[key]])
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
            held.setdefault(_prefix(name, self._kinds[name]), []).append(name)
        chained = [(a, b) for a, b in pairwise(blocks.values()) if self._before(held[b]) == {a}]
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
        """Whether the network runs a parameter before or after each other one like it that may be meant as well."""
        return all(
            peer == name or _prefix(peer, self._kinds[peer]) in certain or self._flow.compare(name, peer)
            for peer in self._peers[name]
        )

    def _before(self, names: Sequence[str]) -> set[str]:
        """Prefixes of the blocks that are nearest before one, whose parameters are given."""
        own = set(names)
        found = {other for name in names for other in self._flow.before(name)} - own
        return {_prefix(name, self._kinds[name]) for name in found}

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


def _plain(key: str) -> str:
    """The name in the file of a recurrent layer's parameter as if it were named as the layer has it."""
    return _UNFUSED.sub(lambda found: f"{found[2] or 'l'}{found[1]}_{found[3]}", key)


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _kind(name: str, leaves: Collection[str]) -> str:
    """The longest of the names that parameters have in their blocks that a variable's ends with; empty for none."""
    return max((leaf for leaf in leaves if name == leaf or name.endswith(f"_{leaf}")), key=len, default="")


def _prefix(name: str, kind: str) -> str:
    return name.removesuffix(kind)


def _compare(left: str, right: str) -> int:
    """-1 where counters say that the left name was made first, 1 for the right one, 0 where they cannot be compared."""
    if _NUMBERS.sub("#", left) != _NUMBERS.sub("#", right):
        return 0
    ours, theirs = ([int(number) for number in _NUMBERS.findall(name)] for name in (left, right))
    return (ours > theirs) - (ours < theirs)


def _is_in_order(keys: Sequence[str]) -> bool:
    """Whether blocks stand together, and numbered ones in the order of their numbers, as in files of Python 3.6 on."""
    closed: set[str] = set()
    last: list[str] = []
    for key in keys:
        path = key.split(".")[:-1]
        shared = _shared(last, path)
        closed.update(".".join(last[: i + 1]) for i in range(shared, len(last)))
        if any(".".join(path[: i + 1]) in closed for i in range(shared, len(path))):
            return False
        numbers = [int(each[shared]) for each in (last, path) if len(each) > shared and each[shared].isdecimal()]
        if numbers != sorted(numbers):
            return False
        last = path
    return True


def _few(items: Sequence[str], most: int) -> str:
    return ", ".join([*items[:most], *(["…"] if len(items) > most else [])])
