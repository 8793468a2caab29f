"""What is surely the same in two models: computations, operators by their arrays, operators by scaled arrays."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.ir.dims import dims_of
from graphkit.ir.outline import LINEAR
from graphkit.ir.pairing import kind
from graphkit.ir.params import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ir.outline import Outline
    from graphkit.ir.pairing import Pairing

__all__ = ["AFFINE", "anchor", "unfold"]

_TRUSTED: Final = 0.9
"""Share of sure pairs that have to confirm their names if names are to count."""
_SCALED: Final = 1e-6
"""How far the cosine of two channels may be from 1 if one is a multiple of the other."""
_ROWS: Final = 128
"""Operators that are compared with all others at a time, of which there may be thousands."""
AFFINE: Final = frozenset(("Add", "BatchNormalization", "Div", "Mul", "Sub"))
"""Operators that exporters fold into the weights of a linear one that they follow."""


def anchor(pairs: Pairing, inputs: Sequence[tuple[ir.Value, ir.Value]]) -> None:
    """Pair what is surely the same.

    Args:
        pairs: Where to note it.
        inputs: Inputs of the two models that are each other.
    """
    _identify(pairs, inputs)
    _pair_by_arrays(pairs)
    _recognise_scaled(pairs)
    _weigh_names(pairs)


def _identify(pairs: Pairing, inputs: Sequence[tuple[ir.Value, ir.Value]]) -> None:
    """Pair what computes the same from the inputs on."""
    numbers: dict[Hashable, int] = {}
    ins: dict[ir.Value, Hashable] = {value: ("input", i) for i, pair in enumerate(inputs) for value in pair}
    outs: dict[ir.Value, Hashable] = {v: ("output", i) for i, pair in enumerate(pairs.ends.items()) for v in pair}
    for outline in (pairs.left, pairs.right):
        above = outline.identities(ins, numbers)
        below = outline.purposes(outs, numbers)
        pairs.same |= {node: (above[node], below[node]) for node in outline.nodes}
    classes: dict[int, list[ir.Node]] = {}
    for node in pairs.right.nodes:
        classes.setdefault(pairs.same[node][0], []).append(node)
    groups: dict[int, list[ir.Node]] = {}
    for node in pairs.left.nodes:
        groups.setdefault(pairs.same[node][0], []).append(node)
    for number, group in groups.items():
        _pair_equal(pairs, group, classes.get(number, []))


def _pair_equal(pairs: Pairing, group: list[ir.Node], others: list[ir.Node]) -> None:
    """Pair nodes that all compute the same: those of the same use, then of the same name, then in order."""
    rules: tuple[Callable[[ir.Node], Hashable], ...] = (
        lambda node: pairs.same[node][1],
        lambda node: node.outputs[0].name if node.outputs else node.name,
        lambda _node: None,
    )
    for rule in rules:
        waiting: dict[Hashable, list[ir.Node]] = {}
        for right in reversed(others):
            if pairs.is_open(right):
                waiting.setdefault(rule(right), []).append(right)
        for left in group:
            if pairs.is_open(left) and (found := waiting.get(rule(left))):
                pairs.accept(left, found.pop())


def _pair_by_arrays(pairs: Pairing) -> None:
    """Pair operators that alone read certain arrays."""
    keys: list[dict[Hashable, list[ir.Node]]] = []
    for outline in (pairs.left, pairs.right):
        found: dict[Hashable, list[ir.Node]] = {}
        for node in outline.nodes:
            arrays = tuple((position, outline.print(v)) for position, v in outline.weights[node] if _telling(v))
            if arrays:
                found.setdefault((*kind(node), arrays), []).append(node)
        keys.append(found)
    for key, group in keys[0].items():
        others = keys[1].get(key, [])
        if len(group) == len(others) == 1 and pairs.are_open(group[0], others[0]):
            pairs.accept(group[0], others[0])


def _recognise_scaled(pairs: Pairing) -> None:
    """Pair linear operators whose weights differ by a scaling of each channel, such as a folded normalisation."""
    rows: list[dict[Hashable, list[tuple[ir.Node, npt.NDArray[np.float64]]]]] = [{}, {}]
    for found, outline in zip(rows, (pairs.left, pairs.right), strict=True):
        for node in outline.nodes:
            if pairs.is_open(node) and (direction := outline.direction(node)) is not None:
                dims = dims_of(dict(outline.weights[node])[1])
                found.setdefault((*kind(node), dims, direction.shape), []).append((node, direction))
    for key, group in rows[0].items():
        if key not in rows[1]:
            continue
        ours, theirs = np.stack([row for _, row in group]), np.stack([row for _, row in rows[1][key]])
        alike: list[tuple[int, int]] = []
        for start in range(0, len(ours), _ROWS):
            cosines = np.einsum("ack,bck->abc", ours[start : start + _ROWS], theirs)
            hits = np.argwhere((np.abs(cosines) > 1 - _SCALED).sum(2) >= 2)
            alike += [(start + int(i), int(j)) for i, j in hits]
        here, there = Counter(i for i, _ in alike), Counter(j for _, j in alike)
        for i, j in alike:
            if here[i] == there[j] == 1:
                _pair_chains(pairs, group[i][0], rows[1][key][j][0])


def _pair_chains(pairs: Pairing, left: ir.Node, right: ir.Node) -> None:
    """Pair two linear operators, or one with the last scaling or shift of the other that it holds."""
    mine, theirs = _affine(pairs, pairs.left, left), _affine(pairs, pairs.right, right)
    extra = len(mine) - len(theirs)
    if extra > 0:
        pairs.accept(mine[extra], right)
        pairs.absorbed |= dict.fromkeys(mine[:extra], right)
    elif extra < 0:
        pairs.accept(left, theirs[-extra])
        pairs.absorbed |= dict.fromkeys(theirs[:-extra], left)
    else:
        pairs.accept(left, right)


def _affine(pairs: Pairing, outline: Outline, node: ir.Node) -> list[ir.Node]:
    """A node and the scalings and shifts that follow it one by one, as long as nothing else reads between them."""
    chain = [node]
    while True:
        users = outline.users.get(chain[-1].outputs[0], ())
        if len(users) != 1 or chain[-1].outputs[0].is_graph_output():
            return chain
        after = users[0][0]
        if not pairs.is_open(after) or after.op_type not in AFFINE or len(outline.data[after]) != 1:
            return chain
        chain.append(after)


def _weigh_names(pairs: Pairing) -> None:
    """Decide whether names count: not if what is surely the same has the names of something else."""
    owned = Counter(name for names in pairs.right.names.values() for name in names)
    shared = told = 0
    for left in pairs.how:
        names = pairs.left.names[left]
        if any(name in owned for name in names):
            told += 1
            shared += bool(names & pairs.right.names[pairs.partner[left]])
    pairs.trusted = shared >= _TRUSTED * told


def unfold(pairs: Pairing) -> None:
    """Pair a linear operator whose weights hold what follows it in the other model with the last node of that."""
    for left in pairs.left.nodes:
        right = pairs.partner.get(left)
        if right is None or left.op_type not in LINEAR or kind(left) != kind(right):
            continue
        one, two = dict(pairs.left.weights[left]).get(1), dict(pairs.right.weights[right]).get(1)
        if one is None or two is None or pairs.left.print(one) == pairs.right.print(two):
            continue
        mine, theirs = _affine(pairs, pairs.left, left), _affine(pairs, pairs.right, right)
        if (len(mine) > 1) == (len(theirs) > 1):
            continue
        chain, outline, single, other = (
            (mine, pairs.left, right, pairs.right) if len(mine) > 1 else (theirs, pairs.right, left, pairs.left)
        )
        readers = {pairs.partner.get(node) for node, _ in outline.users.get(chain[-1].outputs[0], ())}
        if readers & {node for node, _ in other.users.get(single.outputs[0], ())} or pairs.are_ends(
            chain[-1].outputs[0], single.outputs[0]
        ):
            pairs.forget(left, right)
            _pair_chains(pairs, left, right)


def _telling(value: ir.Value) -> bool:
    """Whether a stored array may tell an operator from others: several floats that are not constants."""
    if value.dtype is None or not value.dtype.is_floating_point() or kind_of(value) == "constant":
        return False
    dims = dims_of(value)
    return dims is not None and any(isinstance(dim, int) and dim > 1 for dim in dims)
