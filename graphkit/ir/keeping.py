"""What becomes of nodes without canonical form in a model that is only looked at: they stay, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.errors import GraphkitError, UnsupportedError
from graphkit.ir.untranslated import set_untranslated

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["KEPT", "STUMBLES", "Keeping"]

KEPT: Final = "onnx"
"""Domain of nodes of ONNX's own operators that have no canonical form."""
STUMBLES: Final = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What rules may stumble over in nodes whose attributes, inputs and shapes contradict each other or are not known."""
_NAMED: Final = 3


class Keeping:
    """Keeps nodes that :func:`graphkit.ir.canonical.canonical` would refuse.

    A node of one of ONNX's own operators gets the domain ``"onnx"``, so that nothing takes it for canonical. Its
    outputs have the dtypes and shapes that the file says, if any.

    Attributes:
        contradictions: What contradicts itself in the model, as sentences.
    """

    def __init__(self) -> None:
        self.contradictions: list[str] = []

    def keep(self, node: ir.Node, error: Exception) -> None:
        """Keep a node that an error stands against."""
        if node.graph is None:
            return
        told = " ".join(str(error).split())
        if isinstance(error, UnsupportedError):
            reason = error.nodes[0].reason
        elif isinstance(error, GraphkitError):
            self.contradictions.append(told)
            reason = told.removeprefix(f"Node {node.name!r} ({node.op_type}) ").rstrip(".")
            reason = reason if reason == told.rstrip(".") else f"it {reason}"
        else:
            reason = f"its attributes and what it reads do not fit each other ({told})"
            self.contradictions.append(f"Node {node.name!r} ({node.op_type}): {reason}.")
        if node.domain in ("", "ai.onnx"):
            node.domain = KEPT
        set_untranslated(node, reason)

    def messages(self, label: str) -> list[str]:
        """What the user must know of the model, each a paragraph; the first few of many contradictions."""
        found = list(dict.fromkeys(self.contradictions))
        rest = len(found) - _NAMED
        more = [f"{label}: {rest} more nodes contradict what they read."] if rest > 0 else []
        return [*(f"{label}: {told}" for told in found[:_NAMED]), *more]
