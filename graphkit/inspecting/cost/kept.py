"""What a forward pass keeps for the backward pass that follows: the memory that training takes beside parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from graphkit.errors import GraphkitError
from graphkit.inspecting.cost.count import Count, total
from graphkit.inspecting.cost.memory import fixed_nodes, root_of, value_bytes
from graphkit.ir.params import of_kind
from graphkit.ir.training import is_backward

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

__all__ = ["Kept", "kept_for_backward"]

_SHAPES: Final = frozenset({"Shape", "Size"})
"""Operators that read no number of their input."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Inputs and activations that a backward pass for the gradients of all parameters reads.

    Attributes:
        values: Bytes of each by its name; None where not known. Operators that are differentiated in parts have values
            between the parts, with names that the model does not have.
        why: Why nothing is known: the model cannot be differentiated. Empty where it can.
    """

    values: Mapping[str, Count | None] = field(default_factory=dict)
    why: str = ""

    @property
    def bytes(self) -> Count | None:
        """All of them together; None where it is not known."""
        return None if self.why or None in self.values.values() else total(self.values.values())


def kept_for_backward(model: ir.Model) -> Kept:
    """Find what has to stay in memory between a forward and a backward pass.

    It is what the graph of gradients that ``graphkit grad`` writes reads of the forward pass, each buffer once. PyTorch
    keeps the same of most layers. Building that graph takes longer than counting costs.

    Args:
        model: A canonical model without gradients; it is left as it is.
    """
    from graphkit.passes.gradient.model import gradient_model

    trained = [value.name for value in of_kind(model, "parameter") if value.dtype and value.dtype.is_floating_point()]
    names = [name for name in trained if name]
    if not names:
        return Kept()
    try:
        found = gradient_model(model, names)
    except GraphkitError as error:
        return Kept(why=str(error))
    fixed = fixed_nodes(found.graph)
    own = {value.name for value in model.graph.inputs}
    made = {value for value in found.graph.inputs if value.name in own and not value.is_initializer()}
    made |= {value for node in found.graph if not is_backward(node) and node not in fixed for value in node.outputs}
    kept: dict[ir.Value, None] = {}
    for node in found.graph:
        if not is_backward(node) or node.op_type in _SHAPES:
            continue
        kept.update((root, None) for value in node.inputs if value is not None and (root := root_of(value)) in made)
    return Kept({value.name or "": value_bytes(value) for value in kept})
