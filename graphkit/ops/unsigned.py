"""Unsigned integers of 16, 32 and 64 bits in torch, which stores them and computes next to nothing of them.

Those of 16 and 32 bits are computed with in int64, which holds them, and cut to their width again. Those of 64 bits are
taken for the int64 of the same bits: sums, products and bits are the same for both; to compare, the highest bit is
turned over, which keeps the order; quotients have a function of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from graphkit.ops.spec import Refusal
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.spec import Torch
    from graphkit.ops.torchprogram import Arg

__all__ = ["WITHOUT_KERNEL", "as_signed", "has_wide_unsigned"]

_MOVED: Final = frozenset(
    {
        "DepthToSpace",
        "EyeLike",
        "GatherElements",
        "NonZero",
        "ScatterElements",
        "ScatterND",
        "SpaceToDepth",
        "Trilu",
    }
)
_SAME_BITS: Final = _MOVED | {
    "Add",
    "CumProd",
    "CumSum",
    "Gemm",
    "MatMul",
    "Mul",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Sub",
    "Sum",
}
_ORDERED: Final = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "Clip",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "ReduceMax",
        "ReduceMin",
        "TopK",
    }
)
WITHOUT_KERNEL: Final = _MOVED | {"ArgMax", "ArgMin", "CumProd", "CumSum", "TopK"}
"""Operators whose rooms write what torch then has no kernel for."""
_INT64 = Code("torch.int64")
_HIGHEST = -(2**63)


def has_wide_unsigned(b: TorchBuilder, node: ir.Node) -> bool:
    """Whether an operand is of unsigned integers of more than 8 bits."""
    return any(value is not None and value.type is not None and _is_wide(b.dtype(value)) for value in node.inputs)


def as_signed(b: TorchBuilder, node: ir.Node, x: Sequence[Any], emit: Torch) -> Arg | Sequence[Arg] | Refusal:
    """What a room emits for a node of such operands, computed in int64."""
    dtypes = [None if value is None else b.dtype(value) for value in node.inputs]
    longest = any(dtype == np.uint64 for dtype in dtypes)
    if longest and node.op_type in ("Div", "Mod"):
        quotient, rest = b.calls("divide_unsigned", 2, x[0], x[1])
        return cast("Arg", quotient if node.op_type == "Div" else rest)
    exponent = node.op_type == "Pow" and dtypes[0] is not None and dtypes[0].kind == "f"
    if longest and node.op_type not in _SAME_BITS | _ORDERED and not exponent:
        return Refusal("torch does not compute with uint64 numbers; cast them to int64")
    extremes = node.attributes.get_string("reduction", "none") in ("max", "min")
    turned = longest and (node.op_type in _ORDERED or extremes)
    operands = []
    for dtype, arg in zip(dtypes, x, strict=True):
        if dtype is None or not _is_wide(dtype):
            operands.append(arg)
        elif exponent:
            operands.append(b.method("to", arg, b.torch_dtype(cast("np.dtype[Any]", dtypes[0]))))
        elif dtype == np.uint64:
            bits = b.method("view", arg, _INT64)
            operands.append(b.infix("^", bits, _HIGHEST) if turned else bits)
        else:
            operands.append(b.method("long", arg))
    widened = cast("TorchBuilder", _Widened(b))
    found = emit(widened, node, operands)
    if isinstance(found, Refusal):
        return found
    results = list(found) if isinstance(found, tuple | list) else [found]
    return [_narrowed(b, value, arg, turned=turned) for value, arg in zip(node.outputs, results, strict=False)]


def _narrowed(b: TorchBuilder, value: ir.Value, arg: Any, *, turned: bool) -> Arg:
    dtype = b.dtype(value)
    if not _is_wide(dtype):
        return cast("Arg", arg)
    if dtype == np.uint64:
        return b.method("view", b.infix("^", arg, _HIGHEST) if turned else arg, Code("torch.uint64"))
    return b.method("to", arg, b.torch_dtype(dtype))


def _is_wide(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "u" and dtype.itemsize > 1


class _Widened:
    """A builder that says int64 for what is computed with in int64."""

    def __init__(self, b: TorchBuilder) -> None:
        self._b = b

    def __getattr__(self, name: str) -> Any:
        return getattr(self._b, name)

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value while it is computed with."""
        own = self._b.dtype(value)
        return np.dtype(np.int64) if _is_wide(own) else own

    def number(self, _value: ir.Value | None) -> None:
        """No constant is written as a number, whose bits would have to be turned over, too."""

    def value(self, value: ir.Value | None) -> Any:
        """The array of a constant that is not computed with."""
        return None if value is not None and _is_wide(self._b.dtype(value)) else self._b.value(value)
