"""What a model costs: multiply-adds and FLOPs, forward and backward, and bytes of activations, per node and in total.

``docs/cost.md`` says what counts. Nothing that is not known is taken for 0: it is None in a node, and a sum names the
nodes that it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphkit.inspecting.cost.count import Count, times, total
from graphkit.inspecting.cost.flops import runs_of, work_of
from graphkit.inspecting.cost.memory import activation_bytes, fixed_nodes, value_bytes
from graphkit.inspecting.cost.trained import trained
from graphkit.ir.describe import constant_of
from graphkit.ir.training import is_backward
from graphkit.ir.view import bodies_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import onnx_ir as ir

__all__ = ["GROUPED", "Costs", "NodeCost", "Sum", "costs"]

GROUPED: Final = "PyTorch counts gradients of grouped convolutions' weights as if there were one group"
"""Why :attr:`Costs.backward` may be more than :attr:`Costs.backward_exact`."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeCost:
    """What one node costs in one run of it.

    Attributes:
        node: The node.
        macs: Multiply-adds of its matrix products and convolutions; None where not known. A control-flow operator has
            those of its bodies: of the larger branch, or of all iterations.
        backward: Multiply-adds that it takes in a backward pass for the gradients of all parameters, as PyTorch counts
            them; None where not known. 0 in a model that has the nodes of its backward pass itself.
        backward_exact: The same as they are: less than ``backward`` for convolutions in groups.
        bytes: Size of its outputs; 0 for a view of its input and for what depends on no input of the model, None where
            not known.
        parameter_bytes: Size of the parameters, buffers and constants that it reads; None where not known. What several
            nodes read counts at each of them.
        in_backward: Whether it belongs to the computation of gradients.
        runs: How often it runs in one run of the model: 1 in the main graph; None where that depends on data.
        why: Why multiply-adds are not known, a clause; empty where they are.
    """

    node: ir.Node
    macs: Count | None
    backward: Count | None
    backward_exact: Count | None
    bytes: Count | None
    parameter_bytes: Count | None
    in_backward: bool = False
    runs: Count | None = 1
    why: str = ""

    @property
    def flops(self) -> Count | None:
        """FLOPs of the forward pass: two per multiply-add."""
        return times(self.macs, 2)

    @property
    def backward_flops(self) -> Count | None:
        """FLOPs of the backward pass, as PyTorch counts them."""
        return times(self.backward, 2)


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum over nodes: of what is known, with the nodes whose share is not.

    Attributes:
        known: The sum of what is known: the sum itself, or the least that it can be.
        unknown: The nodes that it lacks.
    """

    known: Count
    unknown: tuple[ir.Node, ...] = ()

    @property
    def value(self) -> Count | None:
        """The sum; None where the share of a node is not known."""
        return None if self.unknown else self.known

    def doubled(self) -> Sum:
        """FLOPs for multiply-adds."""
        return Sum(times(self.known, 2), self.unknown)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a model costs.

    Attributes:
        nodes: The cost of each node of the main graph, in the model's order.
        inner: That of the nodes inside control-flow operators, which are part of these operators' as well.
        forward: Multiply-adds of one forward pass.
        backward: Multiply-adds of one backward pass, as PyTorch counts them: of the nodes that compute gradients where
            the model has such, else those that the gradients of all parameters would take.
        backward_exact: The same as they are.
        has_backward: Whether the model has nodes that compute gradients.
        activations: Bytes of all nodes' outputs together, in one forward pass (in both, if the model has both).
        inputs: Bytes of the model's inputs.
        outputs: Bytes of the model's outputs.
    """

    nodes: tuple[NodeCost, ...]
    inner: tuple[NodeCost, ...]
    forward: Sum
    backward: Sum
    backward_exact: Sum
    has_backward: bool
    activations: Sum
    inputs: Count | None
    outputs: Count | None

    @property
    def overcounted(self) -> bool:
        """Whether PyTorch's count of the backward pass is more than there is to compute (:data:`GROUPED`)."""
        return bool(self.backward.known != self.backward_exact.known)

    def by_node(self) -> dict[ir.Node, NodeCost]:
        """The cost of every node, inner ones included."""
        return {cost.node: cost for cost in (*self.nodes, *self.inner)}


def costs(model: ir.Model) -> Costs:
    """Count what a model costs; no number of its weights is read.

    Args:
        model: Any model, with shapes as far as they are known (:func:`graphkit.look`). Dimensions may be names, and
            counts are polynomials in them.
    """
    has_backward = any(is_backward(node) for node in model.graph)
    gradients = None if has_backward else trained(model)

    fixed = fixed_nodes(model.graph)

    def cost(node: ir.Node, runs: Count | None) -> NodeCost:
        work = work_of(node, gradients)
        return NodeCost(
            node,
            work.macs,
            work.backward,
            work.exact,
            0 if node in fixed else activation_bytes(node),
            _parameter_bytes(node),
            is_backward(node),
            runs,
            work.why,
        )

    nodes = tuple(cost(node, 1) for node in model.graph if not _is_constant(node))
    inner = tuple(cost(node, runs) for node, runs in _inside(model.graph, 1))
    ahead = [each for each in nodes if not each.in_backward]
    if has_backward:
        of_graph = _sum([each for each in nodes if each.in_backward], lambda each: each.macs)
        backward, exact = of_graph, of_graph
    else:
        backward = _sum(nodes, lambda each: each.backward)
        exact = _sum(nodes, lambda each: each.backward_exact)
    return Costs(
        nodes,
        inner,
        _sum(ahead, lambda each: each.macs),
        backward,
        exact,
        has_backward,
        _sum(nodes, lambda each: each.bytes),
        _all([value_bytes(value) for value in model.graph.inputs if not value.is_initializer()]),
        _all([value_bytes(value) for value in model.graph.outputs]),
    )


def _is_constant(node: ir.Node) -> bool:
    return bool(node.outputs) and constant_of(node.outputs[0]) is not None


def _inside(graph: ir.Graph, runs: Count | None) -> Iterator[tuple[ir.Node, Count | None]]:
    """The nodes inside the control-flow operators of a graph, with how often they run."""
    for node in graph:
        for _, body in bodies_of(node):
            often = times(runs, runs_of(node))
            yield from ((each, often) for each in body if not _is_constant(each))
            yield from _inside(body, often)


def _sum(nodes: Sequence[NodeCost], share: Callable[[NodeCost], Count | None]) -> Sum:
    shares = [share(each) for each in nodes]
    return Sum(total(shares), tuple(each.node for each, part in zip(nodes, shares, strict=True) if part is None))


def _all(counts: Sequence[Count | None]) -> Count | None:
    return None if None in counts else total(counts)


def _parameter_bytes(node: ir.Node) -> Count | None:
    values = [value for value in dict.fromkeys(node.inputs) if value is not None]
    return _all([value_bytes(value) for value in values if value.is_initializer() or constant_of(value) is not None])
