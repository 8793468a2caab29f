"""Eigenvectors of symmetric matrices, singular vectors, and orthogonal factors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import FLOAT
from graphkit.ops.linalg.grad_decompositions import eigh_gradient, qr_gradient, svd_gradient
from graphkit.ops.linalg.jacobi import eigenvectors, ordered, signed, singular_vectors
from graphkit.ops.linalg.matrices import misfit, mx_turned, turned
from graphkit.ops.spec import Arr, Case, MxForm, Op, Refusal, Tol, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _body_eigh(b: BodyBuilder, _node: ir.Node, x: Sequence[ir.Value]) -> list[ir.Value]:
    """Of an asymmetric matrix its symmetric part is meant, whose derivative is symmetric as in MXNet and torch."""
    half = b.scalar(0.5, x[0])
    values, vectors = eigenvectors(b, b.op("Mul", b.op("Add", x[0], turned(b, x[0])), half))
    values, (vectors,) = ordered(b, values, [vectors], largest=False)
    return [values, b.op("Mul", vectors, signed(b, vectors))]


def _body_svd(b: BodyBuilder, _node: ir.Node, x: Sequence[ir.Value]) -> list[ir.Value]:
    """One-sided rotations, on the side that is not longer than the other."""
    wide = b.size(x[0], -2) < b.size(x[0], -1)
    one, values, other = singular_vectors(b, turned(b, x[0]) if wide else x[0])
    left, right = (other, one) if wide else (one, other)
    values, (left, right) = ordered(b, values, [left, right], largest=True)
    signs = signed(b, right)
    return [b.op("Mul", left, signs), values, turned(b, b.op("Mul", right, signs))]


def _body_qr(b: BodyBuilder, _node: ir.Node, x: Sequence[ir.Value]) -> list[ir.Value]:
    """Householder's reflections, each of which makes a column zero below the diagonal."""
    rows, columns, dtype = b.size(x[0], -2), b.size(x[0], -1), b.dtype(x[0])
    side = min(rows, columns)
    units = np.eye(side, columns, dtype=dtype)[:, :, None]
    heads = np.eye(side, rows, dtype=dtype)[:, :, None]
    below = np.triu(np.ones((side, rows), dtype), 1)[:, :, None]

    def step(
        states: tuple[ir.Value, ...], parts: tuple[ir.Value, ...]
    ) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        (unit, head, rest), zero = parts, b.scalar(0, x[0])
        column = b.op("MatMul", states[0], unit)
        first = b.op("MatMul", turned(b, head), column)
        tail = b.op("Mul", column, rest)
        beyond = b.op("MatMul", turned(b, tail), tail)
        length = b.op("Sqrt", b.op("Add", b.op("Mul", first, first), beyond))
        pivot = b.op("Add", first, b.op("Where", b.op("Less", first, zero), b.op("Neg", length), length))
        mirror = b.op("Add", b.op("Mul", head, pivot), tail)
        still = b.op("Equal", beyond, zero)
        square = b.op("Add", b.op("Mul", pivot, pivot), beyond)
        factor = b.op(
            "Div", b.op("Where", still, zero, b.scalar(2, x[0])), b.op("Where", still, b.scalar(1, x[0]), square)
        )
        scaled = b.op("Mul", mirror, factor)
        return [
            b.op("Sub", each, b.op("MatMul", scaled, b.op("MatMul", turned(b, mirror), each))) for each in states
        ], []

    unit = b.op("MatMul", x[0], b.op("Expand", b.scalar(0, x[0]), [columns, rows]))
    unit = b.op("Add", unit, b.const(np.eye(rows, dtype=dtype)))
    triangle, mirrored = b.scan(step, [x[0], unit], [units, heads, below])
    factor = turned(b, b.op("Slice", mirrored, [0], [side], [-2]))
    return [factor, b.op("Trilu", b.op("Slice", triangle, [0], [side], [-2]), upper=1)]


def _read_syevd(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> list[ir.Value]:
    values, vectors = b.ops("Eigh", 2, some(x[0]), domain=DOMAIN)
    return [turned(b, vectors), values]


def _read_eigh(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> tuple[ir.Value, ...]:
    return b.ops("Eigh", 2, b.stopped(some(x[0])), domain=DOMAIN)


def _read_eigvalsh(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.ops("Eigh", 2, b.stopped(some(x[0])), domain=DOMAIN)[0]


def _write_eigh(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> list[MxRef]:
    vectors, values = b.ops("_linalg_syevd", 2, some(x[0]))
    return [values, mx_turned(b, vectors, b.rank(some(node.inputs[0])))]


def _tall(b: OnnxBuilder, matrix: ir.Value) -> Refusal | None:
    """What MXNet says to matrices with more rows than columns."""
    rows, columns = b.shape(matrix)[-2:] if b.rank(matrix) > 1 else (0, 0)
    if isinstance(rows, int) and isinstance(columns, int) and rows > columns:
        return Refusal(f"MXNet refuses matrices with more rows ({rows}) than columns ({columns}); transpose them")
    return None


def _read_eig(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    found = b.ops("Eig", 2, b.stopped(some(x[0])), domain=DOMAIN)
    return found[:1] if node.op == "_npi_eigvals" else found


def _read_svd(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> tuple[ir.Value, ...] | Refusal:
    return _tall(b, some(x[0])) or b.ops("Svd", 3, some(x[0]), domain=DOMAIN)


def _write_svd(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    rows, columns = b.shape(some(node.inputs[0]))[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int) or rows > columns:
        return Refusal(
            f"MXNet decomposes no matrices with more rows than columns ({rows} and {columns}); transpose them"
        )
    return b.ops("_npi_svd", 3, some(x[0]))


def _read_pinv(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """Singular values up to rcond times the largest count as none."""
    matrix = b.stopped(some(x[0]))
    if (problem := misfit(b, matrix, square=False)) is not None:
        return problem
    rows, columns = b.shape(matrix)[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        return Refusal("the size of the matrix is not known; give the model's inputs fixed sizes")
    tall = rows > columns
    left, values, right = b.ops("Svd", 3, turned(b, matrix) if tall else matrix, domain=DOMAIN)
    if len(x) > 1:
        share = b.op("Unsqueeze", b.stopped(some(x[1])), [-1]) if b.rank(some(x[1])) else some(x[1])
    else:
        share = b.scalar(FLOAT.parse(node.attrs.get("rcond", "1e-15")), matrix)
    bound = b.op("Mul", share, b.op("ReduceMax", values, [-1]))
    kept = b.op("Greater", values, bound)
    inverse = b.op("Reciprocal", b.op("Where", kept, values, b.scalar(1, matrix)))
    inverse = b.op("Unsqueeze", b.op("Where", kept, inverse, b.scalar(0, matrix)), [-2])
    found = b.op("MatMul", b.op("Mul", turned(b, right), inverse), turned(b, left))
    return turned(b, found) if tall else found


def _read_gelqf(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> list[ir.Value] | Refusal:
    if (problem := misfit(b, some(x[0]), square=False) or _tall(b, some(x[0]))) is not None:
        return problem
    factor, triangle = b.ops("Qr", 2, turned(b, some(x[0])), domain=DOMAIN)
    return [turned(b, factor), turned(b, triangle)]


def _write_qr(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> list[MxRef] | Refusal:
    source = some(node.inputs[0])
    rank, (rows, columns) = b.rank(source), b.shape(source)[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int) or rows < columns:
        return Refusal(f"MXNet factors no matrices with fewer rows than columns ({rows} and {columns})")
    found = b.ops("_linalg_gelqf", 2, mx_turned(b, some(x[0]), rank))
    return [mx_turned(b, each, rank) for each in found]


def _torch_signs(b: TorchBuilder, vectors: Arg, axis: int) -> Arg:
    """1 or -1 for each vector, with which its largest number is positive."""
    place = b.method("argmax", b.method("abs", vectors), axis, keepdim=True)
    return b.method("sign", b.method("gather", vectors, axis, place))


def _torch_eigh(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> list[Arg]:
    values, vectors = b.calls("torch.linalg.eigh", 2, x[0])
    return [values, b.infix("*", vectors, _torch_signs(b, vectors, -2))]


def _torch_eig(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> list[Arg]:
    values, vectors = b.calls("torch.linalg.eig", 2, x[0])
    are_real = b.infix("==", b.call("torch.imag", values), 0)
    chosen = b.call("torch.where", are_real, b.call("torch.real", values), math.nan)
    columns = b.method("unsqueeze", are_real, -2)
    return [chosen, b.call("torch.where", columns, b.call("torch.real", vectors), math.nan)]


def _torch_svd(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> list[Arg]:
    left, values, right = b.calls("torch.linalg.svd", 3, x[0], full_matrices=False)
    signs = _torch_signs(b, right, -1)
    return [b.infix("*", left, b.method("transpose", signs, -2, -1)), values, b.infix("*", right, signs)]


def _torch_qr(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    return b.calls("torch.linalg.qr", 2, x[0])


def _symmetric(*shape: int) -> Arr:
    """Symmetric matrices whose eigenvalues are apart."""
    factor = np.random.default_rng(5).standard_normal(shape)
    return given((factor + factor.swapaxes(-1, -2)).astype(np.float32), "float32")


def _any(*shape: int) -> Arr:
    return given(np.random.default_rng(7).standard_normal(shape).astype(np.float32), "float32")


def _cases(*inputs: tuple[str, Arr], outputs: int) -> tuple[Case, ...]:
    return tuple(Case(name, (matrices,), outputs=outputs) for name, matrices in inputs)


_CLOSE = Tol(float32=1e-4, reason="vectors move by what is rounded over the distance of their values")
_PINV = (("wide", _any(2, 3, 5)), ("tall", _any(4, 2)))
_DEFICIENT = given(np.outer([1.0, 2.0, -1.0], [0.5, 1.0, 2.0, 4.0]), "float32")

OPS = (
    Op(
        "Eig",
        domain=DOMAIN,
        mx=(
            MxForm("_npi_eig", also=("_npi_eigvals",), read=_read_eig, direction="read"),
            MxForm("_npi_eig", direction="write"),
        ),
        torch=_torch_eig,
    ),
    Op(
        "Eigh",
        domain=DOMAIN,
        body=_body_eigh,
        mx=(
            MxForm(
                "_linalg_syevd",
                read=_read_syevd,
                write=_write_eigh,
                cases=_cases(("matrix", _symmetric(4, 4)), ("batch", _symmetric(2, 3, 3)), outputs=2),
            ),
        ),
        torch=_torch_eigh,
        gradient=eigh_gradient,
        cases=(
            *_cases(
                ("matrix", _symmetric(4, 4)),
                ("odd size", _symmetric(5, 5)),
                ("two", _symmetric(2, 2)),
                ("of one number", _symmetric(1, 1)),
                outputs=2,
            ),
            Case("large", (_symmetric(24, 24),), outputs=2, grad=False, tol=_CLOSE),
            Case("batch", (_symmetric(2, 3, 3),), outputs=2, dynamic=(0,)),
        ),
    ),
    Op(
        "Svd",
        domain=DOMAIN,
        body=_body_svd,
        mx=(
            MxForm(
                "_npi_svd",
                read=_read_svd,
                write=_write_svd,
                cases=_cases(("wide", _any(3, 5)), ("batch", _any(2, 3, 4)), outputs=3),
            ),
        ),
        torch=_torch_svd,
        gradient=svd_gradient,
        cases=(
            *_cases(("wide", _any(3, 5)), ("square", _any(4, 4)), outputs=3),
            Case("large", (_any(17, 20),), outputs=3, grad=False, tol=_CLOSE),
            Case("batch", (_any(2, 2, 3),), outputs=3, dynamic=(0,)),
        ),
    ),
    Op(
        "Qr",
        domain=DOMAIN,
        body=_body_qr,
        mx=(
            MxForm(
                "_linalg_gelqf",
                read=_read_gelqf,
                write=_write_qr,
                cases=_cases(("wide", _any(3, 5)), ("batch", _any(2, 3, 3)), outputs=2),
            ),
        ),
        torch=_torch_qr,
        gradient=qr_gradient,
        cases=(
            *_cases(
                ("tall", _any(5, 3)),
                ("square", _any(4, 4)),
                outputs=2,
            ),
            Case("batch", (_any(2, 4, 2),), outputs=2, dynamic=(0,)),
            Case("triangle", (given(np.triu(np.ones((3, 3))), "float32"),), outputs=2, grad=False),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_npi_eigh",
                read=_read_eigh,
                reads=(),
                ignore=("UPLO",),
                direction="read",
                cases=(
                    Case("lower", (_symmetric(4, 4),), outputs=2, grad=False),
                    Case("upper", (_symmetric(2, 3, 3),), {"UPLO": "U"}, outputs=2, grad=False),
                ),
            ),
            MxForm(
                "_npi_eigvalsh",
                read=_read_eigvalsh,
                ignore=("UPLO",),
                direction="read",
                cases=(
                    Case("lower", (_symmetric(4, 4),), grad=False),
                    Case("upper", (_symmetric(2, 3, 3),), {"UPLO": "U"}, grad=False),
                ),
            ),
            MxForm(
                "_npi_pinv_scalar_rcond",
                read=_read_pinv,
                reads=("rcond",),
                ignore=("hermitian",),
                direction="read",
                cases=(
                    *(Case(name, (matrices,), grad=False) for name, matrices in _PINV),
                    Case("of smaller rank", (_DEFICIENT,), {"rcond": 1e-4}, grad=False),
                ),
            ),
            MxForm(
                "_npi_pinv",
                read=_read_pinv,
                ignore=("hermitian",),
                direction="read",
                cases=(
                    Case("bounds of a batch", (_any(2, 3, 5), given([0.1, 0.6], "float32")), grad=False),
                    Case("one bound", (_any(4, 2), given(0.6, "float32")), grad=False),
                ),
            ),
        ),
    ),
)
