"""Pieces that are taken from one value, taken by one node.

The gradient of a Slice or a Gather is as large as what it takes from. Where a value is taken apart, as sequences are
into their steps and weights into their gates, these would be added up, at a cost that grows with the square of the
number of pieces; that of a Split joins the pieces.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from graphkit.ir.dims import dims_of
from graphkit.ir.edit import Editor, graphs_of, redirect
from graphkit.ir.training import padding_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

__all__ = ["join_pieces"]


class _Piece(NamedTuple):
    """What a node takes from a value.

    Attributes:
        node: A Slice, or a Gather of one index.
        start: First place along the axis.
        stop: First place behind.
    """

    node: ir.Node
    start: int
    stop: int


def join_pieces(model: ir.Model) -> None:
    """Replace nodes that take different pieces of a float value along an axis by one Split, in place.

    Values keep their names. A node that shares elements with another stays.
    """
    for graph in graphs_of(model.graph):
        groups: dict[tuple[ir.Value, int], list[_Piece]] = {}
        for node in graph:
            _note(node, groups)
        for (_, axis), found in groups.items():
            pieces = _apart(found)
            if len(pieces) > 1:
                _split(model, axis, pieces)


def _note(node: ir.Node, groups: dict[tuple[ir.Value, int], list[_Piece]]) -> None:
    """Note the piece that a node takes, if it takes one."""
    value = node.inputs[0] if node.inputs and node.op_type in ("Slice", "Gather") and not node.domain else None
    dims = None if value is None else dims_of(value)
    if value is None or dims is None or value.dtype is None or not value.dtype.is_floating_point():
        return
    numbers = [None if operand is None else _number(operand) for operand in node.inputs[1:]]
    if node.op_type == "Gather":
        axis, first, last = node.attributes.get_int("axis", 0) or 0, numbers[0], None
        scalar = node.inputs[1] is not None and dims_of(node.inputs[1]) == ()
        if not scalar or padding_row(node) is not None:
            return
    else:
        first, last, place, step = [*numbers, None, None][:4]
        whole = len(node.inputs) < 4 or node.inputs[3] is None
        single = len(node.inputs) < 5 or node.inputs[4] is None or step == 1
        if last is None or not single or (place is None and not whole):
            return
        axis = 0 if place is None else place
    axis %= len(dims)
    size = dims[axis]
    if first is None or not isinstance(size, int):
        return
    start = min(first + size if first < 0 else first, size)
    stop = start + 1 if last is None else min(last + size if last < 0 else last, size)
    if 0 <= start < stop <= size:
        groups.setdefault((value, axis), []).append(_Piece(node, start, stop))


def _number(value: ir.Value) -> int | None:
    """The one element of an integer constant."""
    if value.const_value is None or value.is_graph_input() or value.const_value.size != 1:
        return None
    return int(value.const_value.numpy().item())


def _apart(pieces: Sequence[_Piece]) -> list[_Piece]:
    """The pieces that share nothing with those before them, from the first place to the last."""
    found: list[_Piece] = []
    for piece in pieces:
        if all(piece.stop <= other.start or other.stop <= piece.start for other in found):
            found.append(piece)
    return sorted(found, key=lambda piece: piece.start)


def _split(model: ir.Model, axis: int, pieces: Sequence[_Piece]) -> None:
    value = pieces[0].node.inputs[0]  # not the one noted, where that was a piece that a Split gives now
    assert value is not None
    size = (dims_of(value) or ())[axis]
    assert isinstance(size, int)
    bounds = sorted({0, size, *(piece.start for piece in pieces), *(piece.stop for piece in pieces)})
    nodes = {piece.node for piece in pieces}
    graph = pieces[0].node.graph
    assert graph is not None
    edit = Editor(model, next(node for node in graph if node in nodes))
    sizes = edit.const("sizes", [stop - start for start, stop in pairwise(bounds)])
    parts = edit.ops("Split", len(bounds) - 1, value, sizes, axis=axis)
    axes = edit.const("axes", [axis]) if any(node.op_type == "Gather" for node in nodes) else None
    found = [parts[bounds.index(piece.start)] for piece in pieces]
    found = [
        edit.op("Squeeze", part, axes) if piece.node.op_type == "Gather" else part
        for piece, part in zip(pieces, found, strict=True)
    ]
    for piece, part in zip(pieces, found, strict=True):
        _replace(model, piece.node, part)


def _replace(model: ir.Model, node: ir.Node, new: ir.Value) -> None:
    """Put a value in place of a node's output, under its name; constants that only the node read go with it."""
    old, constants = node.outputs[0], [value for value in node.inputs[1:] if value is not None]
    name = old.name
    redirect(old, new)
    if new.name != name:
        old.name = None
        new.name = name
    assert node.graph is not None
    node.graph.remove(node, safe=True)
    for value in constants:
        if not value.uses() and not value.is_graph_output() and value.name is not None:
            model.graph.initializers.pop(value.name, None)
