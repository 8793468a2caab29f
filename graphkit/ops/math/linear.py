"""Matrix products: Gemm and MatMul, FullyConnected, dot, batch_dot and gemm2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.producers import made_by
from graphkit.ops.codec import BOOL
from graphkit.ops.math.grad_linear import gemm, matmul
from graphkit.ops.nn.adaptive_pool import torch_adaptive_pool
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, is_float, torch_float, torch_lacks
from graphkit.ops.stored import stored
from graphkit.ops.work import dense, multiplied

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.layout import Layout
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Var

__all__ = ["biased_linear", "mx_matmul", "torch_biased_linear"]


_TURNED: Layout = (("transpose", (1, 0)),)


def _stored(
    b: MxBuilder | TorchBuilder, matrix: ir.Value | None, *, transposed: bool
) -> tuple[ir.Value, bool, int, int] | None:
    """The stored matrix that ``matrix`` (or its transpose) is: whether it is (in, out) rather than (out, in), and both.

    Args:
        b: Answers questions about the graph.
        matrix: The right operand of a product.
        transposed: Whether the product is with its transpose.
    """
    found = stored(b, matrix)
    if found is None or found[1] not in ((), _TURNED) or b.rank(found[0]) != 2:
        return None
    matrix, layout = found
    transposed ^= bool(layout)
    rows, columns = b.shape(matrix)
    assert isinstance(rows, int)
    assert isinstance(columns, int)
    return (matrix, False, columns, rows) if transposed else (matrix, True, rows, columns)


def _weight(b: MxBuilder, matrix: ir.Value, *, transposed: bool) -> tuple[MxRef, int] | None:
    """A stored (out, in) matrix and its number of outputs, where ``matrix`` (or its transpose) is one."""
    found = _stored(b, matrix, transposed=transposed)
    if found is None:
        return None
    value, turned, _, outputs = found
    return b.derived(value, _TURNED) if turned else b.ref(value), outputs


def _biased(b: MxBuilder | TorchBuilder, node: ir.Node) -> tuple[ir.Value, ir.Value, ir.Value] | None:
    """The data, matrix and vector of an Add of a stored vector to a MatMul with a stored matrix."""
    for product, bias in (tuple(node.inputs), tuple(reversed(node.inputs))):
        producer = None if product is None else product.producer()
        if producer is None or producer.op_type != "MatMul" or not b.is_initializer(bias) or bias is None:
            continue
        data, matrix = producer.inputs
        assert data is not None
        assert matrix is not None
        if b.rank(bias) != 1 or matrix.shape is None or data.shape is None or b.rank(data) < 2:
            continue
        found = _stored(b, matrix, transposed=False)
        if found is not None and b.shape(bias)[0] == found[3]:
            return data, matrix, bias
    return None


def biased_linear(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef | Refusal:
    """MatMul with a stored matrix and Add of a stored vector: one FullyConnected."""
    parts = _biased(b, node)
    found = None if parts is None else _weight(b, parts[1], transposed=False)
    if parts is None or found is None:
        return Refusal("it is no sum of a matrix product and a bias")
    return b.op("FullyConnected", b.ref(parts[0]), found[0], b.ref(parts[2]), num_hidden=found[1], flatten=False)


def _linear(b: TorchBuilder, data: Arg, matrix: ir.Value, bias: ir.Value | None, *, transposed: bool) -> Var | None:
    """``nn.Linear`` or ``F.linear``; None where the matrix (or its transpose) is not stored as these have it."""
    found = _stored(b, matrix, transposed=transposed)
    if found is None or not is_float(b.dtype(matrix)):
        return None
    value, turned, inputs, outputs = found
    flat: Layout = () if bias is None or b.rank(bias) == 1 else (("reshape", (outputs,)),)
    made: Var | None = None
    if b.is_parameter(value):
        weight = _TURNED if turned else ()
        tensors = {"weight": (value, weight), "bias": None if bias is None else (bias, flat)}
        use_bias = None if bias is not None else False
        made = b.layer("nn.Linear", (data,), tensors, inputs, outputs, bias=use_bias)
    if made is None and not turned:
        made = b.call("F.linear", data, b.arg(value), *(() if bias is None else (b.derived(bias, flat),)))
    return made


def torch_biased_linear(b: TorchBuilder, node: ir.Node) -> Var | None:
    """MatMul with a stored matrix, whose product nothing else uses, and Add of a stored vector: one ``nn.Linear``."""
    parts = _biased(b, node)
    if parts is None:
        return None
    data, matrix, bias = parts
    if all(made_by(value, "MatMul") is None for value in node.inputs):
        return None
    return _linear(b, b.arg(data), matrix, bias, transposed=False)


def _torch_gemm(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if (lacking := torch_lacks(b, node)) is not None:
        return lacking
    left, right = node.inputs[0], node.inputs[1]
    assert left is not None
    assert right is not None
    extra, term = (node.inputs[2], x[2]) if len(x) > 2 else (None, None)
    alpha, beta = torch_float(node, "alpha", 1.0), torch_float(node, "beta", 1.0)
    if not is_float(b.dtype(left)) and not (alpha == beta == 1):
        return Refusal("it scales integers by floating-point numbers; cast them first")
    transposed = bool(node.attributes.get_int("transB", 0))
    data = b.method("t", x[0]) if node.attributes.get_int("transA", 0) else x[0]
    found = _stored(b, right, transposed=transposed)
    if alpha == beta == 1 and extra is not None and found is not None:
        fits = b.is_initializer(extra) and b.shape(extra) in ((found[3],), (1, found[3]))
        if fits and (made := _linear(b, data, right, extra, transposed=transposed)) is not None:
            return made
    product: Arg = _linear(b, data, right, None, transposed=transposed)
    if product is None:
        product = b.infix("@", data, b.method("t", x[1]) if transposed else x[1])
    if alpha != 1:
        product = b.infix("*", alpha, product)
    if extra is None:
        return product
    return b.infix("+", product, term if beta == 1 else b.infix("*", beta, term))


def _torch_matmul(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if (lacking := torch_lacks(b, node)) is not None:
        return lacking
    right = node.inputs[1]
    assert right is not None
    made = torch_adaptive_pool(b, node) or _linear(b, x[0], right, None, transposed=False)
    return b.infix("@", x[0], x[1]) if made is None else made


def _write_gemm(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    left, right = node.inputs[0], node.inputs[1]
    data, matrix = x[0], x[1]
    assert left is not None
    assert right is not None
    assert data is not None
    assert matrix is not None
    extra = node.inputs[2] if len(node.inputs) > 2 else None
    alpha, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    turned, transposed = bool(node.attributes.get_int("transA", 0)), bool(node.attributes.get_int("transB", 0))
    whole = _of_integers(b, left, data, matrix)
    found = None if whole is not None else _weight(b, right, transposed=transposed)
    if whole is not None:
        product = b.op("dot", *whole, transpose_a=turned or None, transpose_b=transposed or None)
        product = b.op("Cast", product, dtype=b.dtype(node.outputs[0]).name)
    elif found is not None:
        weight, outputs = found
        if turned:
            data = b.op("transpose", data, axes=(1, 0))
        if alpha == 1 and beta == 1 and extra is not None and x[2] is not None and b.shape(extra) == (outputs,):
            return b.op("FullyConnected", data, weight, x[2], num_hidden=outputs, flatten=False)
        product = b.op("FullyConnected", data, weight, num_hidden=outputs, no_bias=True, flatten=False, name="product")
    else:
        product = b.op("dot", data, matrix, transpose_a=turned or None, transpose_b=transposed or None, name="product")
    if alpha != 1:
        product = b.op("_mul_scalar", product, scalar=np.float32(alpha), name="alpha")
    if extra is None or x[2] is None:
        return product
    term = x[2] if beta == 1 else b.op("_mul_scalar", x[2], scalar=np.float32(beta), name="beta")
    if b.rank(extra) == 0:
        return b.op("broadcast_add", product, b.op("Reshape", term, shape=(1, 1)))
    return b.op("broadcast_add", product, term)


def _batched(b: MxBuilder, value: ir.Value, ref: MxRef, batch: int, other: ir.Value, like: MxRef) -> MxRef:
    """Repeat a matrix along the batch axes of the other operand, which batch_dot does not do by itself."""
    missing = batch - (b.rank(value) - 2)
    for _ in range(missing):
        ref = b.op("expand_dims", ref, axis=0)
    mine: list[Any] = [1] * missing + list(b.shape(value)[:-2])
    theirs: list[Any] = [1] * (batch - (b.rank(other) - 2)) + list(b.shape(other)[:-2])
    wide = [axis for axis in range(batch) if mine[axis] == 1 and theirs[axis] != 1]
    if not wide:
        return ref
    if b.rank(other) - 2 == batch:
        return b.op("broadcast_like", ref, like, lhs_axes=tuple(wide), rhs_axes=tuple(wide))
    return b.op("broadcast_axis", ref, axis=tuple(wide), size=tuple(theirs[axis] for axis in wide))


def _write_matmul(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    left, right = node.inputs
    data, matrix = x
    assert left is not None
    assert right is not None
    assert data is not None
    assert matrix is not None
    if (whole := _of_integers(b, left, data, matrix)) is not None:
        result = mx_matmul(b, left, right, *whole)
        return result if isinstance(result, Refusal) else b.op("Cast", result, dtype=b.dtype(node.outputs[0]).name)
    if b.rank(right) == 2 and b.rank(left) >= 2 and (found := _weight(b, right, transposed=False)) is not None:
        return b.op("FullyConnected", data, found[0], num_hidden=found[1], no_bias=True, flatten=False)
    return mx_matmul(b, left, right, data, matrix)


def _of_integers(b: MxBuilder, left: ir.Value, *refs: MxRef) -> list[MxRef] | None:
    """Matrices of integers as MXNet multiplies them, in float64; None for floats."""
    if is_float(b.dtype(left)):
        return None
    b.warn("MXNet multiplies matrices of floats only, float64 here: sums of 2^53 and more lose digits")
    return [b.op("Cast", ref, dtype="float64") for ref in refs]


def mx_matmul(b: MxBuilder, left: ir.Value, right: ir.Value, data: MxRef, matrix: MxRef) -> MxRef | Refusal:
    """ONNX's matrix product of arrays of the shapes of ``left`` and ``right``."""
    rank, right_rank = b.rank(left), b.rank(right)
    if right_rank <= 2:
        return b.op("dot", data, matrix)
    if rank == 1:
        data = b.op("expand_dims", data, axis=0)
        for _ in range(right_rank - 2):
            data = b.op("expand_dims", data, axis=0)
        if right_rank > 2:
            wide = tuple(range(right_rank - 2))
            data = b.op("broadcast_like", data, matrix, lhs_axes=wide, rhs_axes=wide)
        return b.op("squeeze", _product(b, data, matrix, right_rank), axis=(right_rank - 2,))
    batch = max(rank, right_rank) - 2
    if any(dim is None for dim in (*b.shape(left)[:-2], *b.shape(right)[:-2])):
        return Refusal("the batch dimensions of its operands are not known; give the inputs' shapes with --input")
    wide_data, wide_matrix = (
        _batched(b, left, data, batch, right, matrix),
        _batched(b, right, matrix, batch, left, data),
    )
    return _product(b, wide_data, wide_matrix, batch + 2)


def _product(b: MxBuilder, left: MxRef, right: MxRef, rank: int) -> MxRef:
    return b.op("batch_dot", left, right) if rank == 3 else b.op("_linalg_gemm2", left, right)


def _read_dense(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, weight = x[0], x[1]
    bias = None if BOOL.parse(node.attrs.get("no_bias", "False")) else x[2]
    assert data is not None
    assert weight is not None
    hidden = int(node.attrs["num_hidden"])
    if b.shape(weight)[0] not in (hidden, None):
        return Refusal(f"its weight has {b.shape(weight)[0]} rows, but num_hidden={hidden}")
    rank = b.rank(data) if data.shape is not None else None
    if BOOL.parse(node.attrs.get("flatten", "True")):
        data = data if rank == 2 else b.op("Flatten", data, axis=1)
        rank = 2
    if rank == 2:
        return b.op("Gemm", data, weight, bias, transB=1)
    product = b.op("MatMul", data, b.op("Transpose", weight, perm=[1, 0]))
    return product if bias is None else b.op("Add", product, bias)


def _swap_last(b: OnnxBuilder, value: ir.Value) -> ir.Value:
    order = list(range(b.rank(value)))
    order[-2:] = order[-1], order[-2]
    return b.op("Transpose", value, perm=order)


def _flag(node: MxNode, name: str) -> bool:
    return bool(BOOL.parse(node.attrs.get(name, "False")))


def _read_dot(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """Contracts the last axis of the left with the first of the right; transposition moves that axis to the far end."""
    left, right = x[0], x[1]
    assert left is not None
    assert right is not None
    ranks = b.rank(left), b.rank(right)
    if ranks == (1, 1):
        return b.op("ReduceSum", b.op("Mul", left, right), keepdims=1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    first, second = list(letters[: ranks[0]]), list(letters[13 : 13 + ranks[1]])
    contract_left = 0 if _flag(node, "transpose_a") else ranks[0] - 1
    contract_right = ranks[1] - 1 if _flag(node, "transpose_b") else 0
    if ranks == (2, 2):
        return b.op(
            "MatMul",
            left if contract_left else b.op("Transpose", left, perm=[1, 0]),
            b.op("Transpose", right, perm=[1, 0]) if contract_right else right,
        )
    second[contract_right] = first[contract_left]
    result = [c for i, c in enumerate(first) if i != contract_left]
    result += [c for i, c in enumerate(second) if i != contract_right]
    return b.op("Einsum", left, right, equation=f"{''.join(first)},{''.join(second)}->{''.join(result)}")


def _read_batch_dot(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    left, right = x[0], x[1]
    assert left is not None
    assert right is not None
    left = _swap_last(b, left) if _flag(node, "transpose_a") else left
    right = _swap_last(b, right) if _flag(node, "transpose_b") else right
    return b.op("MatMul", left, right)


_X, _W, _BIAS = arr(3, 4), arr(5, 4), arr(5)
_WHOLE = arr(3, 4, low=-9, high=9, dtype="int32")

OPS = (
    Op(
        "Gemm",
        mx=(
            MxForm(
                "FullyConnected",
                read=_read_dense,
                reads=("num_hidden", "no_bias", "flatten"),
                write=_write_gemm,
                cases=(
                    Case("flattens", (arr(3, 2, 2), _W, _BIAS), {"num_hidden": 5}, const=(1, 2)),
                    Case("2-D", (_X, _W, _BIAS), {"num_hidden": 5, "no_bias": "0", "flatten": "1"}, const=(1, 2)),
                    Case("last axis", (arr(2, 3, 4), _W, _BIAS), {"num_hidden": 5, "flatten": False}, const=(1, 2)),
                    Case("no bias", (arr(2, 3, 4), _W), {"num_hidden": 5, "flatten": False, "no_bias": True}),
                ),
            ),
        ),
        torch=_torch_gemm,
        gradient=gemm,
        macs=dense(),
        cases=(
            Case("linear", (_X, _W, _BIAS), {"transB": 1}, const=(1, 2), dynamic=(0,)),
            Case("no bias", (_X, _W), {"transB": 1}, const=(1,)),
            Case("untransposed weight", (_X, arr(4, 5), _BIAS), const=(1, 2)),
            Case("transposed data", (arr(4, 3), _W, _BIAS), {"transA": 1, "transB": 1}, const=(1, 2)),
            Case("scaled", (_X, _W, _BIAS), {"transB": 1, "alpha": 0.5, "beta": 2.0}, const=(1, 2)),
            Case("bias of one number", (_X, arr(4, 5), given(0.3, "float32")), const=(1, 2)),
            Case("bias row", (_X, _W, arr(1, 5)), {"transB": 1}, const=(1, 2)),
            Case("bias matrix", (_X, arr(4, 5), arr(3, 5))),
            Case("computed", (_X, arr(4, 5))),
            Case(
                "integers",
                (_WHOLE, arr(5, 4, low=-9, high=9, dtype="int32"), arr(5, low=-9, high=9, dtype="int32")),
                {"transB": 1},
                const=(1, 2),
                grad=False,
            ),
            Case("computed, all transposed", (arr(4, 3), _W, arr(1, 5)), {"transA": 1, "transB": 1}),
        ),
        limits=(Limit("onnxruntime", "ONNX Runtime multiplies no integers here", "integers"),),
    ),
    Op(
        "MatMul",
        mx=(
            MxForm("dot", write=_write_matmul, direction="write"),
            MxForm(
                "dot",
                read=_read_dot,
                reads=("transpose_a", "transpose_b"),
                ignore=("forward_stype",),
                direction="read",
                cases=(
                    Case("matrices", (_X, arr(4, 5))),
                    Case("transposed", (arr(4, 3), _W), {"transpose_a": True, "transpose_b": "1"}),
                    Case("vectors", (arr(4), arr(4))),
                    Case("tensors", (arr(2, 3, 4), arr(4, 2, 3))),
                    Case("tensors, transposed", (arr(4, 3, 2), arr(2, 3, 4)), {"transpose_a": 1, "transpose_b": 1}),
                    Case("matrix and vector", (_X, arr(4))),
                ),
            ),
            MxForm(
                "batch_dot",
                read=_read_batch_dot,
                reads=("transpose_a", "transpose_b"),
                ignore=("forward_stype",),
                direction="read",
                cases=(Case("transposed", (arr(2, 4, 3), arr(2, 5, 4)), {"transpose_a": True, "transpose_b": True}),),
            ),
        ),
        torch=_torch_matmul,
        gradient=matmul,
        macs=multiplied(),
        cases=(
            Case("matrices", (_X, arr(4, 5))),
            Case("stored matrix", (arr(2, 3, 4), arr(4, 5)), const=(1,), dynamic=(0,)),
            Case("batch", (arr(2, 3, 4), arr(2, 4, 5)), dynamic=(0, 1)),
            Case("two batch axes", (arr(2, 2, 3, 4), arr(2, 2, 4, 5))),
            Case("broadcast right", (arr(2, 3, 4), arr(4, 5))),
            Case("broadcast left", (arr(3, 4), arr(2, 4, 5))),
            Case("broadcast both", (arr(2, 1, 3, 4), arr(3, 4, 5))),
            Case("stored on the left", (arr(3, 4), arr(2, 4, 5)), const=(0,), dynamic=(1,)),
            Case("vector right", (arr(2, 3, 4), arr(4))),
            Case("vector left", (arr(4), arr(4, 5))),
            Case("integers", (_WHOLE, arr(4, 5, low=-9, high=9, dtype="int32")), grad=False),
            Case(
                "stored integers of a batch",
                (arr(2, 2, 3, 4, low=-9, high=9, dtype="int64"), arr(4, 5, low=-9, high=9, dtype="int64")),
                const=(1,),
                grad=False,
            ),
            Case("vector left of a batch", (arr(4), arr(2, 4, 5))),
        ),
    ),
)
