"""MatMulInteger and QLinearMatMul: matrix products of integers, summed exactly.

As in :mod:`graphkit.ops.quantized.integer_conv` products are summed in float64. A zero point or scale is of the whole
matrix, of each row of the left one, or of each column of the right one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.math.linear import mx_matmul
from graphkit.ops.quantized.rounding import factor_of, kind_of, mx_integers, mx_steps, torch_integers, torch_steps
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some
from graphkit.ops.work import multiplied

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.layout import Layout
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_COLUMN: Layout = (("reshape", (-1, 1)),)


def _by_row(b: MxBuilder | TorchBuilder, value: ir.Value | None) -> bool:
    """Whether a list holds one number for each row of the left matrix, so that it must stand upright."""
    return value is not None and b.rank(value) == 1 and b.shape(value) != (1,)


def _operand(node: ir.Node, position: int) -> ir.Value | None:
    return node.inputs[position] if position < len(node.inputs) else None


def _torch_arg(b: TorchBuilder, value: ir.Value | None, *, rows: bool) -> Arg | None:
    if value is None:
        return None
    return b.derived(value, _COLUMN) if rows and _by_row(b, value) else b.arg(value)


def _mx_ref(b: MxBuilder, value: ir.Value | None, *, rows: bool) -> MxRef | None:
    if value is None:
        return None
    return b.derived(value, _COLUMN) if rows and _by_row(b, value) else b.ref(value)


def _torch_sums(b: TorchBuilder, node: ir.Node, x: Sequence[Any], right: int, zeros: tuple[int, int]) -> Arg:
    zero, right_zero = (_operand(node, position) for position in zeros)
    first = torch_integers(b, x[0], _torch_arg(b, zero, rows=True), zero, "double")
    second = torch_integers(b, x[right], _torch_arg(b, right_zero, rows=False), right_zero, "double")
    return b.infix("@", first, second)


def _mx_sums(
    b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None], right: int, zeros: tuple[int, int]
) -> MxRef | Refusal:
    zero, right_zero = (_operand(node, position) for position in zeros)
    first = mx_integers(b, some(x[0]), _mx_ref(b, zero, rows=True), zero, "float64")
    second = mx_integers(b, some(x[right]), _mx_ref(b, right_zero, rows=False), right_zero, "float64")
    return mx_matmul(b, some(node.inputs[0]), some(node.inputs[right]), first, second)


def _torch_integer(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.method("int", _torch_sums(b, node, x, 1, (2, 3)))


def _write_integer(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    sums = _mx_sums(b, node, x, 1, (2, 3))
    return sums if isinstance(sums, Refusal) else b.op("Cast", sums, dtype="int32")


def _simple(b: MxBuilder | TorchBuilder, node: ir.Node) -> bool:
    """Whether the scales make one factor for the whole product, or one for each column."""
    return b.rank(some(node.inputs[4])) <= 1


def _torch_quantized(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    sums = _torch_sums(b, node, x, 3, (2, 5))
    factor = factor_of(b, node, (1, 4, 6)) if _simple(b, node) else None
    if factor is None:
        left, right, own = (b.arg(some(node.inputs[position])) for position in (1, 4, 6))
        left = _torch_arg(b, node.inputs[1], rows=True) or left
        if b.dtype(some(node.inputs[1])).name != "float32":
            left, right, own = (b.method("float", scale) for scale in (left, right, own))
        ratio: Arg = b.infix("/", b.infix("*", left, right), own)
    else:
        ratio = float(str(factor)) if factor.ndim == 0 else b.const(factor)
    return torch_steps(
        b,
        b.infix("*", b.method("float", sums), ratio),
        _torch_arg(b, node.inputs[7], rows=True),
        node.inputs[7],
        kind_of(some(node.inputs[7])),
    )


def _write_quantized(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    sums = _mx_sums(b, node, x, 3, (2, 5))
    if isinstance(sums, Refusal):
        return sums
    floats = b.op("Cast", sums, dtype="float32", name="sums")
    factor = factor_of(b, node, (1, 4, 6)) if _simple(b, node) else None
    if factor is None:
        left, right, own = (some(_mx_ref(b, node.inputs[position], rows=position != 4)) for position in (1, 4, 6))
        if b.dtype(some(node.inputs[1])).name != "float32":
            left, right, own = (b.op("Cast", scale, dtype="float32", name="scale") for scale in (left, right, own))
        scaled = b.op("broadcast_mul", floats, b.op("broadcast_div", b.op("broadcast_mul", left, right), own))
    elif factor.ndim == 0:
        scaled = b.op("_mul_scalar", floats, scalar=float(factor))
    else:
        scaled = b.op("broadcast_mul", floats, b.const(factor, "factor"))
    zero = _mx_ref(b, node.inputs[7], rows=True)
    return mx_steps(b, node, scaled, zero, node.inputs[7], "float32")


_LEFT, _RIGHT = arr(3, 4, low=0, high=256, dtype="uint8"), arr(4, 5, low=-128, high=128, dtype="int8")
_ZERO, _ZERO8 = given(120, "uint8"), given(-3, "int8")
_SCALE, _TARGET = given(0.02, "float32"), given(0.3, "float32")
_SETTINGS = (1, 2, 3, 4, 5, 6, 7)


def _case(name: str, *inputs: Any, const: Sequence[int] = _SETTINGS, dynamic: tuple[int, ...] = ()) -> Case:
    return Case(name, inputs, const=tuple(const), grad=False, dynamic=dynamic)


OPS = (
    Op(
        "MatMulInteger",
        mx=(MxForm("dot", write=_write_integer, direction="write"),),
        torch=_torch_integer,
        macs=multiplied(),
        cases=(
            _case("no zero points", _LEFT, arr(4, 5, low=0, high=256, dtype="uint8"), const=(1,)),
            _case("zero points", _LEFT, _RIGHT, _ZERO, _ZERO8, const=(1, 2, 3), dynamic=(0,)),
            _case("by column", _LEFT, _RIGHT, _ZERO, given([1, -2, 3, 0, 9], "int8"), const=(1, 2, 3)),
            _case("batched", arr(2, 3, 4, low=0, high=256, dtype="uint8"), _RIGHT, _ZERO, const=(1, 2)),
            _case(
                "two batches", arr(2, 3, 4, low=-9, high=9, dtype="int8"), arr(2, 4, 3, low=0, high=9, dtype="uint8")
            ),
            _case("broadcast", arr(1, 3, 4, low=-9, high=9, dtype="int8"), arr(2, 4, 3, low=0, high=9, dtype="uint8")),
            _case("computed", _LEFT, _RIGHT, _ZERO, _ZERO8, const=()),
        ),
    ),
    Op(
        "QLinearMatMul",
        mx=(MxForm("dot", write=_write_quantized, direction="write"),),
        torch=_torch_quantized,
        macs=multiplied(0, 3),
        cases=(
            _case("tensor", _LEFT, _SCALE, _ZERO, _RIGHT, _SCALE, _ZERO8, _TARGET, _ZERO, dynamic=(0,)),
            _case(
                "by column",
                _LEFT,
                _SCALE,
                _ZERO,
                _RIGHT,
                arr(5, low=0.01, high=0.04, dtype="float32"),
                given([0, 0, 0, 0, 0], "int8"),
                _TARGET,
                _ZERO,
            ),
            _case(
                "batched",
                arr(2, 3, 4, low=0, high=256, dtype="uint8"),
                _SCALE,
                _ZERO,
                _RIGHT,
                _SCALE,
                _ZERO8,
                _TARGET,
                _ZERO,
            ),
            _case("computed", _LEFT, _SCALE, _ZERO, _RIGHT, _SCALE, _ZERO8, _TARGET, _ZERO, const=()),
        ),
    ),
)
