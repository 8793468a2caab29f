"""Joining and splitting arrays in MXNet's NumPy interface."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from graphkit.ops.codec import ints
from graphkit.ops.numpy.parameters import axis_in, flag
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

_COLUMN = {0: [0, 1], 1: [1]}
_ROW = {0: [0, 1], 1: [0]}
_DEPTH_AXIS = 2
_DEPTH = {0: [0, 1, 2], 1: [0, 2], 2: [2]}
"""The axes that arrays of too few axes get, by their rank."""


def _read_concatenate(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    text = node.attrs.get("axis", "0")
    if text == "None":
        return b.op("Concat", *(b.op("Reshape", value, [-1]) for value in x), axis=0)
    return b.op("Concat", *x, axis=axis_in(int(text), b.rank(some(x[0]))))


def _read_stack(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    axis = axis_in(int(node.attrs.get("axis", "0")), b.rank(some(x[0])) + 1)
    return b.op("Concat", *(b.op("Unsqueeze", value, [axis]) for value in x), axis=axis)


def _reads_stack(axis: int, grown: dict[int, list[int]]) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        parts = []
        for value in map(some, x):
            axes = grown.get(b.rank(value))
            parts.append(b.op("Unsqueeze", value, axes) if axes else value)
        return b.op("Concat", *parts, axis=axis)

    return read


def _read_hstack(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    parts = [b.op("Unsqueeze", value, [0]) if b.rank(value) == 0 else value for value in map(some, x)]
    return b.op("Concat", *parts, axis=1 if b.rank(parts[0]) > 1 else 0)


def _reads_split(axis: int) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
        data = some(x[0])
        rank = b.rank(data)
        along = axis if rank > axis or axis > 1 else 0
        if rank <= along:
            return Refusal(f"it splits axis {along}, and what it reads has {rank} axes")
        if axis == _DEPTH_AXIS and int(node.attrs.get("axis", "1")) != axis:
            return Refusal("MXNet writes past the end of its arrays where axis is not 2, though it splits along axis 2")
        if flag(node, "squeeze_axis"):
            return Refusal("its squeeze_axis drops the axis that it splits, which NumPy's functions never ask for")
        sections = int(node.attrs.get("sections", "0"))
        size = b.shape(data)[along]
        if sections > 0:
            if isinstance(size, int) and size % sections:
                return Refusal(f"{size} elements do not split into {sections} equal parts")
            return b.ops("Split", sections, data, axis=along, num_outputs=sections)
        starts = ints(node.attrs["indices"])
        if not isinstance(size, int):
            return Refusal("where it splits depends on a size that is free; give it with --input")
        bounds = [*starts, size]
        if any(start > end for start, end in pairwise(bounds)) or min(starts, default=0) < 0:
            return Refusal(f"indices={starts} are no places in order along {size} elements")
        sizes = [end - start for start, end in pairwise(bounds)]
        return b.ops("Split", len(sizes), data, sizes, axis=along)

    return read


_VECTOR, _MATRIX, _SCALAR = arr(3), arr(2, 3), arr()
_CUBE = arr(2, 3, 4)


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


def _stacked(op: str, read: Read, *reads: str) -> MxForm:
    two = {"num_args": 2}
    return _form(
        op,
        read,
        ("num_args", *reads),
        Case("scalars", (_SCALAR, _SCALAR), two),
        Case("vectors", (_VECTOR, _VECTOR), two),
        Case("matrices", (_MATRIX, _MATRIX), two),
        Case("cubes", (_CUBE, _CUBE), two),
        Case("one", (_MATRIX,), {"num_args": 1}),
    )


_FORMS = (
    _form(
        "_npi_concatenate",
        _read_concatenate,
        ("num_args", "axis"),
        Case("default axis", (_MATRIX, arr(1, 3)), {"num_args": 2}),
        Case("last axis", (_MATRIX, arr(2, 2), _MATRIX), {"num_args": 3, "axis": -1}),
        Case("flattened", (_MATRIX, _VECTOR), {"num_args": 2, "axis": "None"}),
        Case("integers", (arr(2, dtype="int32"), arr(3, dtype="int32")), {"num_args": 2}, grad=False),
    ),
    _form(
        "_npi_stack",
        _read_stack,
        ("num_args", "axis"),
        Case("default axis", (_MATRIX, _MATRIX), {"num_args": 2}),
        Case("last axis", (_MATRIX, _MATRIX), {"num_args": 2, "axis": -1}),
        Case("scalars", (_SCALAR, _SCALAR), {"num_args": 2}),
    ),
    _stacked("_npi_vstack", _reads_stack(0, _ROW)),
    _stacked("_npi_hstack", _read_hstack, "dim"),
    _stacked("_npi_dstack", _reads_stack(2, _DEPTH), "dim"),
    _stacked("_npi_column_stack", _reads_stack(1, _COLUMN)),
    _form(
        "_npi_hsplit",
        _reads_split(1),
        ("indices", "axis", "squeeze_axis", "sections"),
        Case("sections", (arr(2, 6),), {"indices": "()", "sections": 3}, outputs=3),
        Case("places", (arr(2, 6, 2),), {"indices": (0, 1, 4)}, outputs=3),
        Case("vector", (arr(6),), {"indices": "()", "sections": 2}, outputs=2),
    ),
    _form(
        "_npi_dsplit",
        _reads_split(_DEPTH_AXIS),
        ("indices", "axis", "squeeze_axis", "sections"),
        Case("sections", (arr(2, 3, 4),), {"indices": "()", "sections": 2, "axis": 2}, outputs=2),
        Case("places", (arr(2, 3, 4),), {"indices": (0, 3), "axis": 2}, outputs=2),
    ),
)

OPS = tuple(Op("", mx=(form,)) for form in _FORMS)
