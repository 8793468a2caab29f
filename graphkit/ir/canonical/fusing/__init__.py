"""Several nodes that spell an operation out, as the one node that ONNX has for it: see :func:`fuse`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ir.canonical.fusing.attention import fuse_attention
from graphkit.ir.canonical.fusing.flat_layers import unflatten
from graphkit.ir.canonical.fusing.gathering import plain_gather
from graphkit.ir.canonical.fusing.gelu import fuse_gelu
from graphkit.ir.canonical.fusing.normalizing import fuse_bias, fuse_scale
from graphkit.ir.canonical.fusing.refining import refine_attention
from graphkit.ir.canonical.fusing.softmax import fuse_softmax
from graphkit.ir.edit import Editor, nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

__all__ = ["fuse"]


def fuse(model: ir.Model) -> bool:
    """Put one node in place of several that spell it out, in place; shapes must have been inferred.

    Only what gives the same numbers and gradients, to rounding in float64, is fused, and only where nothing else reads
    what is computed on the way. Each pattern is told in its module of this package.

    Returns:
        Whether anything changed.
    """
    changed = False
    for node in nodes_of(model):
        rule = _RULES.get(node.op_type)
        if rule is not None and not node.domain and node.graph is not None and rule(Editor(model, node)):
            changed = True
    return changed


def _product(edit: Editor) -> bool:
    return fuse_gelu(edit) or fuse_scale(edit)


def _quotient(edit: Editor) -> bool:
    return fuse_gelu(edit) or fuse_softmax(edit)


_RULES: Final[dict[str, Callable[[Editor], bool]]] = {
    "Add": fuse_bias,
    "Attention": refine_attention,
    "Div": _quotient,
    "GatherND": plain_gather,
    "MatMul": fuse_attention,
    "Mul": _product,
    "Reshape": unflatten,
}
"""By the operator of the last node of a pattern."""
