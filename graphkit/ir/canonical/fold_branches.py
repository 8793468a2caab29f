"""If nodes whose condition is known, replaced by the branch that is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.edit import nodes_of, redirect
from graphkit.ir.symbols import sizes_of

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["fold_branches"]


def fold_branches(model: ir.Model) -> bool:
    """Replace each If whose condition is a constant, or follows from known sizes, by its branch, in place.

    Returns:
        Whether anything was folded.
    """
    folded = False
    for node in nodes_of(model):
        if node.op_type != "If" or node.domain or node.graph is None:
            continue
        condition = sizes_of(node.inputs[0])
        if condition is None or condition.size != 1 or not isinstance(condition.item(), bool):
            continue
        _take(node, node.attributes["then_branch" if condition.item() else "else_branch"].as_graph())
        folded = True
    return folded


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
