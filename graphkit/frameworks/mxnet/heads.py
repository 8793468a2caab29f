"""MXNet's output layers: operators that ignore the gradient from above and inject that of a loss of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from graphkit.ops.mxgraph import MxGraph

__all__ = ["HEADS", "PENALTY", "PLAIN", "label_names"]

PENALTY: Final = "IdentityAttachKLSparseReg"
"""Hands its input on; its backward pass adds the gradient of a penalty."""

PLAIN: Final = {
    "LinearRegressionOutput": "_copy",
    "LogisticRegressionOutput": "sigmoid",
    "MAERegressionOutput": "_copy",
    "MakeLoss": "_copy",
    "SVMOutput": "_copy",
    "make_loss": "_copy",
}
"""The operator that computes what an output layer does, where it is one without parameters."""
HEADS: Final = frozenset({"SoftmaxOutput", *PLAIN})
"""All of them."""


def label_names(graph: MxGraph) -> set[str]:
    """Names of the variables that output layers take their labels from."""
    heads = [node for node in graph.nodes if node.op in HEADS and len(node.inputs) > 1]
    return {node.inputs[1].node.name for node in heads if node.inputs[1].node.is_variable}
