"""Nodes of models that are only looked at: those that have no canonical form, with the reason.

A model that is converted has none of them. They keep the operator's own name in the domain of what the file speaks:
``"mxnet"`` for MXNet's, ``"torch.aten"``, ``"torch.torchvision"``, … for the namespaces of PyTorch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["set_untranslated", "untranslated"]

_REASON = "graphkit.untranslated"


def set_untranslated(node: ir.Node, reason: str) -> None:
    """Note why a node has no canonical form, as a clause without a full stop."""
    node.metadata_props[_REASON] = reason


def untranslated(node: ir.Node) -> str:
    """Why a node has no canonical form; empty for one that is in canonical form, or that nobody looked into."""
    return node.metadata_props.get(_REASON, "")
