"""Reverse-mode differentiation through a sequence of nodes (Griewank and Walther, Evaluating Derivatives, ch. 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from graphkit.errors import FormatError, ShapeNeededError, UnsupportedError, UnsupportedNode
from graphkit.ir.edit import graphs_in
from graphkit.ir.training import stops_gradient
from graphkit.ops.gradients import through
from graphkit.ops.index import index
from graphkit.ops.spec import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder
    from graphkit.passes.gradient.builder import Builder

__all__ = ["depending", "is_differentiable", "pull", "read_by"]

_TARGET = "gradients in ONNX operators"


def pull(
    b: Builder, nodes: Sequence[ir.Node], cotangents: Mapping[ir.Value, ir.Value], wanted: Sequence[ir.Value]
) -> list[ir.Value | None]:
    """Emit the gradients of Σ⟨cotangent, value⟩ in some values.

    Args:
        b: What is emitted into.
        nodes: The nodes between, in order.
        cotangents: Cotangents of values.
        wanted: Values to differentiate in.

    Returns:
        The gradient in each; None where nothing depends on it.

    Raises:
        UnsupportedError: Nodes through which no gradient can be expressed, all of them.
    """
    useful = depending(nodes, wanted)
    found: dict[ir.Value, list[ir.Value | None]] = {value: [given] for value, given in cotangents.items()}
    kept = dict.fromkeys(wanted)
    refused: list[UnsupportedNode] = []
    outer = b.node, b.useful
    for node in reversed(nodes):
        if useful.isdisjoint(node.outputs):
            continue
        b.node, b.useful = node, useful
        dy = [b.total(found.pop(value, ())) if value in useful else None for value in node.outputs]
        kept.update({value: given for value, given in zip(node.outputs, dy, strict=True) if value in kept})
        if all(given is None for given in dy) or stops_gradient(node):
            continue
        gradients = _through(b, node, dy)
        if isinstance(gradients, UnsupportedError):
            refused += gradients.nodes[::-1]
            gradients = [(value, value) for value in read_by(node)]  # of their shapes, to find what else is refused
        for value, gradient in gradients:
            if value in useful and gradient is not None:
                b.settle(gradient, value)
                found.setdefault(value, []).append(gradient)
    b.node, b.useful = outer
    if refused:
        raise UnsupportedError(_TARGET, refused[::-1])
    kept.update({value: b.total(found[value]) for value in kept if value in found})
    return [kept[value] for value in wanted]


def depending(nodes: Iterable[ir.Node], sources: Iterable[ir.Value]) -> frozenset[ir.Value]:
    """The values of floats, or of unknown type, that depend on some values, these included."""
    found = {value for value in sources if is_differentiable(value)}
    for node in nodes:
        if any(value in found for value in read_by(node)):
            found.update(value for value in node.outputs if is_differentiable(value))
    return frozenset(found)


def is_differentiable(value: ir.Value) -> bool:
    """Whether a value may hold floats."""
    return value.dtype is None or value.dtype.is_floating_point()


def read_by(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, and what the graphs nested in it do."""
    yield from (value for value in node.inputs if value is not None)
    for graph in graphs_in(node):
        yield from (value for inner in graph for value in inner.inputs if value is not None)
        yield from graph.outputs


def _through(
    b: Builder, node: ir.Node, dy: Sequence[ir.Value | None]
) -> list[tuple[ir.Value, ir.Value | None]] | UnsupportedError:
    """What a node's rule gives, by what it is the gradient in; or why none, for nodes inside it perhaps."""
    op = index().by_onnx.get((node.domain, node.op_type))
    rule = None if op is None else op.gradient or (through(op.body) if op.body is not None else None)
    if rule is None:
        return _refused(node, "no rule says how gradients pass it")
    try:
        given = rule(cast("GradientBuilder", b), node, dy)
    except UnsupportedError as error:
        return error
    except (ShapeNeededError, FormatError) as error:
        return _refused(node, str(error).rstrip("."))
    if isinstance(given, Refusal):
        return _refused(node, given.reason)
    if isinstance(given, Mapping):
        return list(given.items())
    return [(value, gradient) for value, gradient in zip(node.inputs, given, strict=False) if value is not None]


def _refused(node: ir.Node, reason: str) -> UnsupportedError:
    return UnsupportedError(_TARGET, [UnsupportedNode(node.op_type, node.name or "", reason)])
