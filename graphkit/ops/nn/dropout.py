"""Dropout in inference form, which follows the session's mode.

MXNet's ``axes`` (axes that share one mask) is unknown to ONNX and kept in the node's metadata; ``mode=always``, which
drops in inference too, is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from graphkit.ops.codec import ints, show
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, decimal, given
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_AXES = "graphkit.dropout_axes"


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    if node.attrs.get("mode", "training") == "always":
        return Refusal("mode=always drops at random in inference, too; use mode=training")
    data, share = x[0], np.float32(node.attrs.get("p", "0.5"))
    assert data is not None
    if not 0 <= share < 1:
        return Refusal(f"p={node.attrs['p']} is no share of elements that leaves any")
    result = b.op("Dropout", data, b.const(share))
    axes = ints(node.attrs.get("axes", "()"))
    producer = result.producer()
    if axes and producer is not None:
        producer.metadata_props[_AXES] = show(axes)
    return result


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data = x[0]
    assert data is not None
    ratio: float | None = 0.5
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        ratio = b.number(node.inputs[1])
    if ratio is None:
        return Refusal("its ratio is computed while it runs; MXNet needs it in the symbol", needs=node.inputs[1:])
    return b.op("Dropout", data, p=np.float32(ratio), axes=node.metadata_props.get(_AXES))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Sequence[Arg]:
    source, data = node.inputs[0], x[0]
    assert source is not None
    ratio = b.number(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else 0.5
    masked = len(node.outputs) > 1 and bool(node.outputs[1].uses() or node.outputs[1].is_graph_output())
    if ratio is None:
        ones = b.call("torch.ones_like", data) if masked else data
        drawn = b.call("F.dropout", ones, b.call("float", x[1]), Code("self.training"))
        return (b.infix("*", data, drawn), b.infix("!=", drawn, 0)) if masked else drawn
    if masked:
        ones = b.call("torch.ones_like", data)
        drawn = b.layer("nn.Dropout", (ones,), {}, *(() if ratio == 0.5 else (decimal(ratio),)))
        return b.infix("*", data, drawn), b.infix("!=", drawn, 0)
    if ratio == 0:
        return cast("Arg", data)
    p = () if ratio == 0.5 else (decimal(ratio),)
    axes = ints(node.metadata_props.get(_AXES, "()"))
    if not axes:
        return cast("Arg", b.layer("nn.Dropout", (data,), {}, *p))
    rank = b.rank(source)
    shared = {axis % rank for axis in axes}
    if rank in (3, 4, 5) and shared == set(range(2, rank)):
        return cast("Arg", b.layer(f"nn.Dropout{rank - 2}d", (data,), {}, *p))
    one = b.item(data, *(slice(1) if axis in shared else slice(None) for axis in range(max(shared) + 1)))
    mask = b.layer("nn.Dropout", (b.call("torch.ones_like", one),), {}, *p)
    return b.infix("*", data, mask)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """As the data passes: where the node may drop, by its own mask, over the share that is kept."""
    ratio, training = [*node.inputs[1:], None, None][:2]
    if training is None or dy[0] is None:
        return [dy[0]]
    always = b.value(training)
    if always is not None and not always.any():
        return [dy[0]]
    kept = b.op("Mul", dy[0], b.op("CastLike", b.output(node, 1), dy[0]))
    share = b.scalar(0.5, dy[0]) if ratio is None else b.op("CastLike", ratio, dy[0])
    scaled = b.op("Div", kept, b.op("Sub", b.scalar(1.0, dy[0]), share))
    return [scaled if always is not None else b.op("Where", training, scaled, dy[0])]


_DATA = arr(2, 3, 4)

OP = Op(
    "Dropout",
    mx=(
        MxForm(
            "Dropout",
            read=_read,
            reads=("p", "mode", "axes"),
            ignore=("cudnn_off",),
            write=_write,
            cases=(
                Case("defaults", (_DATA,)),
                Case("given", (_DATA,), {"p": 0.2, "mode": "training", "axes": (1, 2)}),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("defaults", (_DATA,), dynamic=(0,)),
        Case("ratio", (_DATA, given(0.2, "float32")), const=(1,)),
    ),
)
