"""The one form in which models flow: see :func:`canonical`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_ir.passes import common

from graphkit.ir.opset import OPSET
from graphkit.ir.shapes import infer_shapes

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["OPSET", "canonical"]


def canonical(model: ir.Model) -> ir.Model:
    """Bring a model into canonical form, in place.

    Returns:
        The same model.
    """
    for step in (
        common.InlinePass(),
        common.RemoveInitializersFromInputsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.NameFixPass(),
    ):
        step(model)
    infer_shapes(model)
    return model
