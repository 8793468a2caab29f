"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.booleans import carrier
from graphkit.ops.gradients import flat
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.cast import DTYPES
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

__all__ = ["diagonal_of", "matrix_of"]


def _steps(b: MxBuilder, data: MxRef, source: ir.Value, compare: str, k: int) -> MxRef:
    """A matrix of the shape of the last two axes: 1 where column - row compares to ``k``, in float32."""
    rows, columns = b.shape(source)[-2:]
    if isinstance(rows, int) and isinstance(columns, int):
        row = b.op("_arange", start=float(k), stop=float(k + rows), dtype="float32", name="rows")
        column = b.op("_arange", start=0.0, stop=float(columns), dtype="float32", name="columns")
    else:
        shape = b.op("Cast", data, dtype="float32")
        row = b.op("_contrib_arange_like", shape, axis=-2, start=float(k), name="rows")
        column = b.op("_contrib_arange_like", shape, axis=-1, name="columns")
    row = b.op("Reshape", row, shape=(-1, 1))
    column = b.op("Reshape", column, shape=(1, -1))
    return b.op(f"broadcast_{compare}", column, row)


def _write_trilu(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source = some(x[0]), some(node.inputs[0])
    k = 0 if len(node.inputs) < 2 or node.inputs[1] is None else b.number(node.inputs[1])
    if k is None:
        return Refusal("which diagonal it starts at is computed; MXNet needs it in the symbol", needs=node.inputs[1:])
    upper = node.attributes.get_int("upper", 1)
    kept = _steps(b, data, source, "greater_equal" if upper else "lesser_equal", int(k))
    for _ in range(b.rank(source) - 2):
        kept = b.op("expand_dims", kept, axis=0)
    if b.rank(source) > 2:
        kept = b.op("broadcast_like", kept, data)
    return b.op("where", kept, data, b.op("zeros_like", data))


def _write_eye(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, k = some(node.inputs[0]), node.attributes.get_int("k", 0)
    dtype = carrier(b, node.outputs[0]).name
    if dtype not in DTYPES:
        return Refusal(f"MXNet 1.9.1 does not compute in {dtype}; cast to another type")
    rows, columns = b.shape(source)
    if isinstance(rows, int) and isinstance(columns, int):
        return b.op("_eye", N=rows, M=columns, k=k, dtype=dtype)
    eye = _steps(b, some(x[0]), source, "equal", k)
    return eye if dtype == "float32" else b.op("Cast", eye, dtype=dtype)


def _torch_trilu(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    k: Any = 0
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        number = b.number(node.inputs[1])
        k = b.method("item", x[1]) if number is None else int(number)
    return b.method("triu" if node.attributes.get_int("upper", 1) else "tril", x[0], *(() if k == 0 else (k,)))


def _torch_eye(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    k = node.attributes.get_int("k", 0)
    dtype = b.dtype(node.outputs[0])
    other = None if dtype == b.dtype(some(node.inputs[0])) else b.torch_dtype(dtype)
    ones = b.call("torch.ones_like", x[0], dtype=other)
    at = (k,) if k else ()
    return b.method("tril", b.method("triu", ones, *at), *at)


def _read_eye(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value:
    rows, columns, k = int(node.attrs["N"]), int(node.attrs.get("M", "0")), int(node.attrs.get("k", "0"))
    check_elements(rows * (columns or rows), f"Node {node.name!r} ({node.op})")
    return b.const(np.eye(rows, columns or rows, k), np.dtype(node.attrs.get("dtype", "float32")))


def _read_diag(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, k = some(x[0]), int(node.attrs.get("k", "0"))
    rank = b.rank(data)
    if rank == 1:
        return matrix_of(b, data, k)
    first, second = (int(node.attrs.get(name, default)) % rank for name, default in (("axis1", "0"), ("axis2", "1")))
    return diagonal_of(b, data, k, (first, second))


def diagonal_of(b: OnnxBuilder, data: ir.Value, k: int, axes: tuple[int, int]) -> ir.Value | Refusal:
    """The k-th diagonal of the matrices that two axes span; it comes last."""
    rank = b.rank(data)
    order = [axis for axis in range(rank) if axis not in axes]
    turned = b.op("Transpose", data, perm=[*order, *axes])
    rows, columns = b.shape(turned)[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        return Refusal("the size of the matrix is not known; give the model's inputs fixed sizes")
    if not rows or not columns:
        return Refusal(f"a matrix of {rows}x{columns} has no elements")
    check_elements(min(rows, columns))
    places = np.arange(max(0, -k), max(0, -k, min(rows, columns - k)))
    flat = b.op("Reshape", turned, [0] * (rank - 2) + [rows * columns])
    return b.op("Gather", flat, places * (columns + 1) + k, axis=-1)


def matrix_of(b: OnnxBuilder, data: ir.Value, k: int) -> ir.Value:
    """The square matrix that has a vector on its k-th diagonal."""
    (size,) = b.static_shape(data)
    check_elements((size + abs(k)) ** 2)
    eye = np.eye(size + abs(k), k=k, dtype=bool)
    padded = b.op("Pad", data, [0, abs(k)]) if k else data
    lines = b.op("Unsqueeze", padded, [1 if k >= 0 else 0])
    return b.op("Where", eye, lines, b.const(np.zeros((), b.dtype(data))))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    return [b.op("Trilu", dy[0], *node.inputs[1:], upper=node.attributes.get_int("upper", 1))]


_X = arr(3, 4)


def _eye(name: str, **attrs: int) -> Case:
    return Case(name, (_X,), attrs, grad=False)


OPS = (
    Op(
        "Trilu",
        mx=(MxForm("where", write=_write_trilu, direction="write"),),
        torch=_torch_trilu,
        gradient=_gradient,
        cases=(
            Case("upper", (_X,)),
            Case("lower", (_X,), {"upper": 0}, dynamic=(0,)),
            Case("upper from a diagonal", (_X, int64(1)), const=(1,)),
            Case("lower to a diagonal", (arr(2, 2, 3, 4), int64(-1)), {"upper": 0}, const=(1,), dynamic=(0,)),
            Case("integers", (arr(3, 3, low=1, high=9, dtype="int64"),), grad=False),
            Case("truths", (arr(3, 3, dtype="bool"),), grad=False),
        ),
    ),
    Op(
        "EyeLike",
        mx=(
            MxForm(
                "_eye",
                read=_read_eye,
                reads=("N", "M", "k", "dtype"),
                ignore=("ctx",),
                write=_write_eye,
                cases=(
                    Case("square", (), {"N": 3}, grad=False),
                    Case("wide", (), {"N": 2, "M": 3, "k": 1, "dtype": "int64"}, grad=False),
                    Case("tall", (), {"N": 3, "M": 2, "k": -1, "ctx": "cpu(0)"}, grad=False),
                ),
            ),
        ),
        torch=_torch_eye,
        gradient=flat,
        cases=(
            _eye("default"),
            _eye("diagonal", k=-1),
            _eye("integers", dtype=int(ir.DataType.INT64), k=1),
            Case("free rows", (_X,), {"k": 1, "dtype": int(ir.DataType.INT32)}, dynamic=(0,), grad=False),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "diag",
                read=_read_diag,
                reads=("k", "axis1", "axis2"),
                direction="read",
                cases=(
                    Case("of a matrix", (_X,)),
                    Case("above", (_X,), {"k": 2}),
                    Case("below", (_X,), {"k": -1}),
                    Case("of the first axes", (arr(2, 3, 4),)),
                    Case("of given axes", (arr(2, 3, 4),), {"k": 1, "axis1": -1, "axis2": 1}),
                    Case("from a vector", (arr(3),)),
                    Case("from a vector, above", (arr(3),), {"k": 1}),
                    Case("from a vector, below", (arr(3),), {"k": -2}),
                ),
            ),
        ),
    ),
)
