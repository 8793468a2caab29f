"""What runtimes that only infer say to training mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.errors import UnsupportedError, UnsupportedNode
from graphkit.ir.edit import nodes_of
from graphkit.ops.nn.batch_norm import FROZEN

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.base import Mode

__all__ = ["refuse_training"]


def refuse_training(label: str, model: ir.Model, mode: Mode) -> None:
    """Refuse a mode in which a model computes something else than in inference.

    Without dropout that is where a BatchNormalization takes the statistics of the batch.

    Args:
        label: How people call the runtime.
        model: A canonical model.
        mode: The mode it is to be run in.

    Raises:
        UnsupportedError: The model is to be run in such a mode.
    """
    if mode == "train":
        raise UnsupportedError(
            label, [UnsupportedNode("training", model.graph.name or "model", "only inference runs there so far")]
        )
    reason = "only inference runs there so far, which does not normalise by the statistics of the batch"
    norms = [
        UnsupportedNode(node.op_type, node.name or "", reason)
        for node in nodes_of(model)
        if node.op_type == "BatchNormalization" and not node.domain and FROZEN not in node.metadata_props
    ]
    if mode == "train-no-dropout" and norms:
        raise UnsupportedError(label, norms)
