"""Training mode on runtimes that execute ONNX: they are given the model's training form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.passes.training_form import differs_in_training, in_training

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.base import Mode

__all__ = ["in_mode"]


def in_mode(model: ir.Model, mode: Mode) -> ir.Model:
    """What computes as a model does in a mode: the model itself where the mode makes no difference, else a copy.

    Args:
        model: A canonical model; it is left as it is.
        mode: How BatchNorm and Dropout are to behave.

    Raises:
        UnsupportedError: Nodes that have no training form, all of them.
    """
    dropout = mode == "train"
    if mode == "eval" or not differs_in_training(model, dropout=dropout):
        return model
    return in_training(model, dropout=dropout)
