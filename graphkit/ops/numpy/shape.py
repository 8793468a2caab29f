"""Shapes and the order of axes in MXNet's NumPy interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.codec import ints
from graphkit.ops.numpy.parameters import axes_in, flag, moved
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.reshape import reshaped_by
from graphkit.ops.tensor.reshape_codes import Made
from graphkit.ops.tensor.sizes import END, START, size_along, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _read_reshape(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    shape = ints(node.attrs["newshape"])
    if node.attrs.get("order", "C") != "C":
        return Refusal(f"MXNet reshapes in C order only, not in order {node.attrs['order']}")
    if min(shape, default=0) < -1 or shape.count(-1) > 1:
        return Refusal(f"newshape={shape} is no shape with at most one -1")
    return b.op("Reshape", x[0], b.const(np.asarray(shape, np.int64)), allowzero=1 if 0 in shape else None)


def _read_extended(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    codes = ints(node.attrs["newshape"])
    if node.attrs.get("order", "C") != "C":
        return Refusal(f"MXNet reshapes in C order only, not in order {node.attrs['order']}")
    if 0 in codes:
        return b.op("Reshape", data, b.const(np.asarray(codes, np.int64)), allowzero=1) if min(codes) >= -1 else _EMPTY
    dims = b.shape(data)
    if flag(node, "reverse"):
        made = [
            part._replace(factors=tuple(len(dims) - 1 - axis for axis in part.factors))
            for part in _made_by(codes[::-1], dims[::-1])[::-1]
        ]
    else:
        made = _made_by(codes, dims)
    if not made:
        return b.op("Reshape", data, b.const(np.zeros(0, np.int64)))
    return reshaped_by(b, data, made)


_EMPTY = Refusal("it makes an array without elements by codes of an extended shape; write its sizes out")


def _made_by(codes: Sequence[int], dims: Sequence[Dim]) -> list[Made]:
    """What codes make: -1 is inferred, -2 copied, -3 skips a 1, -4 copies the rest, -5 merges two, -6 splits one."""
    made: list[Made] = []
    queue, here = list(codes), 0
    while queue:
        code = queue.pop(0)
        if code in (-2, -3, -5, -6) and here + (code == -5) >= len(dims):
            raise ValueError(f"newshape={tuple(codes)} steps over more than the {len(dims)} dimensions of the input")
        if code == -4:
            made += [Made((axis,)) for axis in range(here, len(dims))]
            here = len(dims)
            continue
        if code == -3 and isinstance(dims[here], int) and dims[here] != 1:
            raise ValueError(
                f"newshape={tuple(codes)} skips a dimension of size {dims[here]}; -3 skips those of size 1"
            )
        if code == -6:
            made += _split(here, queue)
        elif code in (-2, -5):
            made.append(Made((here,) if code == -2 else (here, here + 1)))
        elif code == -1:
            made.append(Made(inferred=True))
        elif code > 0:
            made.append(Made(number=code))
        elif code != -3:
            raise ValueError(f"{code} is not a code of npx.reshape")
        here += 2 if code == -5 else 1
    if sum(part.inferred for part in made) > 1:
        raise ValueError(f"newshape={tuple(codes)} has more than one -1")
    return made


def _split(here: int, queue: list[int]) -> list[Made]:
    if len(queue) < 2 or queue[:2] == [-1, -1] or 0 in queue[:2] or min(queue[:2]) < -1:
        raise ValueError("-6 in newshape is not followed by the two sizes that it splits a dimension into")
    left, right = queue.pop(0), queue.pop(0)
    if left == -1:
        return [Made((here,), divisor=right), Made(number=right)]
    return [Made(number=left), Made((here,), divisor=left) if right == -1 else Made(number=right)]


def _read_transpose(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    rank = b.rank(some(x[0]))
    axes = axes_in(node, rank, "axes")
    if axes is not None and len(axes) != rank:
        raise ValueError(f"axes={node.attrs['axes']} are not all axes of an array of {rank}")
    return b.op("Transpose", x[0], perm=axes or None)


def _read_squeeze(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    dims = b.shape(data)
    axes = axes_in(node, len(dims)) if dims else ()
    if axes is None:
        free = [str(dim) for dim in dims if not isinstance(dim, int)]
        if free:
            b.warn(f"it drops every axis that happens to have size 1; the free size {free[0]} is taken to be another")
        axes = tuple(axis for axis, dim in enumerate(dims) if dim == 1)
    wide = [axis for axis in axes if isinstance(dims[axis], int) and dims[axis] != 1]
    if wide:
        raise ValueError(f"axis {wide[0]} has size {dims[wide[0]]} and cannot be dropped")
    return b.op("Squeeze", data, axes) if axes else b.op("Identity", data)


def _read_moveaxis(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    rank = b.rank(data)
    sources = axes_in(node, rank, "source", "()") or ()
    targets = axes_in(node, rank, "destination", "()") or ()
    if len(sources) != len(targets):
        raise ValueError(f"it moves {len(sources)} axes to {len(targets)} places")
    order = [axis for axis in range(rank) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        order.insert(target, source)
    return b.op("Transpose", data, perm=order)


def _read_roll(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    if node.attrs.get("shift", "None") == "None":
        return Refusal("it has no shift, which MXNet needs")
    shifts = ints(node.attrs["shift"])
    axes = axes_in(node, b.rank(data))
    if axes is None:
        if len(shifts) != 1:
            return Refusal(f"shift={shifts} is several numbers, and its axis is not given")
        return b.op("Reshape", _rolled(b, b.op("Reshape", data, [-1]), 0, shifts[0]), b.op("Shape", data))
    if len(shifts) not in (1, len(axes)):
        return Refusal(f"it rolls {len(axes)} axes by {len(shifts)} shifts")
    result = data
    for axis, shift in zip(axes, shifts if len(shifts) == len(axes) else shifts * len(axes), strict=True):
        result = _rolled(b, result, axis, shift)
    return b.op("Identity", data) if result is data else result


def _rolled(b: OnnxBuilder, data: ir.Value, axis: int, shift: int) -> ir.Value:
    """The data moved cyclically along an axis."""
    size = b.shape(data)[axis]
    if isinstance(size, int):
        if size == 0 or shift % size == 0:
            return data
        cut: ir.Value | list[int] = [size - shift % size]
    else:
        cut = b.op("Mod", b.const([-shift]), size_along(b, data, axis))
    front, back = b.op("Slice", data, [0], cut, [axis]), b.op("Slice", data, cut, [END], [axis])
    return b.op("Concat", back, front, axis=axis)


def _flipped(b: OnnxBuilder, data: ir.Value, axes: Sequence[int]) -> ir.Value:
    if not axes:
        return data
    back = [-1] * len(axes)
    return b.op("Slice", data, back, [START] * len(axes), list(axes), back)


def _read_flip(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    axes = axes_in(node, b.rank(data))
    axes = tuple(range(b.rank(data))) if axes is None else axes
    return _flipped(b, data, axes) if axes else b.op("Identity", data)


def _read_rot90(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    axes = axes_in(node, b.rank(data), "axes")
    if axes is None or len(axes) != 2:
        return Refusal("its axes are not the two that it turns, which MXNet needs")
    turns = int(node.attrs.get("k", "1")) % 4
    if turns == 0:
        return b.op("Identity", data)
    if turns == 2:
        return _flipped(b, data, axes)
    order = list(range(b.rank(data)))
    order[axes[0]], order[axes[1]] = axes[1], axes[0]
    if turns == 1:
        return moved(b, _flipped(b, data, axes[1:]), order)
    return _flipped(b, moved(b, data, order), axes[1:])


def _read_broadcast(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    shape = list(ints(node.attrs.get("shape", "()")))
    dims = b.shape(data)
    if len(dims) > len(shape) or min(shape, default=0) < -2 or -1 in shape:
        return Refusal(f"an array of {len(dims)} axes does not stretch to shape={tuple(shape)}")
    for place, dim in enumerate(dims, len(shape) - len(dims)):
        if shape[place] == -2:
            shape[place] = 1
        elif isinstance(dim, int) and dim not in (1, shape[place]):
            return Refusal(f"size {dim} does not stretch to {shape[place]} of shape={tuple(shape)}")
    if -2 in shape:
        return Refusal(f"shape={tuple(shape)} copies the size of an axis that what it reads has not")
    return b.op("Expand", data, b.const(np.asarray(shape, np.int64)))


def _reads_at_least(rank: int) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
        return [_with_axes(b, some(value), rank) for value in x]

    return read


def _with_axes(b: OnnxBuilder, value: ir.Value, rank: int) -> ir.Value:
    """The value with axes added until it has so many: a vector is a row, and the depth comes last."""
    missing = rank - b.rank(value)
    if missing <= 0:
        return b.op("Identity", value)
    axes = list(range(missing))
    if rank == 3 and missing < 3:
        axes = [0, 2] if missing == 2 else [2]
    return b.op("Unsqueeze", value, axes)


def _read_copy(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Identity", x[0])


_X, _MATRIX, _SCALAR = arr(2, 3, 4), arr(2, 3), arr()
_ONES = arr(1, 3, 1)


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


_FORMS = (
    _form(
        "_np_reshape",
        _read_reshape,
        ("newshape", "order"),
        Case("infer", (_X,), {"newshape": (2, -1)}),
        Case("flat", (_X,), {"newshape": "-1", "order": "C"}),
        Case("to a scalar", (arr(1, 1),), {"newshape": "()"}),
        Case("scalar", (_SCALAR,), {"newshape": (1, 1)}),
        Case("truths", (arr(2, 3, dtype="bool"),), {"newshape": (3, 2)}, grad=False),
    ),
    _form(
        "_npx_reshape",
        _read_extended,
        ("newshape", "reverse", "order"),
        Case("infer", (_X,), {"newshape": (-2, -1)}),
        Case("copy the rest", (_X,), {"newshape": (-2, -4)}),
        Case("skip", (_ONES,), {"newshape": (-3, -4)}),
        Case("merge", (_X,), {"newshape": (-5, -2)}),
        Case("split", (_X,), {"newshape": (-2, -2, -6, 2, -1)}),
        Case("split the second", (_X,), {"newshape": (-2, -2, -6, -1, 2)}),
        Case("split in given sizes", (_X,), {"newshape": (-6, 1, 2, -4)}),
        Case("merge from behind", (_X,), {"newshape": (-1, -5), "reverse": True}),
        Case("infer from behind", (_X,), {"newshape": (8, -2), "reverse": 0}),
        Case("numbers", (_X,), {"newshape": (4, 6)}),
        Case("free batch", (_X,), {"newshape": (-2, -1)}, dynamic=(0,)),
        Case("to a scalar", (arr(1, 1),), {"newshape": (-3, -3)}),
        Case("scalar", (_SCALAR,), {"newshape": (-4,)}),
    ),
    _form(
        "_np_transpose",
        _read_transpose,
        ("axes",),
        Case("reverse", (_X,)),
        Case("none", (_X,), {"axes": "None"}),
        Case("axes", (_X,), {"axes": (-1, 0, 1)}),
        Case("scalar", (_SCALAR,)),
    ),
    _form(
        "_np_squeeze",
        _read_squeeze,
        ("axis",),
        Case("all", (_ONES,)),
        Case("one", (_ONES,), {"axis": "(-1,)"}),
        Case("none", (_ONES,), {"axis": "()"}),
        Case("to a scalar", (arr(1, 1),), {"axis": (0, 1)}),
        Case("scalar", (_SCALAR,)),
    ),
    _form(
        "_np_moveaxis",
        _read_moveaxis,
        ("source", "destination"),
        Case("one", (_X,), {"source": "0", "destination": "(-1,)"}),
        Case("two", (_X,), {"source": (2, 0), "destination": (0, 1)}),
        Case("all", (_X,), {"source": (0, 1, 2), "destination": (-1, -2, -3)}),
    ),
    _form(
        "_np_roll",
        _read_roll,
        ("shift", "axis"),
        Case("flattened", (_MATRIX,), {"shift": "(2,)"}),
        Case("axis", (_MATRIX,), {"shift": "-1", "axis": "(1,)"}),
        Case("axes by one shift", (_MATRIX,), {"shift": "(1,)", "axis": (0, 1)}),
        Case("axes", (_X,), {"shift": (-4, 9), "axis": (0, -1)}),
        Case("not at all", (_X,), {"shift": "(6,)", "axis": "(1,)"}),
        Case("free batch", (_MATRIX,), {"shift": "(3,)", "axis": "(0,)"}, dynamic=(0,)),
    ),
    _form(
        "_npi_flip",
        _read_flip,
        ("axis",),
        Case("axis", (_X,), {"axis": "(1,)"}),
        Case("axes", (_X,), {"axis": (0, 2)}),
        Case("all", (_X,), {"axis": "None"}),
        Case("none", (_X,), {"axis": "()"}),
    ),
    _form(
        "_npi_rot90",
        _read_rot90,
        ("k", "axes"),
        Case("once", (_X,), {"axes": (0, 1)}),
        Case("back", (_X,), {"k": -1, "axes": (2, 1)}),
        Case("twice", (_X,), {"k": 2, "axes": (0, 2)}),
        Case("three times", (_X,), {"k": 3, "axes": (0, 2)}),
        Case("around", (_X,), {"k": 4, "axes": (0, 1)}),
    ),
    _form(
        "_npi_broadcast_to",
        _read_broadcast,
        ("shape",),
        Case("new axis", (_MATRIX,), {"shape": (4, 2, 3)}),
        Case("stretched", (arr(2, 1),), {"shape": (2, 3)}),
        Case("copied", (arr(2, 1),), {"shape": (4, -2, 3)}),
        Case("scalar", (_SCALAR,), {"shape": (2, 3)}),
    ),
    *(
        _form(
            f"_np_atleast_{rank}d",
            _reads_at_least(rank),
            ("num_args",),
            Case("all ranks", (_SCALAR, arr(3), _MATRIX, _X), {"num_args": 4}, outputs=4),
        )
        for rank in (1, 2, 3)
    ),
    _form("_np_copy", _read_copy, (), Case("array", (_MATRIX,)), Case("scalar", (_SCALAR,))),
)

_GROWN = "MXNet's backward pass gives zeros"
_LIMITS = {
    **{f"_np_atleast_{rank}d": (Limit("read-backward", _GROWN),) for rank in (1, 2, 3)},
}

OPS = tuple(Op("", mx=(form,), limits=_LIMITS.get(form.op, ())) for form in _FORMS)
