"""Inputs and outputs of two graphs compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from graphkit.inspecting.difference.difference import Change, ValueDifference
from graphkit.ir.describe import tensor_of
from graphkit.ir.dims import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.inspecting.difference.difference import Status
    from graphkit.inspecting.difference.nodes import Nodes
    from graphkit.ir.describe import Dims, Tensor

    Pairs = Sequence[tuple[ir.Value, ir.Value]]

__all__ = ["inputs_compared", "outputs_compared"]

_MOVED: Final = "position"


def inputs_compared(left: ir.Graph, right: ir.Graph, pairs: Pairs) -> tuple[ValueDifference, ...]:
    """Every input of both once; those that initializers are defaults of are parameters."""
    ours, theirs = ([v for v in graph.inputs if not v.is_initializer()] for graph in (left, right))
    return _compared("input", ours, theirs, pairs, [[] for _ in pairs])


def outputs_compared(
    left: ir.Graph, right: ir.Graph, pairs: Pairs, nodes: Nodes, settled: set[tuple[ir.Value, ir.Value]]
) -> tuple[ValueDifference, ...]:
    """Every output of both once, with those that give another value than before.

    Args:
        left: The first graph.
        right: The second.
        pairs: Outputs that are each other.
        nodes: Compares values.
        settled: Values that were found to hold the same numbers.
    """
    changes: list[list[Change]] = []
    for old, new in pairs:
        same = nodes.corresponds(old, new) or (old, new) in settled or nodes.explained(old, new)
        names = [_maker(value) for value in (old, new)]
        changes.append([] if same else [Change("output", "given by", *names)])
    return _compared("output", list(left.outputs), list(right.outputs), pairs, changes)


def _maker(value: ir.Value) -> str:
    node = value.producer()
    return (value.name or "") if node is None else f"{node.op_type} {node.name}".strip()


def _compared(
    kind: Literal["input", "output"],
    ours: list[ir.Value],
    theirs: list[ir.Value],
    pairs: Pairs,
    more: list[list[Change]],
) -> tuple[ValueDifference, ...]:
    partner = dict(pairs)
    told = dict(zip((one for one, _ in pairs), more, strict=True))
    met = [each for each in ours if each in partner]
    back = {two: one for one, two in pairs}
    order = {back[each]: index for index, each in enumerate(each for each in theirs if each in back)}
    found = []
    for value in ours:
        left = tensor_of(value)
        if value not in partner:
            found.append(ValueDifference(kind, "removed", left, None))
            continue
        right = tensor_of(partner[value])
        changes = [*_typed(kind, left, right), *told[value]]
        if met.index(value) != order.get(value):
            changes.append(Change(kind, _MOVED, str(ours.index(value)), str(theirs.index(partner[value]))))
        hard = [change for change in changes if change.what in ("dtype", "shape")]
        status: Status = "changed" if hard else "moved" if changes else "renamed" if left.name != right.name else "same"
        found.append(ValueDifference(kind, status, left, right, tuple(changes)))
    found += [ValueDifference(kind, "added", None, tensor_of(value)) for value in theirs if value not in back]
    return tuple(found)


def _typed(kind: str, left: Tensor, right: Tensor) -> list[Change]:
    changes = []
    if left.dtype is not None and right.dtype is not None and left.dtype != right.dtype:
        changes.append(Change("dtype", "", left.dtype, right.dtype))
    if left.shape is not None and right.shape is not None and _other(kind, left.shape, right.shape):
        changes.append(Change("shape", "", shown(left.shape), shown(right.shape)))
    return changes


def _other(kind: str, left: Dims, right: Dims) -> bool:
    """Whether shapes differ whatever free sizes are called; a size of an output may be known in one model only."""
    if len(left) != len(right):
        return True
    for old, new in zip(left, right, strict=True):
        known = isinstance(old, int), isinstance(new, int)
        if all(known) and old != new:
            return True
        if known[0] != known[1] and kind == "input":
            return True
    return False
