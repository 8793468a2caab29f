"""Inverses, solutions and determinants: Gauss-Jordan elimination.

Gradients are those of Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation, 2008.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.linalg.matrices import per_matrix, regular, turned
from graphkit.ops.spec import Case, MxForm, Op, arr, torch_call
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
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


def _adjoint_inverse(b: GradientBuilder, matrix: ir.Value) -> ir.Value:
    return turned(b, b.op("Inverse", matrix, domain=DOMAIN))


def _det_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value]:
    """The cotangent times the cofactors, which are det A · A⁻ᵀ (Giles 2008, 2.2.4).

    Up to three rows they are computed as such. Of larger matrices that are singular they are given as not known: NaN.
    """
    matrix, result = some(node.inputs[0]), node.outputs[0]
    size, axes = b.size(matrix, -1), [-2, -1]
    if size > 3:
        unknown = b.op("Equal", result, b.scalar(0.0, result))
        factor = b.op("Mul", dy[0], b.op("Where", unknown, b.scalar(np.nan, result), result))
        return [b.op("Mul", b.op("Unsqueeze", factor, axes), _adjoint_inverse(b, matrix))]

    def rolled(value: ir.Value, by: int, axis: int) -> ir.Value:
        return b.op("Gather", value, np.roll(np.arange(size), -by), axis=axis)

    cotangent = b.op("Unsqueeze", dy[0], axes)
    if size == 1:
        return [b.like(cotangent, matrix)]
    if size == 2:
        signs = b.const(np.array([[1, -1], [-1, 1]]), b.dtype(matrix))
        return [b.op("Mul", cotangent, b.op("Mul", rolled(rolled(matrix, 1, -1), 1, -2), signs))]
    after, before = (rolled(matrix, by, -2) for by in (1, 2))
    cofactors = b.op(
        "Sub",
        b.op("Mul", rolled(after, 1, -1), rolled(before, 2, -1)),
        b.op("Mul", rolled(after, 2, -1), rolled(before, 1, -1)),
    )
    return [b.op("Mul", cotangent, cofactors)]


def _inverse_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value]:
    """-Xᵀ dX Xᵀ (Giles 2008, 2.2.3)."""
    adjoint = turned(b, node.outputs[0])
    return [b.op("Neg", b.op("MatMul", adjoint, b.op("MatMul", dy[0], adjoint)))]


def _slogdet_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value | None]:
    """A⁻ᵀ times the cotangent of the logarithm (Giles 2008, 2.2.4); the sign is constant."""
    if dy[1] is None:
        return [None]
    return [b.op("Mul", b.op("Unsqueeze", dy[1], [-2, -1]), _adjoint_inverse(b, some(node.inputs[0])))]


def _solve_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value | None]:
    """Of B: dB = A⁻ᵀ dX, and of A: -dB Xᵀ (Giles 2008, 2.3.1)."""
    matrix, found = some(node.inputs[0]), node.outputs[0]
    solved = b.op("Solve", turned(b, matrix), dy[0], domain=DOMAIN)
    return [b.op("Neg", b.op("MatMul", solved, turned(b, found))) if b.wants(matrix) else None, solved]


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
        gradient=_det_gradient,
        cases=_MATRICES,
    ),
    Op(
        "Inverse",
        domain=DOMAIN,
        body=_body_inverse,
        mx=(MxForm("_linalg_inverse", cases=_READ),),
        torch=torch_call("torch.linalg.inv"),
        gradient=_inverse_gradient,
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
        gradient=_slogdet_gradient,
        cases=tuple(Case(case.name, case.inputs, outputs=2, dynamic=case.dynamic) for case in _MATRICES),
    ),
    Op(
        "Solve",
        domain=DOMAIN,
        body=_body_solve,
        mx=(MxForm("_npi_solve", direction="write"),),
        torch=torch_call("torch.linalg.solve"),
        gradient=_solve_gradient,
        cases=(
            Case("matrix", (regular(4, 4), arr(4, 2))),
            Case("batch", (_A, arr(2, 3, 1)), dynamic=(0, 1)),
        ),
    ),
)
