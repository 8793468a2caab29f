"""Connectionist temporal classification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.frameworks.torch.aten.emit import integers, known, rank
from graphkit.frameworks.torch.ctc_capture import NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_SAME: Final = frozenset({"Identity", "Cast", "CastLike"})
"""Operators that keep logarithms of chances what they are, and their axes in place."""


def _losses(
    emit: Emit,
    logs: ir.Value,
    labels: ir.Value,
    lengths: ir.Value,
    counts: ir.Value,
    blank: int,
    zero_infinity: bool,
) -> ir.Value:
    """One node, whose own logarithm of softmax leaves logarithms of chances as they are.

    Labels that do not fit their frames cost infinity, or nothing with ``zero_infinity``.
    """
    if not _sums_to_one(logs, 2):
        return emit.untranslated(
            "ctc_loss",
            1,
            logs,
            why="it converts where what it is given is F.log_softmax of the classes, which this is not as far as the "
            "graph tells; apply F.log_softmax(x, -1) in the same module",
        )[0]
    flat = emit.op("Cast", labels, to=7)
    labels = _padded(emit, flat, counts, known(labels)[0]) if rank(labels) == 1 else flat
    (losses,) = emit.own("CTCLoss", 1, logs, labels, lengths, counts, blank=blank)
    if zero_infinity:
        return losses
    return emit.op("Where", _fit(emit, labels, lengths, counts), losses, emit.floats(np.inf, logs))


def _sums_to_one(logs: ir.Value, axis: int) -> bool:
    """Whether values are a logarithm of softmax along an axis."""
    node = logs.producer()
    while node is not None:
        if node.op_type == "LogSoftmax":
            given = node.inputs[0]
            return given is not None and node.attributes.get_int("axis", -1) in (axis, axis - rank(given))
        if node.op_type == "Transpose":
            order = node.attributes.get_ints("perm", ())
            if not order:
                return False
            axis = order[axis]
        elif node.op_type == "Unsqueeze":
            added = integers(node.inputs[1])
            if added is None or len(added) != 1 or axis == (place := added[0]) or place < 0:
                return False
            axis -= place < axis
        elif node.op_type not in _SAME:
            return False
        assert node.inputs[0] is not None
        node = node.inputs[0].producer()
    return False


def _padded(emit: Emit, labels: ir.Value, counts: ir.Value, size: int | None) -> ir.Value:
    """Labels of all examples one after the other as a row for each example, as long as all of them together."""
    last = emit.op("Sub", emit.op("Shape", labels) if size is None else emit.ints(size), emit.ints(1))
    ends = emit.op("CumSum", counts, emit.array(np.asarray(0)))
    starts = emit.op("Unsqueeze", emit.op("Sub", ends, counts), emit.ints(1))
    if size is None:
        stop = emit.op("Squeeze", emit.op("Shape", labels), emit.ints(0))
        places = emit.op("Range", emit.array(np.asarray(0)), stop, emit.array(np.asarray(1)))
    else:
        places = emit.array(np.arange(size))
    return emit.op("Gather", labels, emit.op("Min", emit.op("Add", starts, places), last), axis=0)


def _fit(emit: Emit, labels: ir.Value, lengths: ir.Value, counts: ir.Value) -> ir.Value:
    """Whether there are frames for all labels, and for a blank between two that are equal."""
    end = emit.ints(np.iinfo(np.int64).max)
    after, before = (
        emit.op("Slice", labels, emit.ints(start), stop, emit.ints(1)) for start, stop in ((1, end), (0, emit.ints(-1)))
    )
    ones = emit.op("Add", emit.op("Mul", after, emit.ints(0)), emit.ints(1))
    places = emit.op("CumSum", ones, emit.array(np.asarray(1)))
    own = emit.op("Less", places, emit.op("Unsqueeze", counts, emit.ints(1)))
    again = emit.op("Cast", emit.op("And", emit.op("Equal", after, before), own), to=7)
    repeats = emit.op("ReduceSum", again, emit.ints(1), keepdims=0)
    return emit.op("GreaterOrEqual", lengths, emit.op("Add", counts, repeats))


ROWS: dict[str, Callable[..., Any]] = {f"{NAME.replace('::', '.')}.default": _losses}
