"""Operators whose result has a size that depends on values.

MXNet runs them where it executes node by node (Gluon's SymbolBlock); Module and ``simple_bind`` infer all shapes
beforehand and refuse the symbol.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.grad_gather import picked
from graphkit.ops.tensor.sizes import axis_of, mx_axis, some
from graphkit.ops.tensor.torch_index import along
from graphkit.ops.torchprogram import Device, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_DEVIATION = "the size of its result depends on values, so the symbol runs in Gluon's SymbolBlock but not in Module"


def _too_long(b: MxBuilder | TorchBuilder, node: ir.Node, size: Dim) -> Refusal | None:
    """Why a condition is none of an axis: ONNX lets it be shorter."""
    (length,) = b.shape(some(node.inputs[1]))
    if isinstance(length, int) and isinstance(size, int) and length > size:
        return Refusal(f"its condition has {length} elements, and there are {size} to choose from")
    return None


def _chosen_from(dims: Sequence[Dim], axis: int | None) -> Dim:
    """Elements of an axis, of the whole array where there is none."""
    known = [dim for dim in dims if isinstance(dim, int)]
    return dims[axis] if axis is not None else prod(known) if len(known) == len(dims) else None


def _write_compress(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, condition = some(x[0]), some(x[1])
    dims = b.shape(some(node.inputs[0]))
    axis = axis_of(node, len(dims)) if "axis" in node.attributes else None
    if (refusal := _too_long(b, node, _chosen_from(dims, axis))) is not None:
        return refusal
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


def _write_unique(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    source = some(node.inputs[0])
    if b.dtype(source).kind == "O":
        return Refusal("MXNet has no strings; encode them before the model")
    in_order = bool(node.attributes.get_int("sorted", 1))
    axis = axis_of(node, b.rank(source)) if "axis" in node.attributes else None
    b.warn(_DEVIATION)
    found = b.ops("_npi_unique", 4, some(x[0]), axis=axis, return_index=True, return_inverse=True, return_counts=True)
    if not in_order:
        order = b.op("argsort", found[1], dtype="int64")
        places = b.op("argsort", order, dtype="int64")
        inverse = b.op("take", places, found[2])
        found = (b.op("take", found[0], order, axis=axis), *(b.op("take", part, order) for part in found[1:]))
        found = (*found[:2], inverse, found[3])
    return found[: len(node.outputs)]


def _read_unique(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    data, axis = some(x[0]), mx_axis(node)
    if b.rank(data) == 0:
        data = b.op("Reshape", data, [1])
    names = ("return_index", "return_inverse", "return_counts")
    asked = [True, *(bool(BOOL.parse(node.attrs.get(name, "False"))) for name in names)]
    last = max(number for number, yes in enumerate(asked) if yes)
    found = b.ops("Unique", last + 1, data, axis=axis)
    return [value for value, yes in zip(found, asked, strict=False) if yes]


def _read_mask(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    if node.attrs.get("axis", "0") != "0":
        return Refusal(f"its axis is {node.attrs['axis']}, and MXNet itself selects along axis 0 only")
    condition = some(x[1])
    if b.dtype(condition).kind != "b":
        condition = b.op("Cast", condition, to=ir.DataType.BOOL)
    return b.op("Compress", x[0], condition, axis=0)


def _torch_compress(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    data: Arg = x[0]
    source, condition = some(node.inputs[0]), some(node.inputs[1])
    dims: Sequence[Dim] = b.shape(source)
    axis = axis_of(node, len(dims)) if "axis" in node.attributes else None
    if (refusal := _too_long(b, node, _chosen_from(dims, axis))) is not None:
        return refusal
    if axis is None:
        data, axis, dims = b.method("flatten", data), 0, (None,)
    same = dims[axis] is not None and b.shape(condition) == (dims[axis],)
    chosen = x[1] if same else b.method("squeeze", b.method("nonzero", x[1]), 1)
    return b.item(data, *along(axis, chosen, rank=len(dims)))


def _torch_nonzero(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.method("t", b.method("nonzero", x[0]))


def _torch_unique(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    """Torch tells where each element went and how many are equal; which came first follows from where they went."""
    data: Arg = x[0]
    axis = node.attributes.get_int("axis", 0) if "axis" in node.attributes else None
    if axis is None:
        data = b.method("flatten", data)
    needed = [bool(output.uses()) or output.is_graph_output() for output in node.outputs]
    first, inverse, counts = [*needed[1:], False, False, False][:3]
    in_order = bool(node.attributes.get_int("sorted", 1))
    options: dict[str, Arg] = {"dim": axis}
    options["return_inverse"] = True if inverse or first or not in_order else None
    options["return_counts"] = True if counts else None
    results = iter(b.calls("torch.unique", 1 + sum(flag is True for flag in options.values()), data, **options))
    found: Any = next(results)
    places: Any = next(results) if options["return_inverse"] else None
    numbers: Arg = next(results) if counts else None
    if places is None or not (first or not in_order):
        return [found, None, places, numbers][: len(node.outputs)]
    total, device = Size(places, 0), Device(places)
    shape = (Size(found, axis or 0),)
    latest = b.call("torch.full", shape, total, device=device)
    earliest = b.method("scatter_reduce", latest, 0, places, b.call("torch.arange", total, device=device), "amin")
    if in_order:
        return [found, earliest, places, numbers][: len(node.outputs)]
    order = b.method("argsort", earliest)
    found = b.method("index_select", found, axis or 0, order)
    counted = b.item(numbers, order) if counts else None
    places = b.item(b.method("argsort", order), places)
    return [found, b.item(earliest, order), places, counted][: len(node.outputs)]


def _read_nonzero(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    line = b.op("Reshape", data, [1]) if b.rank(data) == 0 else data
    return b.op("Transpose", b.op("NonZero", line), perm=[1, 0])


def _gradient_compress(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    chosen = b.op("Reshape", b.op("NonZero", node.inputs[1]), [-1])
    return [_of_chosen(b, node, dy[0], chosen)]


def _gradient_unique(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Of equal elements the first has the gradient of the one that is kept; how many there are is flat."""
    return [None if dy[0] is None else _of_chosen(b, node, dy[0], b.output(node, 1))]


def _of_chosen(b: GradientBuilder, node: ir.Node, gradient: ir.Value, chosen: ir.Value) -> ir.Value:
    """The gradient in what slices along the axis of a node, or elements where it has none, were chosen from."""
    source = some(node.inputs[0])
    if "axis" in node.attributes:
        return picked(b, gradient, source, chosen, axis_of(node, b.rank(source)))
    return b.like(picked(b, gradient, b.op("Reshape", source, [-1]), chosen, 0), source)


_X, _TRUTHS = arr(4, 3), given([True, False, True], "bool")
_REPEATED = given([[2.5, -1.0, 2.5], [0.5, -1.0, 2.5]], "float32")
_ROWS = given([[2.0, 2.0], [1.0, 1.0], [2.0, 2.0]], "float32")
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
        gradient=_gradient_compress,
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
                cases=(Case("matrix", (_SPARSE,), grad=False), Case("scalar", (given(2.0, "float32"),), grad=False)),
            ),
        ),
        torch=_torch_nonzero,
        cases=(
            Case("matrix", (_SPARSE,), dynamic=(0,), grad=False),
            Case("integers", (given([0, 3, 0, 1], "int64"),), grad=False),
            Case("truths", (_TRUTHS,), grad=False),
        ),
    ),
    Op(
        "Unique",
        mx=(
            MxForm(
                "_npi_unique",
                read=_read_unique,
                reads=("return_index", "return_inverse", "return_counts", "axis"),
                write=_write_unique,
                cases=(
                    Case("values", (_REPEATED,), grad=False),
                    Case(
                        "everything",
                        (_REPEATED,),
                        {"return_index": True, "return_inverse": 1, "return_counts": True},
                        outputs=4,
                        grad=False,
                    ),
                    Case("counts", (_REPEATED,), {"return_counts": True, "axis": "None"}, outputs=2, grad=False),
                    Case("rows", (_ROWS,), {"axis": 0, "return_inverse": True}, outputs=2, grad=False),
                    Case("scalar", (given(2.0, "float32"),), grad=False),
                ),
            ),
        ),
        torch=_torch_unique,
        gradient=_gradient_unique,
        cases=(
            Case("values", (_REPEATED,), dynamic=(0,), grad=False),
            Case("everything", (_REPEATED,), outputs=4, grad=False),
            Case(
                "in order of appearance",
                (given([2.5, -1.0, 2.5, 0.5], "float32"),),
                {"sorted": 0},
                outputs=4,
                grad=False,
            ),
            Case("rows", (_ROWS,), {"axis": 0}, outputs=4, grad=False),
            Case("rows in order of appearance", (_ROWS,), {"axis": 0, "sorted": 0}, outputs=4, grad=False),
            Case("columns", (_ROWS,), {"axis": 1}, outputs=4, grad=False),
            Case("integers", (given([3, 1, 3], "int64"),), grad=False),
        ),
    ),
)
