"""Indices of tensors in torch source: ``x[:, 2, 1:3]``, with what is cut out step by step as one index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.training import padding_row
from graphkit.ops.tensor.sizes import axis_of, constant_ints, rank_is_known, some
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim, TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["along", "cut_out", "only_axis", "opened", "points", "used_once"]

_HUGE = 2**31 - 1


def along(axis: int, *at: Arg, rank: int | None = None) -> tuple[Arg, ...]:
    """An index that applies ``at`` from an axis on and takes all of the axes before: ``[:, …]`` or ``[..., …]``."""
    if rank is not None and axis > 1 and axis + len(at) == rank:
        return (Code("..."), *at)
    return (*(slice(None),) * axis, *at)


def opened(start: Arg, stop: Arg, size: Dim) -> tuple[Arg, Arg]:
    """Bounds of a slice with None for the array's own ends; those that are computed stay."""
    most = size if isinstance(size, int) else _HUGE
    if isinstance(start, int) and (start == 0 or start <= -most):
        start = None
    return start, None if isinstance(stop, int) and stop >= most else stop


def used_once(value: ir.Value) -> bool:
    """Whether nothing but one operand of one node is the value."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def cut_out(b: TorchBuilder, value: ir.Value) -> Arg | None:
    """Index what a value was cut out of by Slice, Gather and Squeeze, by one index; None where it was not.

    Bounds and indices have to be constants, and the size of an axis known where a range is cut out of a range.
    """
    root, index = _index_of(b, value)
    if root is value:
        return None
    rank = len(index)
    first = next((axis for axis in range(rank) if index[axis] != slice(None)), rank)
    last = max((axis for axis in range(rank) if index[axis] != slice(None)), default=rank)
    held = b.arg(root)
    return b.item(held, *along(first, *index[first : last + 1], rank=rank)) if first < rank else held


def only_axis(b: TorchBuilder, indices: ir.Value) -> ir.Value | None:
    """Indices into one axis before they were given the last axis that GatherND wants; None for others."""
    producer = indices.producer()
    if producer is None or producer.op_type != "Unsqueeze":
        return None
    return producer.inputs[0] if constant_ints(b, producer, 1) in ((-1,), (b.rank(indices) - 1,)) else None


def points(b: TorchBuilder, indices: ir.Value) -> Arg:
    """The coordinates of points, which the last axis of indices holds, as an index that torch takes."""
    alone = only_axis(b, indices)
    if alone is not None:
        return (b.arg(alone),)
    producer = indices.producer()
    if producer is not None and producer.op_type == "Transpose":
        order = producer.attributes.get_ints("perm", None)
        if order is not None and list(order) == [*range(1, len(order)), 0]:
            return b.method("unbind", b.arg(some(producer.inputs[0])))
    return b.method("unbind", b.arg(indices), -1)


_Index = list["int | slice"]


def _index_of(b: TorchBuilder, value: ir.Value) -> tuple[ir.Value, _Index]:
    """What a value was cut out of, and the index: one entry for each axis."""
    node = value.producer()
    source = None if node is None or not node.inputs else node.inputs[0]
    if node is None or source is None or not rank_is_known(source):
        return value, []
    if node.op_type == "Split":
        piece = _piece(b, node, value)
        return (value, []) if piece is None else (source, piece)
    cuts = _cuts(b, node, source)
    if cuts is None:
        return value, []
    fresh: _Index = [slice(None)] * b.rank(source)
    if used_once(source):
        root, index = _index_of(b, source)
        joined = None if root is source else _joined(index, cuts, b.shape(root))
        if joined is not None:
            return _unpadded(b, root, joined), joined
    joined = None if node.op_type == "Squeeze" else _joined(fresh, cuts, b.shape(source))
    return (value, []) if joined is None else (_unpadded(b, source, joined), joined)


def _unpadded(b: TorchBuilder, root: ir.Value, index: _Index) -> ir.Value:
    """What was padded at its ends before it was cut, where nothing of the pads is left."""
    node = root.producer()
    if node is None or node.op_type != "Pad" or node.inputs[0] is None or not used_once(root):
        return root
    pads, placed = constant_ints(b, node, 1), constant_ints(b, node, 3)
    axes = list(range(len(index))) if placed is None else [axis % len(index) for axis in placed]
    computed = placed is None and len(node.inputs) > 3 and node.inputs[3] is not None
    if pads is None or computed or node.attributes.get_string("mode", "constant") != "constant":
        return root
    before = b.shape(node.inputs[0])
    for axis, front, back in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        if front or back < 0 or (back and not _is_within(index[axis], before[axis])):
            return root
    return node.inputs[0]


def _is_within(entry: int | slice, size: Dim) -> bool:
    """Whether an index takes nothing after the first ``size`` elements."""
    if not isinstance(size, int):
        return False
    if isinstance(entry, int):
        return 0 <= entry < size
    return entry.stop is not None and 0 <= entry.stop <= size and (entry.start or 0) >= 0


def _piece(b: TorchBuilder, node: ir.Node, value: ir.Value) -> _Index | None:
    """The range that is one piece of a Split, where all pieces are dropped to single elements."""
    source = some(node.inputs[0])
    axis = axis_of(node, b.rank(source))
    if any(b.shape(output)[axis] != 1 or not _squeezed(b, output, axis) for output in node.outputs):
        return None
    index: _Index = [slice(None)] * b.rank(source)
    place = next(place for place, output in enumerate(node.outputs) if output is value)
    index[axis] = slice(place, place + 1)
    return index


def _squeezed(b: TorchBuilder, value: ir.Value, axis: int) -> bool:
    def drops(node: ir.Node) -> bool:
        return node.op_type == "Squeeze" and constant_ints(b, node, 1) in ((axis,), (axis - b.rank(value),))

    return not value.is_graph_output() and all(drops(use.node) for use in value.uses())


def _cuts(b: TorchBuilder, node: ir.Node, source: ir.Value) -> Mapping[int, int | slice | None] | None:
    """What a node cuts out of its first operand, by axis: a range, an element, or None for its only one."""
    rank = b.rank(source)
    if node.op_type == "Gather":
        if padding_row(node) is not None:
            return None
        number = b.number(node.inputs[1]) if b.rank(some(node.inputs[1])) == 0 else None
        return None if number is None else {axis_of(node, rank): int(number)}
    if node.op_type == "Squeeze":
        axes = constant_ints(b, node, 1)
        return None if axes is None else {axis % rank: None for axis in axes}
    if node.op_type != "Slice":
        return None
    starts, ends, axes, steps = (constant_ints(b, node, position) for position in range(1, 5))
    given = [len(node.inputs) > position and node.inputs[position] is not None for position in (3, 4)]
    if starts is None or ends is None or (given[0] and axes is None) or (given[1] and steps is None):
        return None
    cuts: dict[int, int | slice | None] = {}
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = number if axes is None else axes[number] % rank
        step = 1 if steps is None else steps[number]
        if step < 0:
            return None
        cuts[axis] = slice(*opened(start, end, b.shape(source)[axis]), None if step == 1 else step)
    return cuts


def _joined(index: _Index, cuts: Mapping[int, int | slice | None], dims: Sequence[Dim]) -> _Index | None:
    """An index with more cut out of what it gives; None where no index does both."""
    kept = [axis for axis, entry in enumerate(index) if isinstance(entry, slice)]
    found = list(index)
    for place, cut in cuts.items():
        axis = kept[place]
        entry = index[axis]
        if cut is None:
            element = _only(entry, dims[axis])
            if element is None:
                return None
            found[axis] = element
        elif entry == slice(None):
            found[axis] = cut
        elif cut != slice(None):
            within = _within(entry, cut, dims[axis])
            if within is None:
                return None
            found[axis] = within
    return found


def _within(entry: int | slice, cut: int | slice, size: Dim) -> int | slice | None:
    """What a cut takes out of a range, counted on its axis; None where its size is needed and unknown."""
    if not isinstance(size, int) or not isinstance(entry, slice):
        return None
    places = range(size)[entry]
    if isinstance(cut, int):
        return places[cut] if -len(places) <= cut < len(places) else None
    left = places[cut]
    if not left:
        return None
    start, stop = opened(left.start, left.stop, size)
    return slice(start, stop, None if left.step == 1 else left.step)


def _only(entry: int | slice, size: Dim) -> int | None:
    """The single element that a range has; None where it may have others."""
    if not isinstance(entry, slice) or entry == slice(None):
        return 0 if size == 1 else None
    start, stop = entry.start or 0, entry.stop
    if stop is None and start == -1:
        return -1
    if isinstance(size, int):
        places = range(*entry.indices(size))
        return (start if start < 0 else places[0]) if len(places) == 1 else None
    one = stop is not None and stop - start == 1 and entry.step is None
    return int(start) if one else None
