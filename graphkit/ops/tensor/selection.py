"""Operators whose result has a size that depends on values.

MXNet runs them where it executes node by node (Gluon's SymbolBlock); Module and ``simple_bind`` infer all shapes
beforehand and refuse the symbol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import axis_of, some
from graphkit.ops.tensor.torch_sizes import along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_DEVIATION = "the size of its result depends on values, so the symbol runs in Gluon's SymbolBlock but not in Module"


def _write_compress(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, condition = some(x[0]), some(x[1])
    dims = b.shape(some(node.inputs[0]))
    axis = axis_of(node, len(dims)) if "axis" in node.attributes else None
    if axis is not None and (dims[axis] is None or b.shape(some(node.inputs[1])) != (dims[axis],)):
        return Refusal("its condition may be shorter than the axis, which MXNet's boolean_mask does not take")
    b.warn(_DEVIATION)
    if axis is None:
        data = b.op("Reshape", data, shape=(-1,))
        data = b.op("slice_like", data, condition)
    if not axis:
        return b.op("_contrib_boolean_mask", data, condition)
    turned = b.op("SwapAxis", data, dim1=0, dim2=axis)
    return b.op("SwapAxis", b.op("_contrib_boolean_mask", turned, condition), dim1=0, dim2=axis)


def _write_nonzero(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    if b.rank(some(node.inputs[0])) == 0:
        return Refusal("it looks into a 0-d array, which MXNet does not have")
    b.warn(_DEVIATION)
    return b.op("transpose", b.op("_npx_nonzero", some(x[0])), axes=(1, 0))


def _write_unique(_b: MxBuilder, _node: ir.Node, _x: Sequence[MxRef | None]) -> Refusal:
    return Refusal("MXNet's symbols have no operator that finds the different elements of an array")


def _read_mask(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    if node.attrs.get("axis", "0") != "0":
        return Refusal(f"its axis is {node.attrs['axis']}, and MXNet itself selects along axis 0 only")
    condition = some(x[1])
    if b.dtype(condition).kind != "b":
        condition = b.op("Cast", condition, to=ir.DataType.BOOL)
    return b.op("Compress", x[0], condition, axis=0)


def _torch_compress(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    data: Arg = x[0]
    source, condition = some(node.inputs[0]), some(node.inputs[1])
    dims: Sequence[Dim] = b.shape(source)
    axis = axis_of(node, len(dims)) if "axis" in node.attributes else None
    if axis is None:
        data, axis, dims = b.method("flatten", data), 0, (None,)
    same = dims[axis] is not None and b.shape(condition) == (dims[axis],)
    chosen = x[1] if same else b.method("squeeze", b.method("nonzero", x[1]), 1)
    return b.item(data, *along(axis, chosen, rank=len(dims)))


def _torch_nonzero(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.method("t", b.method("nonzero", x[0]))


def _read_nonzero(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Transpose", b.op("NonZero", x[0]), perm=[1, 0])


_X, _TRUTHS = arr(4, 3), given([True, False, True], "bool")
_SPARSE = given([[0.0, 1.5, 0.0], [-2.0, 0.0, 0.5]], "float32")

OPS = (
    Op(
        "Compress",
        mx=(
            MxForm(
                "_contrib_boolean_mask",
                read=_read_mask,
                reads=("axis",),
                write=_write_compress,
                cases=(Case("rows", (_X, given([1, 0, 2, 0], "float32")), grad=False),),
            ),
        ),
        torch=_torch_compress,
        cases=(
            Case("rows", (_X, given([True, False, False, True], "bool")), {"axis": 0}),
            Case("columns", (_X, _TRUTHS), {"axis": -1}, dynamic=(0,)),
            Case("flattened", (_X, _TRUTHS)),
        ),
    ),
    Op(
        "NonZero",
        mx=(
            MxForm(
                "_npx_nonzero",
                read=_read_nonzero,
                write=_write_nonzero,
                cases=(Case("matrix", (_SPARSE,), grad=False),),
            ),
        ),
        torch=_torch_nonzero,
        cases=(
            Case("matrix", (_SPARSE,), dynamic=(0,), grad=False),
            Case("integers", (given([0, 3, 0, 1], "int64"),), grad=False),
            Case("truths", (_TRUTHS,), grad=False),
        ),
    ),
    Op("Unique", mx=(MxForm("_npi_unique", write=_write_unique, direction="write"),)),
)
