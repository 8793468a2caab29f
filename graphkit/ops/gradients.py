"""How gradients pass operators: what a room's ``gradient`` is handed, and forms that many of them take.

A gradient here is that of reverse mode (Griewank and Walther, Evaluating Derivatives, ch. 3): in a value x, the
derivative of Σ⟨seed, output⟩ in x, of x's shape and dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import onnx_ir as ir

from graphkit.ops.builders import BodyBuilder
from graphkit.ops.spec import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from graphkit.ops.spec import Body, Gradient

__all__ = ["GradientBuilder", "binary", "flat", "reshaping", "shaped", "through", "unary"]


class GradientBuilder(BodyBuilder, Protocol):
    """Emits the ONNX nodes that compute gradients; they may read every value that the forward pass computes.

    Every emitted value has its dtype, and its rank and shape as far as they follow. A node of one of graphkit's own
    operators may be emitted as such.
    """

    @property
    def nodes(self) -> Sequence[ir.Node]:
        """What was emitted so far into the graph that is being emitted, in order."""
        ...

    def wants(self, value: ir.Value | None) -> bool:
        """Whether a gradient in an input of the node is of any use; a rule need not compute others."""
        ...

    def value(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The array of an initializer, None for anything that is computed or fed."""
        ...

    def output(self, node: ir.Node, index: int) -> ir.Value:
        """An output of the forward node, which is given it where it did not have it."""
        ...

    def shape_of(self, value: ir.Value) -> ir.Value:
        """The shape of a value as a 1-d int64 tensor: a constant where it is known, else a Shape node."""
        ...

    def like(self, gradient: ir.Value, value: ir.Value) -> ir.Value:
        """A gradient of as many elements as ``value``, reshaped to its shape."""
        ...

    def sum_to(self, gradient: ir.Value, value: ir.Value) -> ir.Value:
        """A gradient in what ``value`` was broadcast to, summed over the axes along which it was: of its own shape."""
        ...

    def full_like(self, value: ir.Value, number: float = 0.0) -> ir.Value:
        """A tensor of the shape and dtype of a value that holds one number everywhere."""
        ...

    def total(self, gradients: Sequence[ir.Value | None]) -> ir.Value | None:
        """The sum of gradients of one shape; None where there is none."""
        ...

    def pull(
        self, nodes: Sequence[ir.Node], cotangents: Mapping[ir.Value, ir.Value], wanted: Sequence[ir.Value]
    ) -> list[ir.Value | None]:
        """Gradients through several nodes, such as those of a graph inside the node.

        Args:
            nodes: Nodes in order; what they read and give must be in the scope that is emitted into.
            cotangents: Cotangents of values that they give.
            wanted: Values to differentiate in.

        Returns:
            The gradient in each; None where nothing depends on it.
        """
        ...

    def dependents(self, nodes: Sequence[ir.Node], sources: Sequence[ir.Value]) -> frozenset[ir.Value]:
        """The floats among some values, and the floats that nodes compute of them."""
        ...

    def variable(self, value: ir.Value) -> ir.Value:
        """A new input of a graph inside a node, of the type and shape of a value."""
        ...

    def graph(self, inputs: Sequence[ir.Value], emit: Callable[[], Sequence[ir.Value]]) -> tuple[ir.Graph, int]:
        """A graph inside a node, of what a function emits, and the number of its outputs.

        What is emitted may read values from outside; of it only what the outputs need is kept.
        """
        ...

    def copy(self, graph: ir.Graph, known: Mapping[ir.Value, ir.Value]) -> tuple[list[ir.Node], list[ir.Value]]:
        """Emit the nodes of a graph inside the forward node once more.

        Args:
            graph: The graph.
            known: What stands for its inputs, and for values that nodes of it give; these nodes are left out.

        Returns:
            The copies, in order, and what stands for the graph's outputs.
        """
        ...

    def collected(self, node: ir.Node, value: ir.Value, function: str = "Identity") -> ir.Value:
        """An output that a forward node is given: a value of a graph inside it.

        A loop's value comes of all turns, along a new first axis. A branch's comes as zeros, of any sizes, where the
        other branch is taken.

        Args:
            node: An If, Loop or Scan.
            value: The value.
            function: An operator to apply to it first, such as ``"Shape"``.
        """
        ...


def flat(_b: GradientBuilder, _node: ir.Node, _dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of what is constant between jumps, as of Floor: none."""
    return []


def reshaping(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of what hands on the elements of its first input in another shape, as Reshape does."""
    x = node.inputs[0]
    assert x is not None
    return [b.like(dy[0], x)]


def unary(slope: Callable[[GradientBuilder, ir.Value, ir.Value, ir.Value], ir.Value]) -> Gradient:
    """The gradient of an element-wise function of one argument: (builder, x, y, cotangent) -> gradient in x."""

    def rule(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
        x = node.inputs[0]
        assert x is not None
        return [slope(b, x, node.outputs[0], dy[0])]

    return rule


def binary(
    left: Callable[[GradientBuilder, ir.Node, ir.Value], ir.Value | None],
    right: Callable[[GradientBuilder, ir.Node, ir.Value], ir.Value | None],
) -> Gradient:
    """The gradient of an element-wise function of two arguments that broadcast.

    Args:
        left: (builder, node, cotangent) -> gradient in the first argument, before it is summed to its shape.
        right: The same for the second.
    """

    def rule(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
        found: list[ir.Value | None] = []
        for value, slope in zip(node.inputs, (left, right), strict=True):
            gradient = slope(b, node, dy[0]) if b.wants(value) else None
            found.append(None if gradient is None or value is None else b.sum_to(gradient, value))
        return found

    return rule


def shaped(gradient: ir.Value, value: ir.Value) -> ir.Value:
    """The gradient in a value, of which it is known now that it has the shape of that."""
    if value.shape is not None:
        gradient.shape = ir.Shape(value.shape)
    return gradient


def through(body: Body) -> Gradient:
    """The gradient of what is computed by a body: the body is emitted once more, and gradients pass its nodes."""

    def rule(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> dict[ir.Value, ir.Value | None] | Refusal:
        before = len(b.nodes)
        given = body(b, node, node.inputs)
        if isinstance(given, Refusal):
            return given
        outputs = [given] if isinstance(given, ir.Value) else given
        cotangents = {value: share for value, share in zip(outputs, dy, strict=False) if share is not None}
        wanted = [value for value in dict.fromkeys(node.inputs) if value is not None and b.wants(value)]
        return dict(zip(wanted, b.pull(b.nodes[before:], cotangents, wanted), strict=True))

    return rule
