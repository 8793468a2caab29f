"""If, and MXNet's ``_cond``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.booleans import as_carrier
from graphkit.ops.control_flow.backward import captured, drawn, totals
from graphkit.ops.control_flow.linking import link, read_alike
from graphkit.ops.control_flow.lists import is_read
from graphkit.ops.control_flow.reading import places, truth
from graphkit.ops.control_flow.samples import BRANCHES, MX_BRANCHES
from graphkit.ops.control_flow.writing import held, inside, outside
from graphkit.ops.spec import MxForm, Op, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

__all__ = ["OP"]


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    then, otherwise = (b.body(node.attributes[name].as_graph()) for name in ("then_branch", "else_branch"))
    return b.branch(x[0], then, otherwise)


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    values = [value for value in x if value is not None]
    used = [places(node, f"{name}_input_locs", len(values), once=False) for name in ("cond", "then", "else")]
    held = [[values[place] for place in own] for own in used]
    given = [len(list(body.variables())) for body in node.subgraphs]
    count = int(node.attrs["num_outputs"])
    if given != [len(own) for own in held] or [len(body.heads) for body in node.subgraphs] != [1, count, count]:
        return Refusal("its bodies have other inputs and outputs than its parameters say")
    predicate, *branches = node.subgraphs
    then, otherwise = (b.body([], partial(b.inline, body, own)) for body, own in zip(branches, held[1:], strict=True))
    condition = truth(b, b.inline(predicate, held[0])[0])
    return b.ops("If", count, condition, then_branch=then, else_branch=otherwise)


def _write(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    graphs = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    for output, then, otherwise in zip(node.outputs, *(graph.outputs for graph in graphs), strict=True):
        if is_read(output) and not _same_shape(b.shape(then), b.shape(otherwise)):
            return Refusal(
                f"its branches give {output.name!r} in different shapes, and MXNet has no arrays of a shape that "
                f"depends on numbers; convert to torch, or give both branches one shape"
            )
    condition = node.inputs[0]
    assert condition is not None
    flag = as_carrier(b, condition, np.dtype(np.float32))
    predicate = b.body([None], lambda own: own)
    bodies = [predicate, *(b.body([], partial(_taken, b, graph)) for graph in graphs)]
    inputs: dict[MxRef, int] = {flag: 0}
    locs = [[0]]
    for body in bodies[1:]:
        refs = [body.captured[variable] for variable in body.graph.variables()]
        locs.append([inputs.setdefault(ref, len(inputs)) for ref in refs])
    branches = [body.graph for body in bodies[1:]]
    more = read_alike(node.name or "branch", branches, locs[1:])
    for branch, graph, own in zip(branches, graphs, locs[1:], strict=True):
        for number, value in enumerate(graph.outputs):
            link(branch, own, number, b.rank(value), held(b, value))
    results = b.ops(
        "_cond",
        len(node.outputs) + more,
        *inputs,
        subgraphs=[predicate.graph, *branches],
        num_args=len(inputs) + 3,
        num_outputs=len(node.outputs) + more,
        cond_input_locs=locs[0],
        then_input_locs=locs[1],
        else_input_locs=locs[2],
    )
    return [inside(b, value, ref) for value, ref in zip(node.outputs, results, strict=False)]


def _taken(b: MxBuilder, graph: ir.Graph, _own: Sequence[MxRef]) -> list[MxRef]:
    b.inline(graph)
    return [outside(b, value) for value in graph.outputs]


def _same_shape(one: Sequence[Dim], other: Sequence[Dim]) -> bool:
    """Whether two shapes have as many axes, and no axis of two known sizes."""
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and not any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Mapping[ir.Value, ir.Value | None] | Refusal:
    """An If on the same condition: the branch that was taken is computed anew, and gone through backwards."""
    graphs = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    random: list[ir.Value] = []
    for graph in graphs:
        numbers = drawn(b, graph)
        if isinstance(numbers, Refusal):
            return numbers
        random += numbers
    given = [[v for v, cotangent in zip(g.outputs, dy, strict=True) if cotangent is not None] for g in graphs]
    wanted = [
        value
        for value in captured(b, *graphs)
        if any(
            not b.dependents(list(graph), [value]).isdisjoint(ends) for graph, ends in zip(graphs, given, strict=True)
        )
    ]
    if not wanted:
        return {}

    kept = {value: b.collected(node, value) for value in random}

    def taken(graph: ir.Graph) -> list[ir.Value]:
        nodes, outputs = b.copy(graph, kept)
        found = b.pull(nodes, totals(b, zip(outputs, dy, strict=False)), wanted)
        return [
            b.full_like(value) if gradient is None else gradient for value, gradient in zip(wanted, found, strict=True)
        ]

    (then, count), (otherwise, _) = (b.graph([], partial(taken, graph)) for graph in graphs)
    gradients = b.ops("If", count, node.inputs[0], then_branch=then, else_branch=otherwise)
    return dict(zip(wanted, gradients, strict=True))


OP = Op(
    "If",
    mx=(
        MxForm(
            "_cond",
            read=_read,
            reads=("num_args", "num_outputs", "cond_input_locs", "then_input_locs", "else_input_locs"),
            write=_write,
            cases=MX_BRANCHES,
        ),
    ),
    torch=_torch,
    cases=BRANCHES,
    gradient=_gradient,
)
