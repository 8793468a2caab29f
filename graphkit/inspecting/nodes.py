"""What each operator of a model is: its outputs, its parameters, what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphkit.inspecting.cost.count import evaluate
from graphkit.inspecting.operators import operator_of, walk
from graphkit.inspecting.parameters import is_stored, stored_tensor
from graphkit.ir.describe import tensor_of
from graphkit.ir.family import family_of
from graphkit.ir.origin import origin_of
from graphkit.ir.params import kind_of
from graphkit.ir.scope import place_of
from graphkit.ir.untranslated import untranslated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.inspecting.cost.costs import Costs
    from graphkit.inspecting.cost.count import Count
    from graphkit.ir.describe import Tensor
    from graphkit.ir.family import Family
    from graphkit.ir.origin import Origin

__all__ = ["ORDERS", "Node", "Order", "node_table", "ordered"]

Order: TypeAlias = Literal["order", "macs", "bytes", "parameters"]
"""By what nodes are sorted: the model's order, or what they have most of."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operator.

    Attributes:
        name: Its name; empty where it has none.
        op: Its type, with its domain where it is not ONNX's own.
        family: The family of its type.
        scope: Path of the module that holds it, joined by dots; empty outside all modules.
        leaf: Its name inside that module.
        inside: In how many bodies of control-flow operators it lies: 0 in the main graph.
        outputs: Its outputs.
        parameters: Elements of the parameters that it reads; None where not known. What several nodes read counts at
            each of them.
        macs: Multiply-adds of its matrix products and convolutions in one run of it; None where not known.
        backward: Those of its gradients, as PyTorch counts them; None where not known.
        bytes: Size of its outputs, 0 for a view of its input; None where not known.
        runs: How often it runs in one run of the model; None where that depends on data.
        in_backward: Whether it computes gradients.
        why: Why multiply-adds are not known; empty where they are.
        untranslated: Why it has no canonical form; empty where it has one.
        origin: Where it came from.
    """

    name: str
    op: str
    family: Family
    scope: str
    leaf: str
    inside: int
    outputs: tuple[Tensor, ...]
    parameters: int | None
    macs: Count | None
    backward: Count | None
    bytes: Count | None
    runs: Count | None
    in_backward: bool
    why: str
    untranslated: str
    origin: Origin

    @property
    def flops(self) -> Count | None:
        """FLOPs of one run: two per multiply-add."""
        return None if self.macs is None else 2 * self.macs


_KEYS: Final[dict[Order, Callable[[Node], Count | None]]] = {
    "macs": lambda node: node.macs,
    "bytes": lambda node: node.bytes,
    "parameters": lambda node: node.parameters,
}
ORDERS: Final[tuple[Order, ...]] = ("order", *_KEYS)
"""All that nodes can be sorted by."""


def node_table(model: ir.Model, found: Costs) -> tuple[Node, ...]:
    """All operators in the model's order, each followed by what is inside it.

    Args:
        model: A model that was read to be looked at.
        found: Its costs.
    """
    each = found.by_node()
    table = []
    for node, inside in walk(model.graph):
        cost = each[node]
        scope, leaf = place_of(node)
        table.append(
            Node(
                name=node.name or "",
                op=operator_of(node),
                family=family_of(node.op_type, node.domain),
                scope=scope,
                leaf=leaf,
                inside=inside,
                outputs=tuple(tensor_of(value) for value in node.outputs),
                parameters=_parameters(node),
                macs=cost.macs,
                backward=cost.backward,
                bytes=cost.bytes,
                runs=cost.runs,
                in_backward=cost.in_backward,
                why=cost.why,
                untranslated=untranslated(node),
                origin=origin_of(node),
            )
        )
    return tuple(table)


def ordered(nodes: Sequence[Node], order: Order) -> list[Node]:
    """Nodes with the most first, free dimensions taken for 1; those of which it is not known come before them."""
    if order == "order":
        return list(nodes)
    key = _KEYS[order]

    def rank(node: Node) -> tuple[bool, int]:
        number = evaluate(key(node), {}, 1)
        return number is not None, -(number or 0)

    return sorted(nodes, key=rank)


def _parameters(node: ir.Node) -> int | None:
    """Elements of the parameters that a node reads."""
    read = dict.fromkeys(value for value in node.inputs if value is not None)
    found = [stored_tensor(value).elements for value in read if is_stored(value) and kind_of(value) == "parameter"]
    known = [elements for elements in found if elements is not None]
    return sum(known) if len(known) == len(found) else None
