"""Which values of a model have gradients when all of its parameters are trained, and none of its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.inspecting.cost import aten, mxnet
from graphkit.ir.params import of_kind
from graphkit.ir.training import stops_gradient
from graphkit.ir.view import bodies_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx_ir as ir

__all__ = ["Trained", "trained"]

_NO_GRADIENT: Final = frozenset(
    (
        "Bernoulli",
        "EyeLike",
        "Multinomial",
        "RandomNormalLike",
        "RandomUniformLike",
    )
)
"""Operators whose outputs depend on no number of their inputs as far as gradients go."""


class Trained:
    """The values that a backward pass gives gradients of.

    It begins at all float outputs of the model, as if their sum were the loss, and ends at the parameters. Buffers,
    constants and inputs have no gradients.
    """

    def __init__(self, depending: frozenset[ir.Value], reached: frozenset[ir.Value]) -> None:
        self._depending = depending
        self._reached = reached

    def has_gradient(self, value: ir.Value | None) -> bool:
        """Whether a value depends on parameters that are trained."""
        return value is not None and value in self._depending

    def reaches(self, node: ir.Node) -> bool:
        """Whether gradients come to one of a node's outputs."""
        return any(value in self._reached for value in node.outputs)


def trained(model: ir.Model) -> Trained:
    """Follow the parameters to the outputs, and these back; through control flow, too."""
    after, before = _ties(model.graph)
    depending = _closure((value for value in of_kind(model, "parameter") if _is_float(value)), after)
    reached = _closure((value for value in model.graph.outputs if value in depending), before)
    return Trained(depending, reached & depending)


def _closure(start: Iterable[ir.Value], step: Mapping[ir.Value, Sequence[ir.Value]]) -> frozenset[ir.Value]:
    found = set(start)
    stack = list(found)
    while stack:
        for value in step.get(stack.pop(), ()):
            if value not in found and _is_float(value):
                found.add(value)
                stack.append(value)
    return frozenset(found)


def _ties(graph: ir.Graph) -> tuple[dict[ir.Value, list[ir.Value]], dict[ir.Value, list[ir.Value]]]:
    """The values that each value goes into, and those that each is made of."""
    after: dict[ir.Value, list[ir.Value]] = {}
    before: dict[ir.Value, list[ir.Value]] = {}
    for source, made in _pairs(graph):
        after.setdefault(source, []).append(made)
        before.setdefault(made, []).append(source)
    return after, before


def _pairs(graph: ir.Graph) -> Iterator[tuple[ir.Value, ir.Value]]:
    for node in graph:
        bodies = [body for _, body in bodies_of(node)]
        for body in bodies:
            yield from _pairs(body)
        if bodies:
            yield from _around(node, bodies)
        elif not _stops(node):
            for value in node.inputs:
                if value is not None:
                    yield from ((value, made) for made in node.outputs)


def _stops(node: ir.Node) -> bool:
    """Whether no gradient flows back through a node."""
    if node.domain == aten.DOMAIN:
        return aten.packet_of(node.op_type) == "detach"
    if node.domain == mxnet.DOMAIN:
        return mxnet.canonical_name(node.op_type) == "BlockGrad"
    return stops_gradient(node) or (node.domain in ("", "ai.onnx") and node.op_type in _NO_GRADIENT)


def _around(node: ir.Node, bodies: Sequence[ir.Graph]) -> Iterator[tuple[ir.Value, ir.Value]]:
    """How values go into the bodies of a control-flow operator, round in them, and out."""
    for body in bodies:
        skipped = 1 if node.op_type == "Loop" else 0  # the condition
        ends = list(body.outputs)[skipped:]
        yield from zip(ends, node.outputs, strict=False)
        if node.op_type == "If":
            continue
        for outer, inner in zip(node.inputs, body.inputs, strict=False):
            if outer is not None:
                yield outer, inner
        carried = len(node.inputs) - (2 if skipped else node.attributes.get_int("num_scan_inputs", 0))
        yield from zip(ends[:carried], list(body.inputs)[2 * skipped :], strict=False)


def _is_float(value: ir.Value) -> bool:
    """Whether a value is of floats; one of unknown type may be."""
    dtype = value.dtype
    return dtype is None or dtype.is_floating_point()
