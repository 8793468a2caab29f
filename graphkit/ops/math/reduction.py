"""Reductions.

MXNet has no 0-d arrays: reducing everything gives shape (1,), which is said with a Reshape on reading.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.dims import dims_of
from graphkit.ops.codec import BOOL, ints
from graphkit.ops.math.grad_reduction import REDUCTION
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, is_float, torch_lacks
from graphkit.ops.torchprogram import Var

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Torch, Write
    from graphkit.ops.torchprogram import Arg

    TorchReduce = Callable[[TorchBuilder, ir.Value, Arg, Arg, bool], Arg | Refusal]
    Reduce = Callable[[MxBuilder, MxRef, tuple[int, ...] | None, bool], MxRef]


def _axes(b: MxBuilder, node: ir.Node) -> tuple[int, ...] | Refusal | None:
    """The reduced axes; None for all of them, ``()`` for none."""
    given_axes = node.inputs[1] if len(node.inputs) > 1 else None
    if given_axes is None:
        return () if node.attributes.get_int("noop_with_empty_axes", 0) else None
    values = b.value(given_axes)
    if values is None:
        return Refusal("its axes are computed while it runs; MXNet needs them in the symbol", needs=node.inputs[1:])
    if not values.size:
        return () if node.attributes.get_int("noop_with_empty_axes", 0) else None
    return tuple(int(axis) for axis in values.reshape(-1))


def _writes(reduce: Reduce) -> Write:
    def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
        assert x[0] is not None
        axes = _axes(b, node)
        if isinstance(axes, Refusal):
            return axes
        keep = bool(node.attributes.get_int("keepdims", 1))
        if axes == ():
            return _elementwise(b, node.op_type, x[0])
        return reduce(b, x[0], axes, keep)

    return write


def _elementwise(b: MxBuilder, op_type: str, x: MxRef) -> MxRef:
    """What a reduction over no axes does to each element."""
    if op_type in ("ReduceL1", "ReduceL2"):
        return b.op("abs", x)
    if op_type == "ReduceSumSquare":
        return b.op("square", x)
    if op_type == "ReduceLogSum":
        return b.op("log", x)
    return b.op("_copy", x)


def _reduce(op: str) -> Reduce:
    return lambda b, x, axes, keep: b.op(op, x, axis=axes, keepdims=keep or None)


_SUM = _reduce("sum")


def _length(b: MxBuilder, x: MxRef, axes: tuple[int, ...] | None, keep: bool) -> MxRef:
    """The root of a sum of squares, with a gradient of 0 where the sum is, which MXNet's root has none at."""
    squares = _SUM(b, b.op("square", x), axes, keep)
    zero = b.op("_equal_scalar", squares, scalar=0.0)
    return b.op("elemwise_sub", b.op("sqrt", b.op("elemwise_add", squares, zero)), zero)


def _log_sum_exp(b: MxBuilder, x: MxRef, axes: tuple[int, ...] | None, keep: bool) -> MxRef:
    """Max + log Σ exp(x − max); the maximum is a shift without gradient."""
    top = b.op("BlockGrad", b.op("max", x, axis=axes, keepdims=True))
    total = b.op("log", b.op("sum", b.op("exp", b.op("broadcast_sub", x, top)), axis=axes, keepdims=True))
    result = b.op("broadcast_add", total, top)
    return result if keep else b.op("sum", result, axis=axes)


def _global_pool(kind: str) -> tuple[Callable[[MxBuilder, ir.Node], bool], Write]:
    """Mean or maximum over all spatial axes of an image, which MXNet's authors write as global pooling."""

    def fits(b: MxBuilder, node: ir.Node) -> bool:
        axes, data = _axes(b, node), node.inputs[0]
        if (
            not isinstance(axes, tuple)
            or data is None
            or data.shape is None
            or not node.attributes.get_int("keepdims", 1)
        ):
            return False
        rank = b.rank(data)
        spatial = {axis % rank for axis in axes} == set(range(2, rank))
        return rank in (4, 5) and spatial and b.dtype(data).kind == "f" and node.attributes.get_int("keepdims", 1) == 1

    def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
        assert x[0] is not None
        assert node.inputs[0] is not None
        kernel = (1,) * (b.rank(node.inputs[0]) - 2)
        return b.op("Pooling", x[0], global_pool=True, pool_type=kind, kernel=kernel)

    return fits, write


def _torch_axes(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """The reduced axes, as torch's ``dim``; None for all of them, ``()`` for none."""
    given_axes = node.inputs[1] if len(node.inputs) > 1 else None
    none = () if node.attributes.get_int("noop_with_empty_axes", 0) else None
    if given_axes is None:
        return none
    values = b.value(given_axes)
    if values is None:
        count = dims_of(given_axes)
        if none == () and count is not None and count[0] == 0:
            return none
        if none == () and (count is None or not isinstance(count[0], int)):
            return Refusal("its axes may turn out to be none")
        return b.method("tolist", x[1])
    axes = tuple(int(axis) for axis in values.reshape(-1))
    return none if not axes else axes[0] if len(axes) == 1 else axes


def _torch(reduce: TorchReduce, elementwise: str = "", *, floats: bool = False) -> Torch:
    """Emits a reduction.

    Args:
        reduce: Emits it over some axes.
        elementwise: What a reduction over no axes does to each element; empty where it does nothing.
        floats: Whether its numbers are no integers, so that ONNX leaves open how to round them to those.
    """

    def emit(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
        data = node.inputs[0]
        assert data is not None
        if (lacking := torch_lacks(b, node)) is not None:
            return lacking
        if floats and not is_float(b.dtype(data)):
            return Refusal("of integers it is no integer, and ONNX does not say how to round it; cast its input")
        dim = _torch_axes(b, node, x)
        if isinstance(dim, Refusal):
            return dim
        if node.op_type in ("ReduceMax", "ReduceMin") and data.shape is not None and 0 in b.shape(data):
            return b.call(
                "extreme_along",
                *x,
                keepdim=bool(node.attributes.get_int("keepdims", 1)) or None,
                largest=None if node.op_type == "ReduceMax" else False,
            )
        if node.op_type == "ReduceProd" and isinstance(dim, Var):
            keep = bool(node.attributes.get_int("keepdims", 1)) or None
            return b.call("prod_along", *x, keepdim=keep, **_kept_dtype(b, data))
        if dim == ():
            return b.call(elementwise, x[0]) if elementwise else x[0]
        return reduce(b, data, x[0], dim, bool(node.attributes.get_int("keepdims", 1)))

    return emit


def _kept_dtype(b: TorchBuilder, data: ir.Value) -> dict[str, Arg]:
    """Sums and products of integers have the dtype of their terms in ONNX, that of int64 in torch."""
    dtype = b.dtype(data)
    return {"dtype": b.torch_dtype(dtype)} if dtype.kind in "iu" and dtype != np.int64 else {}


def _torch_method(name: str, *before: str, after: str = "") -> TorchReduce:
    """A method that reduces over any number of axes, of elements that others change first; ``after`` ends it."""

    def reduce(b: TorchBuilder, data: ir.Value, x: Arg, dim: Arg, keep: bool) -> Arg:
        for step in before:
            x = b.method(step, x)
        if dim is None and (keep or name == "logsumexp"):
            dim = tuple(range(b.rank(data)))
        options = _kept_dtype(b, data) if name == "sum" else {}
        result = b.method(name, x, *(() if dim is None else (dim,)), keepdim=keep or None, **options)
        return b.method(after, result) if after else result

    return reduce


def _torch_norm(b: TorchBuilder, _data: ir.Value, x: Arg, dim: Arg, keep: bool) -> Arg:
    return b.call("torch.linalg.vector_norm", x, dim=dim, keepdim=keep or None)


def _torch_prod(b: TorchBuilder, data: ir.Value, x: Arg, dim: Arg, keep: bool) -> Arg | Refusal:
    """Torch multiplies along one axis at a time."""
    options = _kept_dtype(b, data)
    if dim is None and not keep:
        return b.method("prod", x, **options)
    if dim is None:
        dim = tuple(range(b.rank(data)))
    if isinstance(dim, tuple):
        axes = sorted((int(axis) % b.rank(data) for axis in dim if isinstance(axis, int)), reverse=True)
    elif isinstance(dim, int):
        axes = [dim]
    else:
        return Refusal("the number of its axes is not known")
    return functools.reduce(lambda found, axis: b.method("prod", found, axis, keepdim=keep or None, **options), axes, x)


def _selected(b: OnnxBuilder, node: MxNode, data: ir.Value) -> list[int] | None:
    """The reduced axes of an MXNet node; None for all of them."""
    text = node.attrs.get("axis", "None")
    axes = [] if text == "None" else list(ints(text))
    if not BOOL.parse(node.attrs.get("exclude", "False")):
        return axes or None
    rank = b.rank(data)
    kept = {axis % rank for axis in axes}
    return [axis for axis in range(rank) if axis not in kept]


def _reduced(b: OnnxBuilder, onnx: str, node: MxNode, data: ir.Value) -> ir.Value:
    axes = _selected(b, node, data)
    keep = BOOL.parse(node.attrs.get("keepdims", "False"))
    result = b.op(onnx, data, axes, keepdims=keep)
    everything = axes is None or (data.shape is not None and len(axes) == b.rank(data))
    return b.op("Reshape", result, [1]) if everything and not keep else result


def _reads(onnx: str) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        return _reduced(b, onnx, node, x[0])

    return read


def _reads_without_nan(onnx: str, neutral: float) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        clean = b.op("Where", b.op("IsNaN", x[0]), b.scalar(neutral, x[0]), x[0])
        return _reduced(b, onnx, node, clean)

    return read


def _read_norm(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    assert x[0] is not None
    if node.attrs.get("out_dtype", "None") != "None":
        return Refusal("its out_dtype asks for another precision; use Cast")
    order = node.attrs.get("ord", "2")
    if order not in ("1", "2"):
        return Refusal(f"MXNet itself knows norms of order 1 and 2 only, not {order}")
    if order == "2" and not is_float(b.dtype(x[0])):
        return Refusal(
            f"MXNet rounds its sum of {b.dtype(x[0]).name} numbers at every step; cast them to floats before"
        )
    return _reduced(b, f"ReduceL{order}", node, x[0])


_X = arr(2, 3, 4, low=0.2, high=2.0)
_READS = ("axis", "keepdims", "exclude")


def _read_cases() -> tuple[Case, ...]:
    return (
        Case("all", (_X,)),
        Case("empty axes", (_X,), {"axis": "()"}),
        Case("one axis", (_X,), {"axis": "1"}),
        Case("two axes kept", (_X,), {"axis": "(0, -1)", "keepdims": "1"}),
        Case("excluded", (_X,), {"axis": "[1]", "exclude": True}),
        Case("all by name", (_X,), {"axis": "(0, 1, 2)"}),
        Case("all kept", (_X,), {"keepdims": True}),
    )


def _cases() -> tuple[Case, ...]:
    return (
        Case("all", (_X,), {"keepdims": 0}),
        Case("all kept", (_X,)),
        Case("one axis", (_X, given([1], "int64")), {"keepdims": 0}, const=(1,), dynamic=(0,)),
        Case("two axes kept", (_X, given([0, -1], "int64")), const=(1,)),
        Case("no axes", (_X, None), {"noop_with_empty_axes": 1}),
        Case("empty axes", (_X, given([], "int64")), {"keepdims": 0}, const=(1,)),
    )


_TORCH = {
    "ReduceSum": _torch(_torch_method("sum")),
    "ReduceMean": _torch(_torch_method("mean"), floats=True),
    "ReduceMax": _torch(_torch_method("amax")),
    "ReduceMin": _torch(_torch_method("amin")),
    "ReduceProd": _torch(_torch_prod),
    "ReduceL1": _torch(_torch_method("sum", "abs"), "torch.abs"),
    "ReduceL2": _torch(_torch_norm, "torch.abs", floats=True),
    "ReduceSumSquare": _torch(_torch_method("sum", "square"), "torch.square"),
    "ReduceLogSum": _torch(_torch_method("sum", after="log"), "torch.log", floats=True),
    "ReduceLogSumExp": _torch(_torch_method("logsumexp"), floats=True),
}


def _reduction(onnx: str, reduce: Reduce, mx: str = "", first: tuple[MxForm, ...] = ()) -> Op:
    forms = [*first, MxForm(mx or "sum", write=_writes(reduce), direction="write")]
    if mx:
        forms.append(MxForm(mx, read=_reads(onnx), reads=_READS, direction="read", cases=_read_cases()))
    return Op(onnx, mx=tuple(forms), torch=_TORCH[onnx], cases=_cases(), gradient=REDUCTION[onnx])


def _pooled(onnx: str, kind: str) -> Op:
    fits, write = _global_pool(kind)
    pooling = MxForm("Pooling", when=fits, write=write, direction="write")
    mx = {"avg": "mean", "max": "max"}[kind]
    op = _reduction(onnx, _reduce(mx), mx, (pooling,))
    images = (
        Case("image", (arr(2, 3, 4, 5), given([2, 3], "int64")), const=(1,), dynamic=(0,)),
        Case("image, flat", (arr(2, 3, 4, 5), given([-1, -2], "int64")), {"keepdims": 0}, const=(1,)),
    )
    return replace(op, cases=(*op.cases, *images))


def _of_nothing(op: Op) -> Op:
    rows = given([[3.0, -4.0], [0.0, 0.0], [0.5, 0.0]], "float32")
    return replace(op, cases=(*op.cases, Case("a row of zeros", (rows, given([1], "int64")), const=(1,))))


_WITH_NAN = given([[1.0, float("nan"), 3.0], [2.0, 0.5, float("nan")]], "float32")

OPS = (
    _reduction("ReduceSum", _SUM, "sum"),
    _pooled("ReduceMean", "avg"),
    _pooled("ReduceMax", "max"),
    _reduction("ReduceMin", _reduce("min"), "min"),
    _reduction("ReduceProd", _reduce("prod"), "prod"),
    _reduction("ReduceL1", lambda b, x, axes, keep: _SUM(b, b.op("abs", x), axes, keep)),
    _of_nothing(_reduction("ReduceL2", _length)),
    _reduction("ReduceSumSquare", lambda b, x, axes, keep: _SUM(b, b.op("square", x), axes, keep)),
    _reduction("ReduceLogSum", lambda b, x, axes, keep: b.op("log", _SUM(b, x, axes, keep))),
    _reduction("ReduceLogSumExp", _log_sum_exp),
    Op(
        "",
        mx=(
            MxForm(
                "norm",
                read=_read_norm,
                reads=("ord", "axis", "keepdims", "out_dtype"),
                direction="read",
                cases=(
                    Case("all", (_X,)),
                    Case("first order", (_X,), {"ord": "1", "axis": "1"}),
                    Case("two axes", (_X,), {"axis": "(1, 2)", "keepdims": True}),
                ),
            ),
            MxForm(
                "nansum",
                read=_reads_without_nan("ReduceSum", 0.0),
                reads=_READS,
                direction="read",
                cases=(Case("rows", (_WITH_NAN,), {"axis": "1"}, grad=False),),
            ),
            MxForm(
                "nanprod",
                read=_reads_without_nan("ReduceProd", 1.0),
                reads=_READS,
                direction="read",
                cases=(Case("rows", (_WITH_NAN,), {"axis": "1"}, grad=False),),
            ),
        ),
    ),
)
