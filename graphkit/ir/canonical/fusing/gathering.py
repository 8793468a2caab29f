"""GatherND whose indices count along the axes of what it reads, as slices and axes of size 1.

Exporters write ``mask[rows, columns]`` with ranges of rows and columns so, which transformers' masks are made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.ir.canonical.fusing.places import place_in, place_of
from graphkit.ir.symbols import dim_of, equal, numbers_of, shape_of

if TYPE_CHECKING:
    from graphkit.ir.canonical.fusing.places import Place
    from graphkit.ir.edit import Editor

__all__ = ["plain_gather"]


def plain_gather(edit: Editor) -> bool:
    """Put Slice, Transpose and Unsqueeze in place of a GatherND, where its indices are ranges; shapes must be known.

    Indices beyond what there is are an error of GatherND, and end a Slice.
    """
    node = edit.node
    x, indices = node.inputs
    if x is None or indices is None or node.attributes.get_int("batch_dims", 0) != 0:
        return False
    shape, sizes = shape_of(x), shape_of(indices)
    places = _components(indices)
    if shape is None or sizes is None or places is None:
        return False
    sizes = sizes[:-1]
    axes = [place.axis for place in places]
    free = [axis for axis, size in enumerate(sizes) if axis not in axes and size != 1]
    if None in axes or len(set(axes)) != len(axes) or free or any(place.rank != len(sizes) for place in places):
        return False
    ends = []
    for axis, place in enumerate(places):
        assert place.axis is not None
        size = sizes[place.axis]
        if place.start == 0 and equal(size, shape[axis]):
            continue
        if place.start < 0 or not (isinstance(size, int) or place.limit is not None):
            return False
        last = place.start + size if isinstance(size, int) else place.limit
        ends.append((axis, place.start, last))
    dims = [dim_of(sizes[place.axis]) for place in places if place.axis is not None]
    taken = x
    for axis, start, last in ends:
        first, along = edit.const("start", [start]), edit.const("axis", [axis])
        end = (
            edit.const("end", [last]) if isinstance(last, int) else edit.op("Unsqueeze", last, edit.const("zero", [0]))
        )
        taken = edit.op("Slice", taken, first, end, along)
        taken.shape = ir.Shape([*dims[: axis + 1], *list(taken.shape or ())[axis + 1 :]])
    count, rank = len(places), len(shape)
    order = sorted(range(count), key=lambda k: places[k].axis or 0)
    if order != list(range(count)):
        taken = edit.op("Transpose", taken, perm=[*order, *range(count, rank)])
    ones = [axis for axis in range(len(sizes)) if axis not in axes]
    if ones:
        taken = edit.op("Unsqueeze", taken, edit.const("axes", ones))
    edit.replace(taken)
    return True


def _components(indices: ir.Value) -> list[Place] | None:
    """What the parts of stacked indices count."""
    if indices.const_value is not None:
        array = indices.const_value.numpy()
        found = [place_in(array[..., part]) for part in range(array.shape[-1])]
    else:
        found = _stacked(indices)
    places = [place for place in found if place is not None]
    return places if places and len(places) == len(found) else None


def _stacked(indices: ir.Value) -> list[Place | None]:
    node, shape = indices.producer(), shape_of(indices)
    if node is None or shape is None or node.domain:
        return []
    last = len(shape) - 1
    if node.op_type == "Unsqueeze":
        axes = numbers_of(node.inputs[1])
        return [place_of(node.inputs[0]) if axes in ([-1], [last]) else None]
    if node.op_type != "Concat" or node.attributes.get_int("axis", -1) not in (-1, last):
        return []
    found: list[Place | None] = []
    for part in node.inputs:
        if part is None or (shape_of(part) or (0,))[-1] != 1:
            return []
        if part.const_value is not None:
            found.append(place_in(part.const_value.numpy()[..., 0]))
        else:
            found += _stacked(part) or [None]
    return found
