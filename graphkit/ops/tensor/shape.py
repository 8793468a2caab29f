"""The sizes of an array as an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some
from graphkit.ops.torchprogram import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write_shape(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    rank = b.rank(some(node.inputs[0]))
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", rank)
    span = range(rank)[start:end]
    if not span:
        return Refusal("it makes an array without elements, which MXNet does not have")
    sizes = b.op("shape_array", some(x[0]))
    return sizes if len(span) == rank else b.op("slice_axis", sizes, axis=0, begin=span.start, end=span.stop)


def _write_size(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    return b.op("size_array", some(x[0]))


def _torch_shape(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    source = some(node.inputs[0])
    if source.shape is None and not node.attributes.keys() & {"start", "end"}:
        return b.call("torch.tensor", b.method("size", x[0]), device=Device(x[0]))
    rank = b.rank(source)
    span = range(rank)[node.attributes.get_int("start", 0) : node.attributes.get_int("end", rank)]
    dtype = None if span else b.torch_dtype("int64")
    return b.call("torch.tensor", [b.size(source, axis) for axis in span], dtype=dtype, device=Device(x[0]))


def _torch_size(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.call("torch.tensor", b.method("numel", x[0]), device=Device(x[0]))


def _read_shape(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Shape", x[0])


def _read_size(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Reshape", b.op("Size", x[0]), [1])


_X = arr(2, 3, 4)

OPS = (
    Op(
        "Shape",
        mx=(MxForm("shape_array", read=_read_shape, write=_write_shape, cases=(Case("any", (_X,), grad=False),)),),
        torch=_torch_shape,
        cases=(
            Case("all", (_X,), dynamic=(0,), grad=False),
            Case("some", (_X,), {"start": -2, "end": 9}, dynamic=(0,), grad=False),
            Case("first", (_X,), {"end": 1}, dynamic=(0,), grad=False),
        ),
    ),
    Op(
        "Size",
        mx=(MxForm("size_array", read=_read_size, write=_write_size, cases=(Case("any", (_X,), grad=False),)),),
        torch=_torch_size,
        cases=(Case("any", (_X,), dynamic=(0,), grad=False), Case("scalar", (arr(),), grad=False)),
    ),
)
