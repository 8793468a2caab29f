"""Which integers an input may hold: what its consumers use it for tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.dims import dims_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Range", "range_of"]

_FREE = 10
"""Integers below which an input is drawn whose use tells nothing."""
_MASK = 2
"""Integers below which an input is drawn that is used as a truth value."""
_BYTES = 256
_BOOL = ir.DataType.BOOL
_INDEXED = {"Gather": 1, "GatherElements": 1, "ScatterElements": 1}
"""Operators that index the ``axis`` of their first operand, with the position of the indices."""
_CLASSES = {"NegativeLogLikelihoodLoss": 1, "SoftmaxCrossEntropyLoss": 1}
"""Operators in which an integer names a class, which is a place along axis 1 of their first operand."""
_LENGTHS = {"GRU": 4, "LSTM": 4, "ProjectedLSTM": 5, "RNN": 4}
"""Operators that take lengths of sequences, which are from 1 to what lies along axis 0 of their first operand."""
_INDEXED_ND = {"GatherND": 1, "ScatterND": 1}
_PASSES = frozenset(
    [
        "Cast",
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "Identity",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators whose result holds the elements of their first operand (Concat: of all) and nothing else."""


@dataclass(frozen=True, slots=True)
class Range:
    """Integers from ``start`` to ``stop`` - 1; ``index`` where they index or count, so that floats must be whole."""

    stop: int
    index: bool
    start: int = 0


def range_of(value: ir.Value, sizes: Mapping[str, int]) -> Range:
    """The integers that make sense for a graph input.

    Follows the input through casts, changes of shape and constants added to it to the operators that use its numbers:
    an index of Gather and its relatives or of OneHot stays below the size of what it indexes, a class below the number
    of classes, a truth value is 0 or 1, a sequence has one step at least. An integer of 32 or 64 bits that becomes a
    float, as attention masks do, is 0 or 1, too.

    Args:
        value: A graph input.
        sizes: Sizes of the symbolic dimensions, by name.
    """
    limits: list[int] = []
    hints: list[int] = []
    seen: set[ir.Value] = set()
    stack = [(value, 0)]
    wide = value.dtype in (ir.DataType.INT32, ir.DataType.INT64)
    while stack:
        current, shift = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        for node, position in current.uses():
            limit = _limit(node, position, sizes)
            if limit is not None:
                limits.append(limit - shift)
            elif node.op_type == "Add" and (added := _largest(node.inputs[1 - position])) is not None:
                stack.extend((output, shift + added) for output in node.outputs)
            elif node.op_type in _PASSES and (position == 0 or node.op_type == "Concat"):
                if node.op_type == "Cast" and (_to(node) == _BOOL or (_to(node).is_floating_point() and wide)):
                    hints.append(_MASK)
                stack.extend((output, shift) for output in node.outputs)
            elif node.op_type in ("Equal", "Not", "Where") and position == 0:
                hints.append(_MASK)
    if limits:
        start = int(any(_LENGTHS.get(use.op_type) == place for current in seen for use, place in current.uses()))
        return Range(max(1 + start, min(limits)), index=True, start=start)
    if value.dtype is not None and value.dtype.name == "UINT8" and not hints:
        return Range(_BYTES, index=False)
    return Range(min([*hints, _FREE]), index=False)


def _to(node: ir.Node) -> ir.DataType:
    return ir.DataType(node.attributes.get_int("to", 0))


def _largest(value: ir.Value | None) -> int | None:
    """The largest element of a constant of integers."""
    tensor = None if value is None else value.const_value
    if tensor is None or not tensor.dtype.is_integer() or not tensor.size:
        return None
    return int(tensor.numpy().max())


def _limit(node: ir.Node, position: int, sizes: Mapping[str, int]) -> int | None:
    """The size of what an operand indexes, None where it indexes nothing or a thing of unknown size."""
    if node.op_type == "OneHot" and position == 0:
        depth = node.inputs[1].const_value if node.inputs[1] is not None else None
        return None if depth is None else int(np.asarray(depth.numpy()).reshape(-1)[0])
    table = node.inputs[0] if node.inputs else None
    dims = None if table is None else dims_of(table)
    if dims is None:
        return None
    if _INDEXED.get(node.op_type) == position:
        axis = node.attributes.get_int("axis", 0)
        return _size(dims[axis], sizes)
    if _LENGTHS.get(node.op_type) == position:
        steps = _size(dims[1 if node.attributes.get_int("layout", 0) else 0], sizes)
        return None if steps is None else steps + 1
    if _CLASSES.get(node.op_type) == position and len(dims) > 1:
        return _size(dims[1], sizes)
    if _INDEXED_ND.get(node.op_type) == position:
        known = [_size(dim, sizes) for dim in dims]
        return min((size for size in known if size is not None), default=None)
    return None


def _size(dim: int | str | None, sizes: Mapping[str, int]) -> int | None:
    return sizes.get(dim) if isinstance(dim, str) else dim
