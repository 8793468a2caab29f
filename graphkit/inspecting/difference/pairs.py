"""Nodes and values of two models that are each other, in the main graphs and in the bodies of control flow."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from graphkit.inspecting.difference.difference import Place
from graphkit.ir.alignment import align, align_bodies, ends_of
from graphkit.ir.describe import constant_of
from graphkit.ir.outline import COMMUTATIVE, is_weight
from graphkit.ir.pairing import kind
from graphkit.ir.scope import place_of
from graphkit.ir.view import bodies_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    import onnx_ir as ir

    from graphkit.ir.pairing import How

    Met: TypeAlias = tuple[ir.Node | None, ir.Node | None, How]

__all__ = ["Paired", "holds_constant", "is_commutative", "is_stored", "pair", "places_of", "read_by"]

_CLIMBED: Final = 256
"""Nodes without counterparts that are gone through for what they compute from."""


@dataclass(slots=True)
class Paired:
    """What of one model is what of another.

    Attributes:
        nodes: Left and right node, with how they were found; None for what has no counterpart.
        partner: Node of either model -> its counterpart.
        values: Computed value or input of the left model -> that of the right one.
        folded: Node of either model -> the node of the other model whose weights it is folded into.
        inputs: Inputs of the main graphs that are each other.
        outputs: Outputs likewise.
        bodies: Bodies that are each other, with their owners.
    """

    nodes: list[Met] = field(default_factory=list)
    partner: dict[ir.Node, ir.Node] = field(default_factory=dict)
    values: dict[ir.Value, ir.Value] = field(default_factory=dict)
    folded: dict[ir.Node, ir.Node] = field(default_factory=dict)
    inputs: list[tuple[ir.Value, ir.Value]] = field(default_factory=list)
    outputs: list[tuple[ir.Value, ir.Value]] = field(default_factory=list)
    bodies: list[tuple[ir.Node, ir.Node, str, ir.Graph, ir.Graph]] = field(default_factory=list)

    def origins(self, value: ir.Value, *, left: bool) -> set[ir.Value]:
        """What a value is computed from by nodes without counterparts, as values of the right model where it has them.

        A value that a node with a counterpart computes stands for itself.
        """
        found: set[ir.Value] = set()
        stack, seen = [value], 0
        while stack and seen < _CLIMBED:
            current = stack.pop()
            node = current.producer()
            if node is not None and node not in self.partner and not holds_constant(node):
                seen += 1
                stack.extend(each for each in node.inputs if each is not None)
            else:
                found.add(self.values.get(current, current) if left else current)
        return found


def pair(left: ir.Model, right: ir.Model) -> Paired:
    """Find out which node and which value of one model is which of another, bodies of control flow included."""
    found = Paired()
    found.inputs, found.outputs = ends_of(left.graph, right.graph)
    found.values.update(found.inputs)
    alignment = align(left, right)
    found.folded.update(alignment.folded)
    _take(found, _prefer_names([(each.left, each.right, each.how) for each in alignment.nodes], found))
    _take_functions(found, left, right)
    return found


def _take_functions(found: Paired, left: ir.Model, right: ir.Model) -> None:
    """Pair what is in the functions of the two models, of which canonical ones have none."""
    for key, function in left.functions.items():
        other = right.functions.get(key)
        if other is None:
            _take(found, [(node, None, "alone") for node in function])
            continue
        found.values.update(zip(function.inputs, other.inputs, strict=False))
        alignment = align_bodies(function.graph, other.graph, {})
        _take(found, [(each.left, each.right, each.how) for each in alignment.nodes])
    for key, function in right.functions.items():
        if key not in left.functions:
            _take(found, [(None, node, "alone") for node in function])


def _prefer_names(nodes: Sequence[Met], found: Paired) -> list[Met]:
    """Let a node be its namesake where that has no counterpart and reads at least as much that is each other.

    Where a node is missing in a row of equal ones, any of them can be taken for the missing one.
    """
    partner = {one: (two, how) for one, two, how in nodes if one is not None}
    alone = [node for node, (two, _) in partner.items() if two is None]
    others = [two for one, two, _ in nodes if one is None and two is not None]
    spare, free = ({node.name or "": node for node in side if node not in found.folded} for side in (alone, others))
    holders = set(found.folded.values())
    known = dict(found.values)
    for one, two, _ in nodes:
        if one is not None and two is not None:
            known.update(zip(one.outputs, two.outputs, strict=False))
    for one, two, _ in nodes:
        if one is None or two is None or not one.name or not two.name or one.name == two.name:
            continue
        if one in holders or two in holders:
            continue
        reads, replaced = _read_alike(one, two, known), kind(one) != kind(two)
        there, here = free.get(one.name), spare.get(two.name)
        if there is not None and (replaced or kind(there) == kind(one)) and _read_alike(one, there, known) >= reads:
            partner[one] = there, "name"
            del free[one.name]
        elif here is not None and (replaced or kind(here) == kind(two)) and _read_alike(here, two, known) >= reads:
            partner[one] = None, "alone"
            partner[here] = two, "name"
            del spare[two.name]
    taken = {two for two, _ in partner.values()}
    order = [two for _, two, _ in nodes if two is not None and two not in taken]
    rest: list[Met] = [(None, two, "alone") for two in order]
    return [*((one, two, how) for one, (two, how) in partner.items()), *rest]


def _read_alike(left: ir.Node, right: ir.Node, values: dict[ir.Value, ir.Value]) -> int:
    """How many inputs are each other, wherever they stand."""
    read = [value for value in right.inputs if value is not None]
    return sum(values.get(value) in read for value in left.inputs if value is not None and value in values)


def _take(found: Paired, nodes: list[Met]) -> None:
    for one, two, _ in nodes:
        if one is not None and two is not None:
            found.partner[one], found.partner[two] = two, one
            for old, new in zip(one.outputs, two.outputs, strict=False):
                found.values.setdefault(old, new)
    for one, two, how in nodes:
        found.nodes.append((one, two, how))
        ours, theirs = (dict(bodies_of(each)) if each is not None else {} for each in (one, two))
        if one is not None and two is not None and kind(one) == kind(two):
            for name in [name for name in ours if name in theirs]:
                _take_body(found, one, two, name, ours.pop(name), theirs.pop(name))
        for bodies, mine in ((ours, True), (theirs, False)):
            for body in bodies.values():
                inner = [node for node in body]  # noqa: C416  # a graph is read while nodes are added
                _take(found, [(node, None, "alone") if mine else (None, node, "alone") for node in inner])


def _take_body(found: Paired, one: ir.Node, two: ir.Node, name: str, left: ir.Graph, right: ir.Graph) -> None:
    found.bodies.append((one, two, name, left, right))
    found.values.update(zip(left.inputs, right.inputs, strict=False))
    alignment = align_bodies(left, right, _captured(left, found.values))
    found.folded.update(alignment.folded)
    _take(found, [(each.left, each.right, each.how) for each in alignment.nodes])


def _captured(body: ir.Graph, values: dict[ir.Value, ir.Value]) -> dict[ir.Value, ir.Value]:
    """Those values of the graphs around a body that it reads and that have counterparts."""
    read = {value: None for node in body.all_nodes() for value in node.inputs if value is not None}
    read |= dict.fromkeys(body.outputs)
    own = {value for node in body for value in node.outputs} | set(body.inputs)
    return {value: values[value] for value in read if value in values and value not in own}


def places_of(model: ir.Model) -> dict[ir.Node, Place]:
    """Where each node is, in the order in which views of a model have the operators."""
    found: dict[ir.Node, Place] = {}
    _place(model.graph, "", found, itertools.count())
    for function in model.functions.values():
        _place(function.graph, f"function {function.name}", found, None)
    return found


def _place(graph: ir.Graph, body: str, found: dict[ir.Node, Place], numbers: Iterator[int] | None) -> None:
    for node in graph:
        number = None if numbers is None or holds_constant(node) else next(numbers)
        scope, _ = place_of(node)
        found[node] = Place(number, node.name or "", node.op_type, node.domain, scope, body)
        own = node.name or node.op_type
        for name, inner in bodies_of(node):
            _place(inner, f"{body}/{own}/{name}" if body else f"{own}/{name}", found, numbers)


def holds_constant(node: ir.Node) -> bool:
    """Whether a node is nothing but a constant, which views do not show as an operator."""
    return bool(node.outputs) and constant_of(node.outputs[0]) is not None


def is_commutative(node: ir.Node) -> bool:
    """Whether an operator does not tell its inputs apart."""
    return not node.domain and node.op_type in COMMUTATIVE


def read_by(node: ir.Node) -> list[ir.Value | None]:
    """A node's inputs without optional ones left out at the end."""
    inputs = list(node.inputs)
    while inputs and inputs[-1] is None:
        inputs.pop()
    return inputs


def is_stored(value: ir.Value | None) -> bool:
    """Whether a value is stored in the model."""
    return value is not None and is_weight(value)
