"""Which parameter and buffer of one model is which of another."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING, Final

from graphkit.ir.dims import dims_of, shown
from graphkit.ir.outline import fingerprint
from graphkit.ir.params import alias_of, of_kind
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.alignment import Alignment
    from graphkit.ir.params import Kind

__all__ = ["LISTED", "Parameters"]

LISTED: Final = 5
"""Names that notes on a pairing tell before they count the others."""
"""Names in a sentence; of more, the number is told."""
_AXES: Final = 4
"""Axes of the largest arrays that are looked for with their axes in another order."""


class Parameters:
    """Parameters and buffers of one model and their counterparts of the same kind in another.

    In this order they match

    1. by the name that they have in the model that was converted, where they hold the same numbers;
    2. by their numbers, where these are in either model once;
    3. by either of both where the other model holds them transposed, or with their axes in another order;
    4. by that name although the numbers differ, unless the nodes that read them say otherwise: names may have been
       shifted, and a weight that a normalisation was folded into is no longer what it was;
    5. by the nodes that read them;
    6. by order, where the same operators read as many of the same shape.

    Numbers are compared by some elements: an array may be gigabytes in a mapped file. What is stored in another layout
    (packed, folded) has no counterpart, unless the model says in nodes how it was derived.

    Attributes:
        names: Name in the other model by name.
        orders: For those that the other model holds with their axes in another order, by name, the order that puts
            them into that of this one, as :func:`numpy.transpose` takes it.
        reasons: Why those have none that have none, by name.
        told: Sentences about both.
    """

    def __init__(self, model: ir.Model, other: ir.Model, aligned: Callable[[], Alignment]) -> None:
        """Match them; ``aligned`` is asked for the nodes that are each other where names and numbers do not decide."""
        self.names: dict[str, str] = {}
        self.orders: dict[str, tuple[int, ...]] = {}
        self.reasons: dict[str, str] = {}
        self.told: list[str] = []
        self._aligned = aligned
        kinds: tuple[Kind, ...] = ("parameter", "buffer")
        for kind in kinds:
            self._match(kind, list(of_kind(model, kind)), list(of_kind(other, kind)))

    @cached_property
    def alignment(self) -> Alignment:
        """Which node is which, found when it is first asked for."""
        return self._aligned()

    def _match(self, kind: Kind, ours: list[ir.Value], theirs: list[ir.Value]) -> None:
        pairs: dict[ir.Value, tuple[ir.Value, str]] = {}
        rest, free = list(ours), list(theirs)

        def accept(how: str, found: Iterable[tuple[ir.Value, ir.Value]]) -> None:
            taken = {two for two, _ in pairs.values()}
            for one, two in found:
                if one not in pairs and two not in taken:
                    pairs[one] = two, how
                    taken.add(two)
            rest[:] = [value for value in ours if value not in pairs]
            free[:] = [value for value in theirs if value not in taken]

        prints = {value: fingerprint(value) for value in (*ours, *theirs)}
        namesakes = _namesakes(rest, free)
        accept("name", [pair for pair in namesakes if prints[pair[0]] == prints[pair[1]]])
        accept("equal numbers", _unique(rest, free, prints))
        turned = {(one, two): order for one, two, order in _turned(rest, free, prints)}
        accept("equal numbers, transposed", turned)
        self.orders |= {
            one.name or "": order for (one, two), order in turned.items() if one in pairs and pairs[one][0] is two
        }
        if rest and free:
            accept("name", [pair for pair in _namesakes(rest, free) if self._credible(*pair)])
        if rest and free:
            by_name = {value.name: value for value in free}
            found = [(value, by_name.get(self.alignment.values.get(value.name or ""))) for value in rest]
            accept("the nodes that read them", [(one, two) for one, two in found if two is not None])
        if rest and free:
            accept("order and shape", self._in_order(rest, free))
        self.names |= {one.name or "": two.name or "" for one, (two, _) in pairs.items()}
        reasons = {value.name or "": self._reason(value, theirs) for value in rest}
        self.reasons |= {name: f"{reason} ({detail})" for name, (reason, detail) in reasons.items()}
        self.told += _sentences(kind, pairs, reasons, free, len(ours))

    @cached_property
    def _partners(self) -> dict[ir.Node, ir.Node | None]:
        found: dict[ir.Node, ir.Node | None] = {}
        for pair in self.alignment.nodes:
            if pair.left is not None:
                found[pair.left] = pair.right
            if pair.right is not None:
                found[pair.right] = pair.left
        return found

    def _credible(self, one: ir.Value, two: ir.Value) -> bool:
        """Whether two of the same name and shape, but other numbers, are read by nodes that may be each other."""
        partners = self._partners
        mine, theirs = set(_readers(one)), set(_readers(two))
        if any(partners.get(node) in theirs for node in mine):
            return True
        if any(node in self.alignment.folded for node in (*mine, *theirs)):
            return False
        return not any(partners.get(node) for node in mine) or not any(partners.get(node) for node in theirs)

    def _in_order(self, ours: Sequence[ir.Value], theirs: Sequence[ir.Value]) -> list[tuple[ir.Value, ir.Value]]:
        """Pairs by order among those of a shape that the same operators read at the same place, as many in either."""
        partners = self._partners
        groups: tuple[dict[Hashable, list[ir.Value]], ...] = ({}, {})
        for values, found in zip((ours, theirs), groups, strict=True):
            for value in values:
                readers = _readers(value)
                if any(partners.get(node) or node in self.alignment.folded for node in readers):
                    continue
                uses = tuple((node.domain, node.op_type, node.inputs.index(value)) for node in readers)
                if uses:
                    found.setdefault((dims_of(value), uses), []).append(value)
        return [
            pair
            for key, found in groups[0].items()
            if len(found) == len(groups[1].get(key, ()))
            for pair in zip(found, groups[1][key], strict=True)
        ]

    def _reason(self, value: ir.Value, theirs: Sequence[ir.Value]) -> tuple[str, str]:
        """Why a parameter has no counterpart, and what is peculiar to it."""
        partners = self._partners
        for node in _readers(value):
            partner = partners.get(node)
            if node in self.alignment.folded:
                return "what follows is folded into them there", self.alignment.folded[node].name or ""
            if partner is not None and partner in self.alignment.folded.values():
                return f"their {node.op_type} is folded into the weights before it there", partner.name or ""
        dims = dims_of(value) or ()
        namesake = next((other for other in theirs if alias_of(other) == alias_of(value)), None)
        held = namesake if namesake is not None and dims_of(namesake) != dims else _kept(value, partners)
        if held is not None:
            return "they are stored in another layout there", f"{held.name}, {shown(dims_of(held) or ())}"
        return "nothing of their shape is read likewise there", shown(dims)


def _readers(value: ir.Value) -> list[ir.Node]:
    return list(dict.fromkeys(value.consumers()))


def _namesakes(ours: Sequence[ir.Value], theirs: Sequence[ir.Value]) -> list[tuple[ir.Value, ir.Value]]:
    """Those of the same name in the model that was converted, and of the same shape."""
    named = {alias_of(value): value for value in theirs}
    found = [(value, named.get(alias_of(value))) for value in ours]
    return [(one, two) for one, two in found if two is not None and dims_of(one) == dims_of(two)]


def _unique(
    ours: Sequence[ir.Value], theirs: Sequence[ir.Value], prints: Mapping[ir.Value, Hashable]
) -> list[tuple[ir.Value, ir.Value]]:
    """Those of equal numbers that no other of their model has."""
    counts = [Counter(prints[value] for value in values) for values in (ours, theirs)]
    there = {prints[value]: value for value in theirs}
    return [
        (value, there[prints[value]])
        for value in ours
        if counts[0][prints[value]] == counts[1][prints[value]] == 1 and value.const_value is not None
    ]


def _turned(
    ours: Sequence[ir.Value], theirs: Sequence[ir.Value], prints: Mapping[ir.Value, Hashable]
) -> list[tuple[ir.Value, ir.Value, tuple[int, ...]]]:
    """Those that hold the same numbers with their axes in another order, and the order that undoes that.

    They have the same name, or no other has those numbers.
    """
    there: dict[Hashable, list[ir.Value]] = {}
    for value in theirs:
        there.setdefault(prints[value], []).append(value)
    found: dict[ir.Value, list[tuple[ir.Value, tuple[int, ...]]]] = {}
    for value in ours:
        axes = range(len(dims_of(value) or ()))
        for order in list(permutations(axes))[1:] if len(axes) <= _AXES and value.const_value is not None else ():
            back = tuple(order.index(axis) for axis in axes)
            matches = there.get(fingerprint(value, order), [])
            found.setdefault(value, []).extend((other, back) for other in matches)
    taken = Counter(other for matches in found.values() for other, _ in matches)
    alike = [
        (value, *match)
        for value, matches in found.items()
        for match in matches
        if alias_of(match[0]) == alias_of(value) and len({other for other, _ in matches}) == len(matches)
    ]
    alone = [(value, *matches[0]) for value, matches in found.items() if len(matches) == 1 == taken[matches[0][0]]]
    return [*alike, *alone]


def _kept(value: ir.Value, partners: Mapping[ir.Node, ir.Node | None]) -> ir.Value | None:
    """The array of the other model that stands where what is computed from a parameter alone is read."""
    while uses := list(value.uses()):
        for node, index in uses:
            other = partners.get(node)
            if other is not None:
                stored = other.inputs[index] if index < len(other.inputs) else None
                return stored if stored is not None and stored.const_value is not None else None
        value = uses[0][0].outputs[0]
    return None


def _sentences(
    kind: Kind,
    pairs: Mapping[ir.Value, tuple[ir.Value, str]],
    reasons: Mapping[str, tuple[str, str]],
    free: Sequence[ir.Value],
    total: int,
) -> list[str]:
    told = []
    parts = []
    for how in dict.fromkeys(how for _, how in pairs.values()):
        found = [(one.name, two.name) for one, (two, by) in pairs.items() if by == how]
        listed = [f"{name} ↔ {other}" for name, other in found if name != other or how != "name"]
        parts.append(f"{_all(len(found), total)} by {how}" + (f" ({several(listed, LISTED)})" if listed else ""))
    if parts:
        told.append(f"{kind}s: {', '.join(parts)}")
    for reason in dict.fromkeys(reason for reason, _ in reasons.values()):
        listed = [f"{name} ({detail})" for name, (why, detail) in reasons.items() if why == reason]
        plural = kind if total == 1 else f"{kind}s"
        told.append(
            f"{_all(len(listed), total)} {plural} without a counterpart, as {reason}: {several(listed, LISTED)}"
        )
    if free:
        plural = kind if len(free) == 1 else f"{kind}s"
        told.append(
            f"{len(free)} more {plural} in the second model: {several([value.name or '' for value in free], LISTED)}"
        )
    return told


def _all(number: int, total: int) -> str:
    return f"all {total}" if number == total > 1 else f"{number} of {total}"
