"""Inverses, solutions and determinants: Gauss-Jordan elimination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.linalg.matrices import per_matrix, regular
from graphkit.ops.spec import Case, MxForm, Op, arr, torch_call
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _eliminated(b: BodyBuilder, matrix: ir.Value, right: ir.Value | None) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Bring matrices to unit form by rows, those with the largest pivots first.

    Returns:
        What became of the columns right of the matrices (of the matrices where there are none), the pivots with the
        step as first axis, and whether rows were swapped at each, as 0 or 1.
    """
    size, dtype = b.size(matrix, -1), b.dtype(matrix)
    start = matrix if right is None else b.op("Concat", matrix, right, axis=-1)
    width = size if right is None else size + b.size(right, -1)
    units = np.eye(size, width, dtype=dtype)
    rows = np.eye(size, dtype=bool)[:, :, None]
    done = np.tril(np.ones((size, size), bool), -1)[:, :, None]
    places = b.const(np.arange(size)[:, None])
    none = b.scalar(-1, matrix)

    def step(
        states: tuple[ir.Value, ...], parts: tuple[ir.Value, ...]
    ) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        (rest,), (unit, row, finished) = states, parts
        sizes = b.op("Where", finished, none, b.op("Abs", b.op("MatMul", rest, unit)))
        best = b.op("Equal", places, b.op("ArgMax", sizes, axis=-2))
        taken = b.op("ReduceSum", b.op("Where", best, rest, b.scalar(0, matrix)), [-2])
        given = b.op("ReduceSum", b.op("Where", row, rest, b.scalar(0, matrix)), [-2])
        swapped = b.op("Where", row, taken, b.op("Where", best, given, rest))
        pivot = b.op("MatMul", taken, unit)
        flat = b.op("Equal", pivot, b.scalar(0, matrix))
        line = b.op("Div", taken, b.op("Where", flat, b.scalar(1, matrix), pivot))
        others = b.op("Sub", swapped, b.op("MatMul", b.op("MatMul", swapped, unit), line))
        moved = b.op("And", best, b.op("Not", row))
        change = b.op("ReduceSum", b.op("CastLike", moved, start), [-2, -1], keepdims=0)
        return [b.op("Where", row, line, others)], [b.op("Squeeze", pivot, [-2, -1]), change]

    found, pivots, swaps = b.scan(step, [start], [units[:, :, None], rows, done])
    return found, pivots, swaps


def _body_inverse(b: BodyBuilder, _node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    size = b.size(x[0], -1)
    unit = b.op("Expand", np.eye(size, dtype=b.dtype(x[0])), b.op("Shape", x[0]))
    found, _, _ = _eliminated(b, x[0], unit)
    return b.op("Slice", found, [size], [2 * size], [-1])


def _body_solve(b: BodyBuilder, _node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    size = b.size(x[0], -1)
    found, _, _ = _eliminated(b, x[0], x[1])
    return b.op("Slice", found, [size], [size + b.size(x[1], -1)], [-1])


def _body_slogdet(b: BodyBuilder, _node: ir.Node, x: Sequence[ir.Value]) -> tuple[ir.Value, ir.Value]:
    _, pivots, swaps = _eliminated(b, x[0], None)
    odd = b.op("Sub", b.scalar(1, x[0]), b.op("Mul", swaps, b.scalar(2, x[0])))
    sign = b.op("ReduceProd", b.op("Mul", b.op("Sign", pivots), odd), [0], keepdims=0)
    return sign, b.op("ReduceSum", b.op("Log", b.op("Abs", pivots)), [0], keepdims=0)


def _read_det(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return per_matrix(b, b.op("Det", some(x[0])))


def _read_slogdet(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> list[ir.Value]:
    return [per_matrix(b, value) for value in b.ops("SlogDet", 2, some(x[0]), domain=DOMAIN)]


def _write_det(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    return b.ops("_linalg_det", 3, some(x[0]))[0]


def _write_slogdet(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef]:
    return b.ops("_linalg_slogdet", 4, some(x[0]))[:2]


def _torch_slogdet(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    return b.calls("torch.linalg.slogdet", 2, x[0])


_A = regular(2, 3, 3)
_MATRICES = (
    Case("matrix", (regular(4, 4),)),
    Case("batch", (_A,), dynamic=(0,)),
    Case("two batch axes", (regular(2, 1, 2, 2),)),
    Case("of one number", (regular(1, 1),)),
)
_READ = (Case("matrix", (regular(4, 4),)), Case("batch", (_A,)))

OPS = (
    Op(
        "Det",
        mx=(MxForm("_linalg_det", read=_read_det, write=_write_det, cases=_READ),),
        torch=torch_call("torch.linalg.det"),
        cases=_MATRICES,
    ),
    Op(
        "Inverse",
        domain=DOMAIN,
        body=_body_inverse,
        mx=(MxForm("_linalg_inverse", cases=_READ),),
        torch=torch_call("torch.linalg.inv"),
        cases=_MATRICES,
    ),
    Op(
        "SlogDet",
        domain=DOMAIN,
        body=_body_slogdet,
        mx=(
            MxForm(
                "_linalg_slogdet",
                read=_read_slogdet,
                write=_write_slogdet,
                cases=tuple(Case(case.name, case.inputs, outputs=2) for case in _READ),
            ),
        ),
        torch=_torch_slogdet,
        cases=tuple(Case(case.name, case.inputs, outputs=2, dynamic=case.dynamic) for case in _MATRICES),
    ),
    Op(
        "Solve",
        domain=DOMAIN,
        body=_body_solve,
        mx=(MxForm("_npi_solve", direction="write"),),
        torch=torch_call("torch.linalg.solve"),
        cases=(
            Case("matrix", (regular(4, 4), arr(4, 2))),
            Case("batch", (_A, arr(2, 3, 1)), dynamic=(0, 1)),
        ),
    ),
)
