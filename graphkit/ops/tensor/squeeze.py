"""Dropping and inserting axes of size 1. What loses its last axis keeps the shape (1,) in MXNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.symbols import shape_of
from graphkit.ops.codec import ints
from graphkit.ops.gradients import reshaping
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.reshape import reshape_to
from graphkit.ops.tensor.sizes import constant_ints, rank_is_known, some
from graphkit.ops.tensor.torch_index import cut_out
from graphkit.ops.tensor.torch_reshape import reshaped, unshaped, unsqueezed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write_squeeze(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source = some(x[0]), some(node.inputs[0])
    if len(node.inputs) < 2 or node.inputs[1] is None:
        return b.op("squeeze", data)
    axes = constant_ints(b, node, 1)
    if axes is None:
        return reshape_to(b, node, data, source, node.outputs[0])
    return b.op("squeeze", data, axis=axes) if axes and (not rank_is_known(source) or b.rank(source)) else data


def _write_unsqueeze(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source = some(x[0]), some(node.inputs[0])
    axes = constant_ints(b, node, 1)
    if axes is None:
        return reshape_to(b, node, data, source, node.outputs[0])
    if len(axes) == 1 and (not rank_is_known(source) or b.rank(source)):
        return b.op("expand_dims", data, axis=axes[0])
    rank = b.rank(source) + len(axes)
    if rank == len(axes):
        return data if rank == 1 else b.op("Reshape", data, shape=(1,) * rank)
    for axis in sorted(axis % rank for axis in axes):
        data = b.op("expand_dims", data, axis=axis)
    return data


def _torch_squeeze(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    made = cut_out(b, node.outputs[0]) or _at_once(b, node)
    if made is not None:
        return made
    if len(node.inputs) < 2 or node.inputs[1] is None:
        return b.method("squeeze", x[0])
    axes = constant_ints(b, node, 1)
    if axes is None:
        return _reshaped(b, node, x)
    if not axes:
        unchanged: Arg = x[0]
        return unchanged
    return b.method("squeeze", x[0], axes[0] if len(axes) == 1 else axes)


def _torch_unsqueeze(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    made = _at_once(b, node)
    if made is not None:
        return made
    axes = constant_ints(b, node, 1)
    if axes is None:
        return _reshaped(b, node, x)
    if len(axes) == 1:
        return b.method("unsqueeze", x[0], axes[0])
    rank = b.rank(some(node.inputs[0])) + len(axes)
    return unsqueezed(b, x[0], sorted(axis % rank for axis in axes), rank)


def _at_once(b: TorchBuilder, node: ir.Node) -> Arg | None:
    """This reshaping and those just before it as one; None where there are none."""
    source = some(node.inputs[0])
    first, want = unshaped(source), shape_of(node.outputs[0])
    return None if first is source or want is None else reshaped(b, node, b.arg(first), first, want)


def _reshaped(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source = some(node.inputs[0])
    want = shape_of(node.outputs[0])
    made = None if want is None else reshaped(b, node, x[0], source, want)
    return made if made is not None else Refusal("its axes are computed", needs=node.inputs[1:])


def _read_squeeze(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, text = some(x[0]), node.attrs.get("axis", "None")
    if text == "None":
        dims = b.shape(data)
        axes = tuple(axis for axis, dim in enumerate(dims) if dim == 1)
        free = [str(dim) for dim in dims if not isinstance(dim, int)]
        if free:
            b.warn(f"it drops every axis that happens to have size 1; the free size {free[0]} is taken to be another")
    else:
        axes = ints(text)
    if not axes:
        return b.op("Identity", data)
    if rank_is_known(data) and len(axes) == b.rank(data):
        return b.op("Reshape", data, [1])
    return b.op("Squeeze", data, axes)


def _read_expand_dims(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Unsqueeze", x[0], [int(node.attrs["axis"])])


_X, _ONES = arr(2, 3, 4), arr(1, 3, 1, 2, 1)

OPS = (
    Op(
        "Squeeze",
        mx=(
            MxForm(
                "squeeze",
                read=_read_squeeze,
                reads=("axis",),
                write=_write_squeeze,
                cases=(
                    Case("all", (_ONES,)),
                    Case("one", (_ONES,), {"axis": 2}),
                    Case("some", (_ONES,), {"axis": (-1, 0)}),
                    Case("none", (_ONES,), {"axis": "()"}),
                    Case("last axis left", (arr(1, 1),)),
                    Case("nothing left", (arr(1),), {"axis": 0}),
                ),
            ),
        ),
        torch=_torch_squeeze,
        gradient=reshaping,
        cases=(
            Case("axes", (_ONES, int64([0, -1])), const=(1,)),
            Case("all", (_ONES,)),
            Case("free batch", (arr(2, 3, 1), int64([2])), const=(1,), dynamic=(0,)),
            Case("no axes", (_ONES, int64([])), const=(1,)),
            Case("to a scalar", (arr(1, 1), int64([0, 1])), const=(1,)),
            Case("truths", (arr(2, 1, dtype="bool"), int64([1])), const=(1,), grad=False),
        ),
    ),
    Op(
        "Unsqueeze",
        mx=(
            MxForm(
                "expand_dims",
                read=_read_expand_dims,
                reads=("axis",),
                write=_write_unsqueeze,
                cases=(Case("front", (_X,), {"axis": 0}), Case("back", (_X,), {"axis": -1})),
            ),
        ),
        torch=_torch_unsqueeze,
        gradient=reshaping,
        cases=(
            Case("one", (_X, int64([1])), const=(1,), dynamic=(0,)),
            Case("behind", (_X, int64([-1])), const=(1,)),
            Case("several", (_X, int64([4, 0, -4])), const=(1,), dynamic=(0,)),
            Case("scalar to vector", (arr(), int64([0])), const=(1,)),
            Case("scalar to matrix", (arr(), int64([0, 1])), const=(1,)),
            Case("truths", (arr(2, dtype="bool"), int64([1])), const=(1,), grad=False),
        ),
    ),
)
