"""Nodes of models that are only looked at: those that have no canonical form, with the reason.

A model that is converted has none of them. They keep the operator's own name in the domain of what the file speaks:
``"mxnet"`` for MXNet's, ``"torch.aten"``, ``"torch.torchvision"``, … for the namespaces of PyTorch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Conversion", "conversion_of", "set_untranslated", "untranslated"]

Conversion: TypeAlias = Literal["refused", "made", "unknown"]
"""What becomes of such a node where the model is converted rather than looked at: it is refused; it is taken apart into
several operators, by the framework it is from; or only that framework knows."""

_REASON = "graphkit.untranslated"
_CONVERSION = "graphkit.untranslated.conversion"


def set_untranslated(node: ir.Node, reason: str, conversion: Conversion = "refused") -> None:
    """Note why a node has no canonical form, as a clause without a full stop, and what becomes of it in conversion."""
    node.metadata_props[_REASON] = reason
    node.metadata_props[_CONVERSION] = conversion


def conversion_of(node: ir.Node) -> Conversion:
    """What becomes of a node without canonical form where the model is converted."""
    told: Any = node.metadata_props.get(_CONVERSION, "refused")
    return "made" if told == "made" else "unknown" if told == "unknown" else "refused"


def untranslated(node: ir.Node) -> str:
    """Why a node has no canonical form; empty for one that is in canonical form, or that nobody looked into."""
    return node.metadata_props.get(_REASON, "")
