"""ONNX Runtime's matrix products with quantized operands, and products with weights of few bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.canonical.contrib.attention import attend_projected
from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    array_of,
    dtype_of,
    integer,
    needed,
    number,
    operand,
    rank_of,
    required,
    reshaped,
    scalar,
    shape_known,
    transposed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS"]


def _product(
    edit: Editor,
    left: tuple[ir.Value, ir.Value, ir.Value | None],
    right: tuple[ir.Value, ir.Value, ir.Value | None],
    bias: ir.Value | None,
) -> ir.Value:
    """(integers, scale, zero point) each: the exact integer product times both scales, plus a bias of floats."""
    sums = edit.op("MatMulInteger", left[0], right[0], left[2], right[2])
    floats = edit.op("Cast", sums, to=ir.DataType.from_numpy(dtype_of(left[1])))
    made = edit.op("Mul", floats, edit.op("Mul", left[1], right[1]))
    return made if bias is None else edit.op("Add", made, bias)


def _dynamic_quantize_matmul(edit: Editor) -> None:
    """A is quantized by its own range first."""
    integers, scale, zero = edit.ops("DynamicQuantizeLinear", 3, needed(edit, 0))
    right = needed(edit, 1), needed(edit, 2), operand(edit, 3)
    edit.replace(_product(edit, (integers, scale, zero), right, operand(edit, 4)))


def _integer_to_float(edit: Editor) -> None:
    left = needed(edit, 0), needed(edit, 2), operand(edit, 4)
    right = needed(edit, 1), needed(edit, 3), operand(edit, 5)
    edit.replace(_product(edit, left, right, operand(edit, 6)))


def _quantized_attention(edit: Editor) -> None:
    if integer(edit, "do_rotary") or integer(edit, "past_present_share_buffer"):
        raise UnsuitableError("do_rotary and shared buffers are not expressed in ONNX's own operators")
    left = needed(edit, 0), needed(edit, 3), operand(edit, 6)
    right = needed(edit, 1), needed(edit, 4), operand(edit, 7)
    projected = _product(edit, left, right, operand(edit, 2))
    attend_projected(edit, projected, operand(edit, 5), operand(edit, 8), None)


def _gemm(edit: Editor) -> None:
    """Integers A and B, and int32 C, summed exactly; floats by their scales, or quantized again."""
    left, right = needed(edit, 0), needed(edit, 3)
    left = transposed(edit, left, 1, 0) if integer(edit, "transA") else left
    right = transposed(edit, right, 1, 0) if integer(edit, "transB") else right
    sums, extra = edit.op("MatMulInteger", left, right, operand(edit, 2), operand(edit, 5)), operand(edit, 6)
    if extra is not None:
        sums = edit.op("Add", sums, extra)
    scale = edit.op("Mul", needed(edit, 1), needed(edit, 4))
    alpha = number(edit, "alpha", 1.0)
    if alpha != 1:
        scale = edit.op("Mul", scalar(edit, "alpha", alpha, scale), scale)
    made = edit.op("Mul", edit.op("Cast", sums, to=ir.DataType.from_numpy(dtype_of(scale))), scale)
    target, zero = operand(edit, 7), operand(edit, 8)
    edit.replace(made if target is None else edit.op("QuantizeLinear", made, target, zero))


def _mul_integer(edit: Editor) -> None:
    """(A − its zero point) · (B − its zero point) as int32."""
    sides = []
    for place in (0, 2):
        whole = edit.op("Cast", needed(edit, place), to=ir.DataType.INT32)
        zero = operand(edit, place + 1)
        if zero is not None:
            whole = edit.op("Sub", whole, edit.op("Cast", zero, to=ir.DataType.INT32))
        sides.append(whole)
    edit.replace(edit.op("Mul", *sides))


def _unpacked(words: npt.NDArray[np.generic], bits: int, count: int) -> npt.NDArray[np.uint8]:
    """The first ``count`` numbers of so many bits in each row of bytes, the lowest bits first."""
    raw = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little")
    apart = raw[..., : raw.shape[-1] // bits * bits].reshape(*raw.shape[:-1], -1, bits)[..., :count, :]
    found: npt.NDArray[np.uint8] = (apart << np.arange(bits, dtype=np.uint8)).sum(-1, dtype=np.uint8)
    return found


def _weights(edit: Editor) -> ir.Value:
    """The weights (N, K) as floats."""
    bits, block = integer(edit, "bits", 4), required(edit, "block_size")
    outputs, inputs = required(edit, "N"), required(edit, "K")
    packed = array_of(needed(edit, 1))
    if packed is None:
        raise UnsuitableError("its packed weights are computed or fed; graphkit reads them from a file only")
    if integer(edit, "weight_prepacked"):
        raise UnsuitableError("its weights are packed for one kind of GPU; export with weight_prepacked=0")
    blocks = -(-inputs // block)
    whole = _unpacked(packed.reshape(outputs, blocks, -1), bits, block).reshape(outputs, -1)[:, :inputs]
    kind = ir.DataType.UINT4 if bits == 4 else ir.DataType.UINT8
    stored = edit.const("weights", whole.astype(kind.numpy()), kind.numpy())
    scales, zeros = reshaped(edit, needed(edit, 2), [outputs, blocks], "scales_shape"), operand(edit, 3)
    if zeros is None or dtype_of(zeros) == np.uint8:
        given = array_of(zeros)
        if zeros is not None and given is None:
            raise UnsuitableError("its packed zero points are computed or fed; graphkit reads them from a file only")
        points = np.full((outputs, blocks), 2 ** (bits - 1), np.uint8)
        if given is not None:
            points = _unpacked(given.reshape(outputs, -1), bits, blocks)
        zero = edit.const("zero_points", points.astype(kind.numpy()), kind.numpy())
        return edit.op("DequantizeLinear", stored, scales, zero, axis=1, block_size=block)
    floats = edit.const("floats", whole, np.uint8)
    widened = edit.op("Cast", floats, to=ir.DataType.from_numpy(dtype_of(scales)))
    if inputs % block:
        raise UnsuitableError("its zero points are floats, and its last block is not full")
    apart = reshaped(edit, widened, [outputs, blocks, block], "blocks_shape")
    columns = (reshaped(edit, value, [outputs, blocks, 1], "column_shape") for value in (zeros, scales))
    moved = edit.op("Sub", apart, next(columns))
    return reshaped(edit, edit.op("Mul", moved, next(columns)), [outputs, inputs], "weights_shape")


def _matmul_nbits(edit: Editor) -> None:
    if operand(edit, 4) is not None:
        raise UnsuitableError("its inputs are grouped by g_idx, which ONNX Runtime no longer takes")
    made = edit.op("MatMul", needed(edit, 0), transposed(edit, _weights(edit), 1, 0))
    bias = operand(edit, 5)
    edit.replace(made if bias is None else edit.op("Add", made, bias))


def _gather_quantized(edit: Editor) -> None:
    """Rows of a quantized table, made floats after they are taken."""
    data, indices, scales, zeros = needed(edit, 0), needed(edit, 1), needed(edit, 2), operand(edit, 3)
    table = array_of(data)
    rank = rank_of(data)
    axis, along = integer(edit, "gather_axis") % rank, integer(edit, "quantize_axis", 1) % rank
    block, bits = integer(edit, "block_size", 128), integer(edit, "bits", 4)
    if table is None or rank != 2 or axis != 0 or along != 1:
        raise UnsuitableError("graphkit takes rows of a stored matrix that is quantized along them")
    kind = ir.DataType.from_numpy(table.dtype)
    given = array_of(zeros)
    if zeros is not None and given is None:
        raise UnsuitableError("its zero points are computed or fed; graphkit reads them from a file only")
    if kind == ir.DataType.UINT8:
        count, blocks = table.shape[1] * 8 // bits, shape_known(scales)[1]
        if not isinstance(blocks, int):
            raise UnsuitableError("the shape of its scales is not known")
        table = _unpacked(table, bits, count)
        points = np.full((len(table), blocks), 2 ** (bits - 1), np.uint8)
        given = points if given is None else _unpacked(given, bits, blocks)
    rows = edit.op("Gather", edit.const("table", table, table.dtype), indices, axis=0)
    steps = edit.op("Gather", scales, indices, axis=0)
    offset = None if given is None else edit.op("Gather", edit.const("zeros", given, given.dtype), indices, axis=0)
    edit.replace(edit.op("DequantizeLinear", rows, steps, offset, axis=-1, block_size=block))


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("com.microsoft", name): expansion
    for name, expansion in {
        "DynamicQuantizeMatMul": _dynamic_quantize_matmul,
        "GatherBlockQuantized": _gather_quantized,
        "MatMulIntegerToFloat": _integer_to_float,
        "MatMulNBits": _matmul_nbits,
        "MulInteger": _mul_integer,
        "QAttention": _quantized_attention,
        "QGemm": _gemm,
    }.items()
}
