"""What of a model is left to chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ir.edit import graphs_in
from graphkit.ir.own import DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["active_dropouts", "drawing", "note_active", "random_values"]

_ACTIVE: Final = "graphkit.active"

_RANDOM: Final = frozenset(
    [
        *(
            ("", name)
            for name in (
                "Bernoulli",
                "Multinomial",
                "RandomNormal",
                "RandomNormalLike",
                "RandomUniform",
                "RandomUniformLike",
            )
        ),
        (DOMAIN, "RandomGamma"),
        (DOMAIN, "RandomPoisson"),
    ]
)
"""Operators that draw random numbers whatever the mode; Dropout draws in training mode only."""


def note_active(node: ir.Node) -> None:
    """Note that a Dropout is active in its source whatever the mode, which the canonical form does not keep."""
    node.metadata_props[_ACTIVE] = "1"


def active_dropouts(model: ir.Model) -> list[str]:
    """Names of the Dropouts of the main graph that are active in the model's source whatever the mode."""
    return [node.name or "" for node in model.graph if _ACTIVE in node.metadata_props]


def drawing(node: ir.Node) -> list[ir.Node]:
    """The nodes that draw random numbers: the node itself, or nodes of graphs nested in it."""
    inner = [each for graph in graphs_in(node) for each in graph]
    return [each for each in (node, *inner) if (each.domain, each.op_type) in _RANDOM or _drops(each)]


def _drops(node: ir.Node) -> bool:
    """Whether a node is a Dropout that may drop: in canonical form none does, in training form all do."""
    if node.op_type != "Dropout" or node.domain or len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    training = node.inputs[2].const_value
    return training is None or bool(training.numpy().any())


def random_values(model: ir.Model) -> dict[str, str]:
    """Values of the main graph whose numbers depend on random ones: by name the name of a node that draws.

    A node draws if a node of a graph nested in it does. No two runs, let alone two frameworks, draw the same numbers.
    """
    source: dict[ir.Value, str] = {}
    for node in model.graph:
        read = [value for value in node.inputs if value is not None]
        inner = [each for graph in graphs_in(node) for each in graph]
        read += [value for each in inner for value in each.inputs if value is not None]
        found = next((each.name or "" for each in drawing(node)), None)
        if found is None:
            found = next((source[value] for value in read if value in source), None)
        if found is not None:
            source.update(dict.fromkeys(node.outputs, found))
    return {value.name or "": node for value, node in source.items()}
