"""What a loop of torch source collects in a list, as one tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["empty", "is_read", "stacked"]


def is_read(value: ir.Value) -> bool:
    """Whether anything needs a value."""
    return bool(value.uses()) or value.is_graph_output()


def stacked(b: TorchBuilder, values: Arg, like: ir.Value, axis: int = 0, *, reverse: bool = False) -> Arg:
    """The tensors of a list along a new axis.

    Args:
        b: The builder.
        values: The list, which is not empty.
        like: One of them in the model.
        axis: The new axis.
        reverse: Whether the last one comes first.
    """
    ordered = b.item(values, slice(None, None, -1)) if reverse else values
    place = axis + b.rank(like) + 1 if axis < 0 else axis
    return b.call("torch.stack", ordered, place) if place else b.call("torch.stack", ordered)


def empty(b: TorchBuilder, like: ir.Value, axis: int = 0) -> Arg:
    """What :func:`stacked` would give for no tensor at all; a size that is not known is 0."""
    sizes = [size if isinstance(size, int) else 0 for size in b.shape(like)]
    sizes.insert(axis if axis >= 0 else axis + len(sizes) + 1, 0)
    dtype = b.torch_dtype(b.dtype(like))
    return b.call("torch.zeros", *sizes, dtype=None if dtype == Code("torch.float32") else dtype)
