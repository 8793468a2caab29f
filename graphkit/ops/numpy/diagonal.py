"""Diagonals in MXNet's NumPy interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.numpy.parameters import axis_in
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.diagonal import diagonal_of, matrix_of
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _read_diag(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, k = some(x[0]), int(node.attrs.get("k", "0"))
    if b.rank(data) not in (1, 2):
        return Refusal(f"it reads vectors and matrices, not arrays of {b.rank(data)} axes")
    return matrix_of(b, data, k) if b.rank(data) == 1 else diagonal_of(b, data, k, (0, 1))


def _read_diagflat(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    if b.rank(data) == 0:
        return Refusal("MXNet makes no matrix of a scalar; reshape it to (1,)")
    flat = data if b.rank(data) == 1 else b.op("Reshape", data, [-1])
    return matrix_of(b, flat, int(node.attrs.get("k", "0")))


def _diagonal(b: OnnxBuilder, node: MxNode, data: ir.Value) -> ir.Value | Refusal:
    rank = b.rank(data)
    axes = tuple(
        axis_in(int(node.attrs.get(name, default)), rank) for name, default in (("axis1", "0"), ("axis2", "1"))
    )
    if axes[0] == axes[1]:
        return Refusal(f"its axes are both {axes[0]}, which spans no matrix")
    return diagonal_of(b, data, int(node.attrs.get("offset", "0")), (axes[0], axes[1]))


def _read_diagonal(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    return _diagonal(b, node, some(x[0]))


def _read_trace(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    diagonal = _diagonal(b, node, some(x[0]))
    return diagonal if isinstance(diagonal, Refusal) else b.op("ReduceSum", diagonal, [-1], keepdims=0)


def _read_indices_from(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    sizes = b.static_shape(some(x[0]))
    if len(sizes) < 2 or len(set(sizes)) != 1:
        return Refusal(f"what it reads has sizes {sizes}; they must be equal, of two axes at least")
    check_elements(sizes[0] * len(sizes))
    return b.const(np.tile(np.arange(sizes[0]), (len(sizes), 1)))


_X, _CUBE = arr(3, 4), arr(2, 3, 4)


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


_FORMS = (
    _form(
        "_np_diag",
        _read_diag,
        ("k",),
        Case("of a matrix", (_X,)),
        Case("above", (_X,), {"k": 2}),
        Case("from a vector", (arr(3),)),
        Case("from a vector, below", (arr(3),), {"k": -2}),
        Case("integers", (arr(3, low=1, high=9, dtype="int32"),), {"k": 1}, grad=False),
    ),
    _form(
        "_np_diagflat",
        _read_diagflat,
        ("k",),
        Case("vector", (arr(3),)),
        Case("matrix, above", (arr(2, 2),), {"k": 1}),
        Case("below", (arr(3),), {"k": -1}),
    ),
    _form(
        "_np_diagonal",
        _read_diagonal,
        ("offset", "axis1", "axis2"),
        Case("matrix", (_X,)),
        Case("above", (_X,), {"offset": 1}),
        Case("of given axes", (_CUBE,), {"axis1": 0, "axis2": -1, "offset": -1}),
        Case("no elements", (_X,), {"offset": -5}, grad=False),
    ),
    _form(
        "_np_trace",
        _read_trace,
        ("offset", "axis1", "axis2"),
        Case("matrix", (_X,)),
        Case("of given axes", (_CUBE,), {"axis1": 1, "axis2": 2, "offset": 1}),
        Case("integers", (arr(3, 3, low=-9, high=9, dtype="int32"),), {"offset": -1}, grad=False),
    ),
    _form(
        "_npi_diag_indices_from",
        _read_indices_from,
        (),
        Case("square", (arr(3, 3),), grad=False),
        Case("cube", (arr(2, 2, 2),), grad=False),
    ),
)
_EMPTY = Limit("read-round-trip", "legacy MXNet, which is written, has no arrays without elements", "no elements")

OPS = tuple(Op("", mx=(form,), limits=(_EMPTY,) if form.op == "_np_diagonal" else ()) for form in _FORMS)
