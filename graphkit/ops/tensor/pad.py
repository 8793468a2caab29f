"""Padding.

MXNet's Pad takes floats of 4 or 5 axes and leaves the first two alone, so arrays of fewer axes get leading ones for it;
what it cannot do (wrapping, integers, the first axes of large arrays) is put together from slices. Its gradient of
negative pads is uninitialised memory, so these become slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.symbols import equal, named, never_negative, sizes_of, tidy
from graphkit.ops.booleans import carrier
from graphkit.ops.codec import FLOAT, ints, show
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.free_sizes import axis_like, cut_to, cut_to_last
from graphkit.ops.tensor.grad_pad import pad_gradient
from graphkit.ops.tensor.sizes import constant_ints, some
from graphkit.ops.tensor.torch_index import along

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_TORCH_MODES = {"edge": "replicate", "reflect": "reflect", "wrap": "circular"}
_Pads = dict[int, tuple[int, int]]
"""Elements put before and after, by axis."""


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source = some(x[0]), some(node.inputs[0])
    mode = node.attributes.get_string("mode", "constant")
    dims = b.shape(source)
    pads = _given(b, node, len(dims))
    if isinstance(pads, Refusal):
        return _freely(b, node, data) or pads
    filling = node.inputs[2] if len(node.inputs) > 2 else None
    number = 0 if filling is None or mode != "constant" else b.number(filling)
    if number is None:
        return Refusal("the value it pads with is computed; MXNet pads with constants only", needs=node.inputs[1:])
    if mode != "constant" and any(min(pair) < 0 < max(pair) for pair in pads.values()):
        return Refusal(f"it pads an axis in mode {mode} at one end and crops it at the other")
    cut = {axis: pair for axis, pair in pads.items() if min(pair) < 0}
    for axis, (before, after) in cut.items():
        size = dims[axis]
        if isinstance(size, int) and max(-before, 0) + max(-after, 0) >= size:
            return Refusal(f"it leaves nothing of the {size} elements of an axis, and MXNet has no such arrays")
        data = b.op("slice_axis", data, axis=axis, begin=max(-before, 0), end=show(after) if after < 0 else "None")
        pads[axis] = (max(before, 0), max(after, 0))
    pads = {axis: pair for axis, pair in pads.items() if any(pair)}
    for axis, pair in pads.items():
        problem = _too_wide(mode, dims[axis], pair)
        if problem is not None:
            return problem
    if not pads:
        return data
    axes = _leading_ones(len(dims), min(pads))
    if mode == "wrap" or axes is None or carrier(b, source).kind != "f":
        for axis, pair in pads.items():
            data = _joined(b, data, mode, axis, pair, number)
        return data
    return _padded(b, data, mode, pads, len(dims), axes, float(number))


def _freely(b: MxBuilder, node: ir.Node, data: MxRef) -> MxRef | None:
    """Pad with a number by widths that follow from free sizes, as those to a multiple of something.

    As much as the whole result is put before and after the data, and what is too much cut off: widths may be 0.
    """
    source, result = some(node.inputs[0]), node.outputs[0]
    widths, axes = sizes_of(node.inputs[1]), constant_ints(b, node, 3)
    filling = node.inputs[2] if len(node.inputs) > 2 else None
    number = 0 if filling is None else b.number(filling)
    if widths is None or number is None or node.attributes.get_string("mode", "constant") != "constant":
        return None
    rank = b.rank(source)
    places = range(rank) if axes is None else [axis % rank for axis in axes]
    for place, axis in enumerate(places):
        before, after = widths.flat[place], widths.flat[place + len(places)]
        if equal(before, 0) and equal(after, 0):
            continue
        whole = axis_like(b, node, b.shape(result)[axis])
        if whole is None or before is None or after is None:
            return None
        blank = _as_long(b, _edge(b, data, "constant", axis, 1, float(number), front=True), axis, whole)
        if not equal(before, 0):
            longer = axis_like(b, node, tidy(named(b.shape(source)[axis]) + before)) if never_negative(before) else None
            if longer is None:
                return None
            data = b.op("Concat", blank, data, num_args=2, dim=axis)
            data = cut_to_last(b, data, rank, axis, longer)
        if not equal(after, 0):
            data = cut_to(b, b.op("Concat", data, blank, num_args=2, dim=axis), rank, axis, whole)
    return data


def _as_long(b: MxBuilder, blank: MxRef, axis: int, like: tuple[MxRef, int]) -> MxRef:
    return b.op("broadcast_like", blank, like[0], lhs_axes=(axis,), rhs_axes=(like[1],))


def _given(b: MxBuilder | TorchBuilder, node: ir.Node, rank: int) -> _Pads | Refusal:
    pads, axes = constant_ints(b, node, 1), constant_ints(b, node, 3)
    if pads is None or (axes is None and len(node.inputs) > 3 and node.inputs[3] is not None):
        return Refusal("its pads are computed, and MXNet needs them in the symbol", needs=node.inputs[1:])
    places = range(rank) if axes is None else [axis % rank for axis in axes]
    pairs = zip(pads[: len(places)], pads[len(places) :], strict=True)
    return {axis: pair for axis, pair in zip(places, pairs, strict=True) if any(pair)}


def _too_wide(mode: str, size: Dim, pair: tuple[int, int]) -> Refusal | None:
    most = {"reflect": 1, "wrap": 0}.get(mode)
    if most is None or not isinstance(size, int) or max(pair) <= size - most:
        return None
    return Refusal(f"it pads an axis of size {size} by {max(pair)} in mode {mode}, more than there is to repeat")


def _leading_ones(rank: int, first: int) -> int | None:
    """How many leading axes make an array fit for MXNet's Pad, None where none do."""
    more = max(2 - first, 4 - rank, 0)
    return more if rank + more <= 5 else None


def _padded(
    b: MxBuilder, data: MxRef, mode: str, pads: Mapping[int, tuple[int, int]], rank: int, ones: int, number: float
) -> MxRef:
    width = [0] * (2 * (rank + ones))
    for axis, pair in pads.items():
        width[2 * (axis + ones) : 2 * (axis + ones) + 2] = pair
    for _ in range(ones):
        data = b.op("expand_dims", data, axis=0)
    filling = number if mode == "constant" else None
    data = b.op("Pad", data, mode=mode, pad_width=tuple(width), constant_value=filling)
    return b.op("squeeze", data, axis=tuple(range(ones))) if ones else data


def _joined(b: MxBuilder, data: MxRef, mode: str, axis: int, pair: tuple[int, int], number: float) -> MxRef:
    """Pad one axis by joining slices."""
    before, after = pair
    parts = [
        _edge(b, data, mode, axis, before, number, front=True) if before else None,
        data,
        _edge(b, data, mode, axis, after, number, front=False) if after else None,
    ]
    present = [part for part in parts if part is not None]
    return b.op("Concat", *present, num_args=len(present), dim=axis)


def _edge(b: MxBuilder, data: MxRef, mode: str, axis: int, width: int, number: float, *, front: bool) -> MxRef:
    """What is put before (``front``) or after the data along an axis."""
    if mode == "reflect":
        begin, end = (1, show(width + 1)) if front else (-width - 1, "-1")
        return b.op("reverse", b.op("slice_axis", data, axis=axis, begin=begin, end=end), axis=(axis,))
    if mode == "wrap":
        begin, end = (-width, "None") if front else (0, show(width))
        return b.op("slice_axis", data, axis=axis, begin=begin, end=end)
    begin, end = (0, "1") if front or mode == "constant" else (-1, "None")
    part = b.op("slice_axis", data, axis=axis, begin=begin, end=end)
    if mode == "constant":
        part = b.op("zeros_like", part)
        part = b.op("_plus_scalar", part, scalar=float(number)) if number else part
    return part if width == 1 else b.op("broadcast_axis", part, axis=axis, size=width)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source = some(node.inputs[0])
    mode = node.attributes.get_string("mode", "constant")
    dims = b.shape(source)
    pads = _given(b, node, len(dims))
    if isinstance(pads, Refusal):
        return _torch_computed(b, node, x, len(dims))
    if mode == "constant":
        return _torch_constant(b, node, x, pads, len(dims))
    data: Arg = x[0]
    cut = {axis: pair for axis, pair in pads.items() if min(pair) < 0}
    if any(max(pair) > 0 for pair in cut.values()):
        return Refusal(f"it pads an axis in mode {mode} at one end and crops it at the other")
    for axis, (before, after) in cut.items():
        data = b.item(data, *along(axis, slice(-before or None, after or None), rank=len(dims)))
        del pads[axis]
    for axis, pair in pads.items():
        problem = _too_wide(mode, dims[axis], pair)
        if problem is not None:
            return problem
    if not pads:
        return data
    if b.dtype(source).kind != "b":
        return _torch_repeated(b, data, mode, pads, len(dims))
    return b.method("bool", _torch_repeated(b, b.method("byte", data), mode, pads, len(dims)))


def _torch_constant(b: TorchBuilder, node: ir.Node, x: Sequence[Any], pads: _Pads, rank: int) -> Arg:
    if not pads:
        unchanged: Arg = x[0]
        return unchanged
    return _torch_filled(b, node, x, _last_first(pads, rank, rank - min(pads)))


def _torch_computed(b: TorchBuilder, node: ir.Node, x: Sequence[Any], rank: int) -> Arg:
    """Pad by widths that are computed."""
    axes = x[3] if len(x) > 3 else None
    mode = node.attributes.get_string("mode", "constant")
    if mode == "constant":
        return _torch_filled(b, node, x, b.call("pad_widths", rank, x[1], axes=axes))
    return b.call("pad_repeating", x[0], mode, x[1], axes=axes)


def _torch_filled(b: TorchBuilder, node: ir.Node, x: Sequence[Any], pairs: Arg) -> Arg:
    filling = node.inputs[2] if len(node.inputs) > 2 else None
    number = 0 if filling is None else b.number(filling)
    if number is not None:
        return b.call("F.pad", x[0], pairs, value=number or None)
    inside = b.call("F.pad", b.call("torch.ones_like", x[0], dtype=b.torch_dtype("bool")), pairs)
    return b.call("torch.where", inside, b.call("F.pad", x[0], pairs), x[2])


def _torch_repeated(b: TorchBuilder, data: Arg, mode: str, pads: _Pads, rank: int) -> Arg:
    """Pad with what is there: by torch's own function where it takes the axes, else axis by axis."""
    if rank == 1:
        return b.method("squeeze", _torch_repeated(b, b.method("unsqueeze", data, 0), mode, {1: pads[0]}, 2), 0)
    count = max(rank - min(pads), rank - 2)
    if count < rank and 1 <= count <= 3:
        return b.call("F.pad", data, _last_first(pads, rank, count), _TORCH_MODES[mode])
    for axis, (before, after) in pads.items():
        front = _torch_edge(b, data, mode, axis, before, rank, front=True) if before else None
        back = _torch_edge(b, data, mode, axis, after, rank, front=False) if after else None
        data = b.call("torch.cat", [part for part in (front, data, back) if part is not None], axis)
    return data


def _last_first(pads: _Pads, rank: int, count: int) -> tuple[int, ...]:
    """The pads of the last axes, the last axis first."""
    return tuple(width for axis in range(rank - 1, rank - 1 - count, -1) for width in pads.get(axis, (0, 0)))


def _torch_edge(b: TorchBuilder, data: Arg, mode: str, axis: int, width: int, rank: int, *, front: bool) -> Arg:
    """What is put before (``front``) or after the data along an axis."""
    if mode == "reflect":
        span = slice(1, width + 1) if front else slice(-width - 1, -1)
        return b.method("flip", b.item(data, *along(axis, span, rank=rank)), axis)
    if mode == "wrap":
        return b.item(data, *along(axis, slice(-width, None) if front else slice(width), rank=rank))
    edge = b.item(data, *along(axis, slice(1) if front else slice(-1, None), rank=rank))
    return edge if width == 1 else b.method("repeat_interleave", edge, width, axis)


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, mode = some(x[0]), node.attrs["mode"]
    width = ints(node.attrs["pad_width"])
    number = FLOAT.parse(node.attrs.get("constant_value", "0")) if mode == "constant" else 0.0
    filling = b.scalar(number, data) if number else None
    return b.op("Pad", data, width[::2] + width[1::2], filling, mode=None if mode == "constant" else mode)


_IMAGE, _ROWS = arr(2, 3, 4, 5), arr(2, 4)


def _case(name: str, x: Sequence[int], pads: list[int], mode: str = "constant", value: float | None = None) -> Case:
    inputs = (arr(*x), int64(pads), *(() if value is None else (given(value, "float32"),)))
    return Case(name, inputs, {"mode": mode}, const=tuple(range(1, len(inputs))), dynamic=(0,))


OP = Op(
    "Pad",
    mx=(
        MxForm(
            "Pad",
            read=_read,
            reads=("mode", "pad_width", "constant_value"),
            write=_write,
            cases=(
                Case("constant", (_IMAGE,), {"mode": "constant", "pad_width": (0, 0, 0, 0, 1, 2, 0, 3)}),
                Case(
                    "value",
                    (_IMAGE,),
                    {"mode": "constant", "pad_width": (0, 0, 0, 0, 1, 2, 0, 3), "constant_value": 0.1},
                ),
                Case("edge", (_IMAGE,), {"mode": "edge", "pad_width": (0, 0, 0, 0, 1, 2, 0, 3)}),
                Case("reflect", (_IMAGE,), {"mode": "reflect", "pad_width": (0, 0, 0, 0, 1, 2, 0, 3)}),
                Case("volume", (arr(1, 2, 2, 3, 2),), {"mode": "edge", "pad_width": (0, 0, 0, 0, 1, 2, 0, 3, 1, 1)}),
            ),
        ),
    ),
    torch=_torch,
    gradient=pad_gradient,
    cases=(
        _case("image", (2, 3, 4, 5), [0, 0, 1, 2, 0, 0, 3, 0]),
        _case("image by a value", (2, 3, 4, 5), [0, 0, 1, 2, 0, 0, 3, 0], value=-0.3),
        _case("image reflected", (2, 3, 4, 5), [0, 0, 1, 2, 0, 0, 3, 0], "reflect"),
        _case("image's edge", (2, 3, 4, 5), [0, 0, 1, 2, 0, 0, 3, 0], "edge"),
        _case("image wrapped", (2, 3, 4, 5), [0, 0, 1, 2, 0, 0, 3, 0], "wrap"),
        _case("channels", (2, 3, 4, 5), [0, 1, 0, 0, 0, 2, 0, 1]),
        _case("channels reflected", (2, 3, 4, 5), [0, 1, 0, 0, 0, 2, 0, 1], "reflect"),
        Case("batch", (_IMAGE, int64([1, 0, 0, 0, 2, 0, 1, 0])), const=(1,)),
        Case("batch by a value", (_IMAGE, int64([1, 0, 0, 0, 2, 0, 0, 0]), given(0.3, "float32")), const=(1, 2)),
        Case("batch reflected", (_IMAGE, int64([1, 0, 0, 0, 1, 0, 1, 0])), {"mode": "reflect"}, const=(1,)),
        Case("batch's edge", (_IMAGE, int64([1, 0, 0, 0, 2, 0, 1, 0])), {"mode": "edge"}, const=(1,)),
        _case("volume", (1, 2, 2, 3, 2), [0, 0, 1, 0, 0, 0, 0, 0, 2, 1], "edge"),
        _case("volume's channels", (1, 2, 2, 3, 2), [0, 1, 1, 0, 0, 0, 0, 0, 2, 1]),
        _case("signal", (2, 3, 4), [0, 0, 1, 0, 0, 2]),
        _case("signal reflected", (2, 3, 4), [0, 0, 1, 0, 0, 2], "reflect"),
        _case("signal's channels", (2, 3, 4), [0, 1, 1, 0, 1, 2], "edge"),
        Case(
            "truths' edge",
            (arr(2, 3, 4, dtype="bool"), int64([0, 1, 1, 0, 1, 2])),
            {"mode": "edge"},
            const=(1,),
            grad=False,
        ),
        _case("six axes", (1, 2, 1, 2, 1, 3), [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2], "edge"),
        Case("matrix", (_ROWS, int64([1, 0, 0, 2])), const=(1,)),
        Case("vector", (arr(4), int64([1, 2])), {"mode": "reflect"}, const=(1,)),
        Case("axes", (_IMAGE, int64([1, 2]), None, int64([-1])), const=(1, 3)),
        Case("nothing", (_ROWS, int64([0, 0, 0, 0])), const=(1,)),
        Case("cropped", (_IMAGE, int64([0, 0, -1, 0, 0, 0, 0, -2])), const=(1,)),
        Case("cropped and padded", (_IMAGE, int64([0, 0, -1, 1, 0, 0, 2, -2])), const=(1,)),
        Case("integers", (arr(2, 3, dtype="int64"), int64([0, 1, 1, 0]), int64(7)), const=(1, 2), grad=False),
        Case("truths", (arr(2, 3, dtype="bool"), int64([0, 1, 1, 0])), const=(1,), grad=False),
    ),
)
