"""Cutting ranges out of an array, backwards too.

ONNX and MXNet clip bounds alike; a bound past the end is MXNet's ``None``, whose numbers are of 32 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.symbols import equal, named, never_negative, sizes_of
from graphkit.ops.codec import ints, literal, show
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.free_sizes import axis_like, cut_to, cut_to_last
from graphkit.ops.tensor.grad_slice import slice_gradient
from graphkit.ops.tensor.sizes import END, START, constant_ints, size_along, some
from graphkit.ops.tensor.torch_index import along, cut_out, opened
from graphkit.ops.tensor.torch_sizes import elements
from graphkit.ops.torchprogram import Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ir import symbols
    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_HUGE = 2**31 - 1
_EMPTY = "it makes an array without elements, which MXNet does not have"
_COMPUTED = "its bounds are computed, and MXNet needs them in the symbol"

_Cut = tuple[int, int | None, int | None, int]
"""Axis, begin, end and step; None is the array's own end."""


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source = some(x[0]), some(node.inputs[0])
    axes, steps = (constant_ints(b, node, position) for position in (3, 4))
    starts, ends = (sizes_of(node.inputs[position]) for position in (1, 2))
    given = [len(node.inputs) > position and node.inputs[position] is not None for position in (3, 4)]
    if starts is None or ends is None or (given[0] and axes is None) or (given[1] and steps is None):
        return Refusal(_COMPUTED, needs=node.inputs[1:])
    dims = b.shape(source)
    cuts: list[_Cut] = []
    limits: dict[MxRef, list[int]] = {}
    for number, (start, end) in enumerate(zip(starts.flat, ends.flat, strict=True)):
        axis = number if axes is None else axes[number] % len(dims)
        step = 1 if steps is None else steps[number]
        if not isinstance(start, int) or not isinstance(end, int):
            like = _limit(b, node, axis, (start, end, step))
            if like is not None:
                limits.setdefault(like, []).append(axis)
                continue
            made = _cut_freely(b, node, data, axis, (start, end, step))
            if isinstance(made, Refusal):
                return made
            data = made
            continue
        cut = _clipped(axis, start, end, step, dims[axis])
        if cut is None:
            return Refusal(_EMPTY)
        if cut[1:] != (None, None, 1):
            cuts.append(cut)
    for like, limited in limits.items():
        data = b.op("slice_like", data, like, axes=tuple(limited))
    return _emit(b, data, cuts, dims)


def _limit(b: MxBuilder, node: ir.Node, axis: int, cut: tuple[symbols.Size, symbols.Size, int]) -> MxRef | None:
    """What has, along the same axis, as many elements as are left of an axis that is cut from its front."""
    start, end, step = cut
    size, left = named(b.shape(some(node.inputs[0]))[axis]), named(b.shape(node.outputs[0])[axis])
    if start is None or end is None or step != 1 or not equal(start, 0) or equal(left, size):
        return None
    like = axis_like(b, node, left) or axis_like(b, node, end)
    return like[0] if like is not None and like[1] == axis else None


def _cut_freely(
    b: MxBuilder, node: ir.Node, data: MxRef, axis: int, cut: tuple[symbols.Size, symbols.Size, int]
) -> MxRef | Refusal:
    """Cut an axis at bounds that follow from free sizes, as ``table[:, :tokens]``.

    MXNet takes as many elements as another axis has, from the front; the last ones are the first of what is reversed.
    """
    start, end, step = cut
    dims = b.shape(some(node.inputs[0]))
    rank, size, left = len(dims), named(dims[axis]), named(b.shape(node.outputs[0])[axis])
    refusal = Refusal(_COMPUTED, needs=node.inputs[1:])
    if start is None or end is None or step != 1:
        return refusal
    if equal(left, size):
        return data
    whole = equal(end, size) or (isinstance(end, int) and end >= _HUGE)
    if equal(start, 0):
        like = axis_like(b, node, left) or axis_like(b, node, end)
        return refusal if like is None else cut_to(b, data, rank, axis, like)
    if not whole and isinstance(end, int):
        data = b.op("slice", data, begin=("None",) * (axis + 1), end=("None",) * axis + (end,), name="front")
    elif not whole:
        like = axis_like(b, node, end) if never_negative(end) else None
        if like is None:
            return refusal
        data = cut_to(b, data, rank, axis, like)
    if isinstance(start, int):
        return b.op("slice_axis", data, axis=axis, begin=start, end="None")
    like = axis_like(b, node, left) or (axis_like(b, node, -start) if whole and never_negative(-start - 1) else None)
    return refusal if like is None else cut_to_last(b, data, rank, axis, like)


def _clipped(axis: int, start: int, end: int, step: int, size: Dim) -> _Cut | None:
    """The cut with bounds as MXNet takes them; None for no elements."""
    if isinstance(size, int):
        span = range(*slice(start, end, step).indices(size))
        if not span:
            return None
        if step > 0:
            return axis, span.start or None, None if span.stop >= size else span.stop, step
        return axis, None if span.start == size - 1 else span.start, None if span.stop < 0 else span.stop, step
    first, last = (0, _HUGE) if step > 0 else (-1, -_HUGE)
    begin = None if start == first or abs(start) >= _HUGE else start
    final = None if (end >= last if step > 0 else end <= last) else end
    return axis, begin, final, step


def _emit(b: MxBuilder, data: MxRef, cuts: list[_Cut], dims: Sequence[Dim]) -> MxRef:
    if not cuts:
        return data
    if all(cut[1:] == (None, None, -1) for cut in cuts):
        return b.op("reverse", data, axis=tuple(sorted(axis for axis, *_ in cuts)))
    if len(cuts) == 1 and cuts[0][3] == 1 and _fits(cuts[0], dims):
        axis, begin, end, _ = cuts[0]
        return b.op("slice_axis", data, axis=axis, begin=begin or 0, end=_or_none(end))
    length = max(axis for axis, *_ in cuts) + 1
    begins, ends, steps = (["None"] * length for _ in range(3))
    for axis, begin, end, step in cuts:
        begins[axis], ends[axis], steps[axis] = _or_none(begin), _or_none(end), show(step)
    plain = all(step == 1 for *_, step in cuts)
    return b.op("slice", data, begin=tuple(begins), end=tuple(ends), step=None if plain else tuple(steps))


def _fits(cut: _Cut, dims: Sequence[Dim]) -> bool:
    """Whether slice_axis, which does not clip, takes the cut."""
    axis, begin, end, _ = cut
    return (
        isinstance(dims[axis], int) or (begin is None and (end is None or end == -1)) or (begin == -1 and end is None)
    )


def _or_none(bound: int | None) -> str:
    return "None" if bound is None else show(bound)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    made = cut_out(b, node.outputs[0])
    if made is not None:
        return made
    source = some(node.inputs[0])
    rank, dims = b.rank(source), b.shape(source)
    starts, ends = (elements(b, node, position, x[position]) for position in (1, 2))
    axes, steps = (constant_ints(b, node, position) for position in (3, 4))
    given = [len(x) > position and x[position] is not None for position in (3, 4)]
    if starts is None or ends is None or (given[0] and axes is None) or (given[1] and steps is None):
        return b.call("slice_along", *x[:3], axes=x[3] if given[0] else None, steps=x[4] if given[1] else None)
    index: list[Arg] = [slice(None)] * rank
    turned = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = number if axes is None else axes[number] % rank
        step = 1 if steps is None else steps[number]
        if step < 0:
            start, end, step = _turned(b, start), _turned(b, end), -step
            turned.append(axis)
        if isinstance(end, Size) and end == b.size(source, axis):
            end = None
        begin, final = opened(start, end, dims[axis])
        index[axis] = slice(begin, final, None if step == 1 else step)
    data: Arg = b.method("flip", x[0], *sorted(turned)) if turned else x[0]
    first = next((axis for axis in range(rank) if index[axis] != slice(None)), rank)
    last = max((axis for axis in range(rank) if index[axis] != slice(None)), default=rank)
    return b.item(data, *along(first, *index[first : last + 1], rank=rank)) if first < rank else data


def _turned(b: TorchBuilder, bound: Arg) -> Arg:
    """A bound of what runs backward, counted from the other end; -1 is the first then, and 0 the last."""
    return ~bound if isinstance(bound, int) else b.prefix("~", bound)


def bounds(text: str) -> list[int | None]:
    """Parse a tuple of integers and ``None``."""
    try:
        value = literal(text.replace("L", ""))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a tuple of integers") from error
    items = list(value) if isinstance(value, tuple | list) else [value]
    if not all(item is None or isinstance(item, int) for item in items):
        raise ValueError(f"{text!r} is not a tuple of integers")
    return items


def sliced(b: OnnxBuilder, data: ir.Value, cuts: list[_Cut]) -> ir.Value:
    """Ranges cut out of an array, as (axis, begin, end, step) with None for an axis's own end."""
    cuts = [cut for cut in cuts if cut[1:] != (None, None, 1)]
    if not cuts:
        return b.op("Identity", data)
    starts = [(0 if step > 0 else END) if begin is None else begin for _, begin, _, step in cuts]
    ends = [(END if step > 0 else START) if end is None else end for *_, end, step in cuts]
    steps = [step for *_, step in cuts]
    axes = [axis for axis, *_ in cuts]
    return b.op("Slice", data, starts, ends, axes, None if set(steps) == {1} else steps)


def _read_slice(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    begins, ends = bounds(node.attrs["begin"]), bounds(node.attrs["end"])
    steps = bounds(node.attrs.get("step", "()")) or [None] * len(begins)
    if not len(begins) == len(ends) == len(steps):
        return Refusal("its begin, end and step are not of equal length")
    cuts = [
        (axis, begin, end, step or 1) for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True))
    ]
    return sliced(b, some(x[0]), cuts)


def _read_slice_axis(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    (begin,), (end,) = bounds(node.attrs["begin"]), bounds(node.attrs["end"])
    return sliced(b, some(x[0]), [(int(node.attrs["axis"]), begin or None, end, 1)])


def _read_slice_like(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, like = some(x[0]), some(x[1])
    axes = list(ints(node.attrs.get("axes", "()"))) or list(range(b.rank(like)))
    if min(axes, default=0) < 0:  # MXNet counts from the end of the data, in both
        axes = [axis + b.rank(data) if axis < 0 else axis for axis in axes]
    sizes = [size_along(b, like, axis) for axis in axes]
    return b.op("Slice", data, [0] * len(axes), b.op("Concat", *sizes, axis=0), axes)


def _read_reverse(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return sliced(b, some(x[0]), [(axis, -1, None, -1) for axis in ints(node.attrs["axis"])])


_X = arr(3, 4, 5)


def _case(name: str, starts: list[int], ends: list[int], axes: list[int], steps: list[int] | None = None) -> Case:
    inputs = (_X, int64(starts), int64(ends), int64(axes), *(() if steps is None else (int64(steps),)))
    return Case(name, inputs, const=tuple(range(1, len(inputs))))


OP = Op(
    "Slice",
    mx=(
        MxForm(
            "slice",
            read=_read_slice,
            reads=("begin", "end", "step"),
            write=_write,
            cases=(
                Case("some axes", (_X,), {"begin": (0, 1), "end": (2, -1)}),
                Case("open", (_X,), {"begin": "(None, 1, None)", "end": "(2, None, None)"}),
                Case(
                    "backward", (_X,), {"begin": "(None, 3, 100)", "end": "(None, 0, -100)", "step": "(None, -1, -2)"}
                ),
                Case("clipped", (_X,), {"begin": (-100, 1), "end": (2, 100)}),
                Case("one", (_X,), {"begin": 1, "end": 2}),
                Case("everything", (_X,), {"begin": "(None,)", "end": "(None,)", "step": "(1,)"}),
            ),
        ),
        MxForm(
            "slice_axis",
            read=_read_slice_axis,
            reads=("axis", "begin", "end"),
            direction="read",
            cases=(
                Case("range", (_X,), {"axis": 1, "begin": 1, "end": 3}),
                Case("to the end", (_X,), {"axis": -1, "begin": -2, "end": "None"}),
                Case("everything", (_X,), {"axis": 0, "begin": 0, "end": "None"}),
            ),
        ),
        MxForm(
            "slice_like",
            read=_read_slice_like,
            reads=("axes",),
            direction="read",
            cases=(
                Case("all axes", (_X, arr(2, 4, 3))),
                Case("some axes", (_X, arr(2, 4, 3)), {"axes": (0, -1)}),
                Case("axes from the end of the data", (arr(3, 5), arr(2, 4, 3)), {"axes": (0, -1)}),
            ),
        ),
        MxForm(
            "reverse",
            read=_read_reverse,
            reads=("axis",),
            direction="read",
            cases=(
                Case("one axis", (_X,), {"axis": 1}),
                Case("two axes", (_X,), {"axis": (0, 2)}),
                Case("no axis", (_X,), {"axis": "()"}),
            ),
        ),
    ),
    torch=_torch,
    gradient=slice_gradient,
    cases=(
        _case("one axis", [1], [3], [1]),
        _case("negative bounds", [-3], [-1], [-1]),
        _case("to the end", [1], [END], [0]),
        _case("everything", [0], [2**31 - 1], [1]),
        _case("several axes", [0, 1], [2, 5], [0, 2]),
        _case("clipped", [-9, 2], [9, 99], [0, 1]),
        _case("steps", [0, 4], [4, 0], [1, 2], [2, -3]),
        _case("backward to the start", [END], [START], [2], [-2]),
        _case("backward past the start", [-1], [-9], [1], [-1]),
        _case("reversed", [-1, -1], [START, -9], [2, 0], [-1, -1]),
        Case("no axes", (_X, int64([1, 0]), int64([2, 3])), const=(1, 2)),
        Case("free axis", (_X, int64([1]), int64([2]), int64([0])), const=(1, 2, 3), dynamic=(0,)),
        Case("free axis, last", (_X, int64([-1]), int64([END]), int64([0])), const=(1, 2, 3), dynamic=(0,)),
        Case("free axis, but the last", (_X, int64([0]), int64([-1]), int64([0])), const=(1, 2, 3), dynamic=(0,)),
        Case("free axis, past the end", (_X, int64([1]), int64([99]), int64([0])), const=(1, 2, 3), dynamic=(0,)),
        Case(
            "free axis, reversed",
            (_X, int64([-1]), int64([START]), int64([0]), int64([-1])),
            const=(1, 2, 3, 4),
            dynamic=(0,),
        ),
        Case(
            "free axis, every other backward",
            (_X, int64([-2]), int64([-9]), int64([0]), int64([-2])),
            const=(1, 2, 3, 4),
            dynamic=(0,),
        ),
        Case("beside a free axis", (_X, int64([1]), int64([3]), int64([2])), const=(1, 2, 3), dynamic=(0,)),
        Case("integers", (arr(4, dtype="int64"), int64([1]), int64([3])), const=(1, 2), grad=False),
        Case("truths", (arr(4, dtype="bool"), int64([1]), int64([3])), const=(1, 2), grad=False),
    ),
)
