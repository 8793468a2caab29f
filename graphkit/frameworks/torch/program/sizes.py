"""Symbolic sizes as nodes of ONNX, for where a node reads one as a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["size_node"]

_ARITHMETIC: Final = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "sym_max": "Max",
    "sym_min": "Min",
}


def size_node(emit: Recorder, function: str, arguments: Sequence[Any]) -> ir.Value | None:
    """The value, an int64 scalar, that a function of sizes gives; None where ONNX does not compute it.

    Args:
        emit: What nodes are emitted with.
        function: ``"sym_size"``, or a function of Python's :mod:`operator` such as ``"mul"``.
        arguments: Its arguments: tensors, values of sizes, and numbers.
    """
    if function == "sym_size" and len(arguments) == 2:
        tensor, axis = arguments
        if not isinstance(tensor, ir.Value) or not isinstance(axis, int) or tensor.shape is None:
            return None
        axis %= max(len(tensor.shape), 1)
        return emit.op("Squeeze", emit.op("Shape", tensor, start=axis, end=axis + 1), emit.ints(0))
    if not all(isinstance(one, int | ir.Value) for one in arguments) or len(arguments) != 2:
        return None
    operands = [emit.operand(one, ir.DataType.INT64) for one in arguments]
    if function == "floordiv" and isinstance(arguments[1], int) and arguments[1] > 0:
        return emit.op("Div", *operands)  # sizes are not negative
    op_type = _ARITHMETIC.get(function)
    return None if op_type is None else emit.op(op_type, *operands)
