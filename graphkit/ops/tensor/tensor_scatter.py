"""Writing a piece into a cache at a place of its own in each sample (opset 24)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.spec import Op, Refusal
from graphkit.ops.tensor.sizes import some
from graphkit.ops.torchprogram import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    cache, update = some(node.inputs[0]), some(node.inputs[1])
    rank = b.rank(cache)
    axis = node.attributes.get_int("axis", -2) % rank
    if axis == 0:
        return Refusal("its axis 0 is that of the samples, each of which has a place of its own")
    place: Any = b.call("torch.arange", b.size(update, axis), device=Device(x[1]))
    if len(x) > 2 and x[2] is not None:
        place = b.infix("+", b.method("view", x[2], -1, 1), place)
        if node.attributes.get_string("mode", "linear") == "circular":
            place = b.infix("%", place, b.size(cache, axis))
    apart = len(x) > 2 and x[2] is not None
    shape = [-1 if k == 0 and apart else 1 for k in range(rank)]
    sizes: list[Arg] = [b.size(update, axis) if k == axis else size for k, size in enumerate(shape)]
    index = b.method("expand_as", b.method("view", place, *sizes), x[1])
    return b.method("scatter", x[0], axis, index, x[1])


OP = Op("TensorScatter", torch=_torch)
