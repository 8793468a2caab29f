"""Conditions that are known: of If nodes, and those that the bodies of loops read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.edit import add_constant, nodes_of, redirect
from graphkit.ir.symbols import sizes_of

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["fold_branches"]


def fold_branches(model: ir.Model) -> bool:
    """Replace each If whose condition is a constant, or follows from known sizes, by its branch, in place.

    The condition that the body of a Loop reads is true, as there is no turn otherwise.

    Returns:
        Whether anything was folded.
    """
    folded = False
    for node in nodes_of(model):
        if node.op_type == "Loop" and not node.domain:
            folded = _begun(model, node) or folded
        if node.op_type != "If" or node.domain or node.graph is None:
            continue
        condition = sizes_of(node.inputs[0])
        if condition is None or condition.size != 1 or not isinstance(condition.item(), bool):
            continue
        _take(node, node.attributes["then_branch" if condition.item() else "else_branch"].as_graph())
        folded = True
    return folded


def _begun(model: ir.Model, node: ir.Node) -> bool:
    """Let the body of a loop read a constant for its condition, except to hand it on."""
    body = node.attributes["body"].as_graph()
    condition = body.inputs[1]
    readers = [(user, index) for user, index in condition.uses() if body.outputs[0] not in user.outputs]
    if readers:
        true = add_constant(model.graph, f"{node.name}_begun", np.array(True))
        for user, index in readers:
            user.replace_input_with(index, true)
    return bool(readers)


def _take(node: ir.Node, branch: ir.Graph) -> None:
    graph = node.graph
    if graph is None:
        return
    results = list(branch.outputs)
    branch.outputs.clear()
    moved = tuple(branch)
    branch.remove(moved)
    graph.insert_before(node, moved)
    for old, new in zip(node.outputs, results, strict=True):
        redirect(old, new)
    graph.remove(node, safe=True)
