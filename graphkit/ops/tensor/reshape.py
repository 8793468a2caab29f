"""Reshape, Flatten and what MXNet derives from them.

A constant ONNX shape has the codes that MXNet has too, with the same meaning: 0 copies the dimension at its place, -1
is inferred. A computed shape is written where shape inference knows what it makes at every batch size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphkit.ir.dims import shown
from graphkit.ops.codec import BOOL, ints
from graphkit.ops.gradients import reshaping
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.free_sizes import axes_like
from graphkit.ops.tensor.reshape_codes import Made, codes_for, made_by, spans_of
from graphkit.ops.tensor.sizes import axis_of, constant_ints, mx_axis, rank_is_known, size_along, some
from graphkit.ops.tensor.torch_reshape import torch_flatten, torch_reshape

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ir.symbols import Size
    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.tensor.reshape_codes import Span

__all__ = ["reshape_to", "reshaped_by"]


def reshape_to(b: MxBuilder, node: ir.Node, data: MxRef, source: ir.Value, target: ir.Value) -> MxRef | Refusal:
    """Reshape what holds ``source`` into the inferred shape of ``target``, at any size of what is free."""
    have, want = b.shape(source), b.shape(target)
    if _flattens(have, want):
        return b.op("Flatten", data)
    codes, turned = codes_for(have, want), False
    if codes is None:  # from the last axis on, where -4 does not exist
        found = codes_for(have[::-1], want[::-1])
        codes, turned = None if found is None or -4 in found else found[::-1], True
    if codes is not None:
        return b.op("Reshape", data, shape=codes or (1,), reverse=turned or None)
    spans = spans_of(have, want)
    made = None if spans is None else _by_spans(b, node, data, spans)
    if made is None:
        why = f"its shape is computed, and MXNet's Reshape cannot make {shown(want)} at every size of its input"
        return Refusal(why, needs=node.inputs[1:])
    return made


def _by_spans(b: MxBuilder, node: ir.Node, data: MxRef, spans: Sequence[Span]) -> MxRef | None:
    """Reshape successive axes one run after the other; None where MXNet cannot make a size."""
    done = 0
    for before, after in spans:
        if len(before) + len(after) > 2:
            codes = codes_for(before, after, among_others=True)
            if codes is not None:
                data = b.op("Reshape", data, shape=(0,) * done + codes + (-2,), name="part")
            else:
                for _ in before[1:]:
                    data = b.op("Reshape", data, shape=(0,) * done + (-3, -2), name="merged")
                made = _split(b, node, data, list(after), done)
                if made is None:
                    return None
                data = made
        done += len(after)
    return data


def _split(b: MxBuilder, node: ir.Node, data: MxRef, sizes: list[Size], axis: int) -> MxRef | None:
    """Split an axis into some of given sizes: numbers off its ends, the rest like the axes of something else."""
    while len(sizes) > 1 and (isinstance(sizes[-1], int) or isinstance(sizes[0], int)):
        if isinstance(sizes[-1], int):
            data = b.op("Reshape", data, shape=(0,) * axis + (-4, -1, sizes.pop(), -2), name="split")
        else:
            data = b.op("Reshape", data, shape=(0,) * axis + (-4, sizes.pop(0), -1, -2), name="split")
            axis += 1
    if len(sizes) == 1:
        return data
    like = axes_like(b, node, sizes)
    if like is None:
        return None
    ref, first = like
    return b.op(
        "reshape_like", data, ref, lhs_begin=axis, lhs_end=axis + 1, rhs_begin=first, rhs_end=first + len(sizes)
    )


def _flattens(have: Sequence[Dim], want: Sequence[Dim]) -> bool:
    """Whether all axes but the first are merged into one."""
    return len(want) == 2 and len(have) > 0 and have[0] is not None and have[0] == want[0]


def _write_reshape(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source, result = some(x[0]), some(node.inputs[0]), node.outputs[0]
    codes = constant_ints(b, node, 1)
    if codes is None:
        return reshape_to(b, node, data, source, result)
    if 0 in codes and (node.attributes.get_int("allowzero", 0) != 0 or 0 in b.shape(source)):
        return Refusal("it makes an array without elements, which MXNet does not have")
    if rank_is_known(source) and rank_is_known(result):
        have, want = b.shape(source), b.shape(result)
        if have and have == want and None not in have:
            return data
        if _flattens(have, want):
            return b.op("Flatten", data)
    return b.op("Reshape", data, shape=codes or (1,))


def _write_flatten(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    data, source = some(x[0]), some(node.inputs[0])
    axis = node.attributes.get_int("axis", 1)
    if axis == 1:
        return b.op("Flatten", data)
    rank = b.rank(source)
    axis = axis_of(node, rank, 1)
    dims = b.shape(source)
    tail, head = [d for d in dims[axis:] if isinstance(d, int)], [d for d in dims[:axis] if isinstance(d, int)]
    if len(tail) == rank - axis:
        return b.op("Reshape", data, shape=(-1, math.prod(tail)))
    if len(head) == axis:
        return b.op("Reshape", data, shape=(math.prod(head), -1))
    for _ in range(axis - 1):
        data = b.op("Reshape", data, shape=(-3, -2))
    return b.op("Flatten", data)


def _read_flatten(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Flatten", x[0], axis=1)


def _read_reshape(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    codes = ints(node.attrs.get("shape", "()"))
    reverse = bool(BOOL.parse(node.attrs.get("reverse", "False")))
    if not codes:
        codes, reverse = _legacy_codes(node), False
    if not codes:
        return Refusal("it has no shape")
    if not reverse and min(codes) >= -1:
        made_by(codes, None)
        return b.op("Reshape", data, codes)
    return reshaped_by(b, data, made_by(codes, b.rank(data), reverse=reverse))


def _legacy_codes(node: MxNode) -> tuple[int, ...]:
    """The codes for ``target_shape`` and ``keep_highest``, which MXNet before 0.9 had instead of ``shape``."""
    target = ints(node.attrs.get("target_shape", "()"))
    codes = tuple(size or -1 for size in target)
    if codes and BOOL.parse(node.attrs.get("keep_highest", "False")):
        codes = (0, *codes[1:])
    return codes


def reshaped_by(b: OnnxBuilder, data: ir.Value, made: list[Made]) -> ir.Value:
    """Reshape by what each dimension is made of: by ONNX's codes, or by a computed shape where they do not do."""
    dims = b.shape(data)
    codes = [_code(dims, place, dim) for place, dim in enumerate(made)]
    if codes.count(-1) <= 1:
        return b.op("Reshape", data, codes)
    sizes = [_size_of(b, data, dim, code) for dim, code in zip(made, codes, strict=True)]
    return b.op("Reshape", data, b.op("Concat", *sizes, axis=0))


def _code(dims: Sequence[Dim], place: int, made: Made) -> int:
    """ONNX's code for a dimension; -1 where only the input tells its size."""
    if made.inferred:
        return -1
    factors = [dims[factor] for factor in made.factors]
    known = [dim for dim in factors if isinstance(dim, int)]
    if len(known) < len(factors):
        return 0 if made == Made((place,)) else -1
    size = made.number * math.prod(known)
    if size % made.divisor:
        raise ValueError(f"-4 in shape splits {size} by {made.divisor}")
    return size // made.divisor


def _size_of(b: OnnxBuilder, data: ir.Value, made: Made, code: int) -> ir.Value:
    """The size of a dimension as an int64 array of one element."""
    if made.inferred or code > 0:
        return b.const([code])
    size, *others = (size_along(b, data, factor) for factor in made.factors)
    for other in others:
        size = b.op("Mul", size, other)
    return size if made.divisor == 1 else b.op("Div", size, [made.divisor])


def _read_reshape_like(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, like = some(x[0]), some(x[1])
    spans = [mx_axis(node, name) for name in ("lhs_begin", "lhs_end", "rhs_begin", "rhs_end")]
    if all(bound is None for bound in spans):
        if not rank_is_known(like):
            return b.op("Reshape", data, b.op("Shape", like))
        sizes = _sizes(b, like, range(b.rank(like)))
        return Refusal("MXNet makes nothing like a scalar") if sizes is None else b.op("Reshape", data, sizes)
    lhs, rhs = range(b.rank(data)), range(b.rank(like))
    replaced = lhs[slice(*spans[:2])]
    parts = [
        _sizes(b, data, lhs[: replaced.start]),
        _sizes(b, like, rhs[slice(*spans[2:])]),
        _sizes(b, data, lhs[replaced.stop :]),
    ]
    present = [part for part in parts if part is not None]
    return b.op("Reshape", data, present[0] if len(present) == 1 else b.op("Concat", *present, axis=0))


def _sizes(b: OnnxBuilder, value: ir.Value, axes: range) -> ir.Value | None:
    """The sizes of successive axes as an int64 array; None for no axes."""
    if not axes:
        return None
    dims = b.shape(value)[axes.start : axes.stop]
    known = [dim for dim in dims if isinstance(dim, int)]
    return b.const(known) if len(known) == len(dims) else b.op("Shape", value, start=axes.start, end=axes.stop)


_X = arr(2, 3, 4)
_FOUR = arr(2, 3, 4, 5)

OPS = (
    Op(
        "Reshape",
        mx=(
            MxForm(
                "Reshape",
                read=_read_reshape,
                reads=("shape", "reverse", "target_shape", "keep_highest"),
                write=_write_reshape,
                cases=(
                    Case("infer", (_X,), {"shape": "-1"}),
                    Case("copy and infer", (_X,), {"shape": (0, 0, -1)}),
                    Case("infer and copy", (_X,), {"shape": (-1, 0)}),
                    Case("infer and copy from behind", (_X,), {"shape": (-1, 0), "reverse": True}),
                    Case("insert from behind", (_X,), {"shape": (-1, 1, 0), "reverse": "1"}),
                    Case("copy the rest", (_X,), {"shape": (-2, 1, 1)}),
                    Case("copy one and the rest", (_X,), {"shape": (0, -2, 1)}),
                    Case("merge", (_X,), {"shape": (-3, 0)}),
                    Case("merge behind", (_X,), {"shape": "[0,-3]"}),
                    Case("merge and copy the rest", (_FOUR,), {"shape": (-3, -2)}),
                    Case("merge from behind", (_FOUR,), {"shape": (-1, 2, -3), "reverse": True}),
                    Case("split", (_X,), {"shape": (-4, 1, 2, -2)}),
                    Case("split the first", (_X,), {"shape": (0, 0, -4, 2, -1)}),
                    Case("split the second", (_X,), {"shape": (0, -4, -1, 3, 0)}),
                    Case("split into known sizes", (_X,), {"shape": (0, -4, 3, 1, -2)}),
                    Case("numbers", (_X,), {"shape": (6, 4)}),
                    Case("numbers step over dimensions", (_X,), {"shape": (2, -2)}),
                ),
            ),
        ),
        torch=torch_reshape,
        gradient=reshaping,
        cases=(
            Case("numbers", (_X, int64([6, 4])), const=(1,)),
            Case("flatten", (_X, int64([2, -1])), const=(1,), dynamic=(0,)),
            Case("infer", (_X, int64([-1])), const=(1,), dynamic=(0,)),
            Case("copy", (_X, int64([0, 0, 2, -1])), const=(1,), dynamic=(0,)),
            Case("free batch inside", (_X, int64([3, -1, 4])), const=(1,), dynamic=(0,)),
            Case("no change", (_X, int64([2, 3, 4])), const=(1,)),
            Case("zero not allowed", (_X, int64([4, 6])), {"allowzero": 1}, const=(1,)),
            Case("to a scalar", (arr(1, 1), int64([])), const=(1,)),
            Case("from a scalar", (arr(), int64([1, 1])), const=(1,)),
            Case("integers", (arr(2, 6, low=-9, high=9, dtype="int64"), int64([3, 4])), const=(1,), grad=False),
            Case("truths", (arr(2, 6, dtype="bool"), int64([3, 4])), const=(1,), grad=False),
        ),
    ),
    Op(
        "Flatten",
        mx=(
            MxForm(
                "Flatten",
                read=_read_flatten,
                write=_write_flatten,
                cases=(Case("image", (_FOUR,)), Case("vector", (arr(3),))),
            ),
        ),
        torch=torch_flatten,
        gradient=reshaping,
        cases=(
            Case("default", (_FOUR,), dynamic=(0,)),
            Case("vector", (arr(3),)),
            Case("axis 0", (_FOUR,), {"axis": 0}, dynamic=(0,)),
            Case("axis 2", (_FOUR,), {"axis": 2}, dynamic=(0,)),
            Case("last axis", (_FOUR,), {"axis": -1}, dynamic=(0,)),
            Case("all axes", (_X,), {"axis": 3}, dynamic=(0,)),
            Case("scalar", (arr(),), {"axis": 0}),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "reshape_like",
                read=_read_reshape_like,
                reads=("lhs_begin", "lhs_end", "rhs_begin", "rhs_end"),
                direction="read",
                cases=(
                    Case("whole", (_X, arr(6, 4))),
                    Case(
                        "span",
                        (_X, arr(5, 3, 2, 7)),
                        {"lhs_begin": 0, "lhs_end": 2, "rhs_begin": 1, "rhs_end": 3},
                    ),
                    Case("negative span", (_X, arr(5, 3, 2)), {"lhs_begin": "None", "lhs_end": -1, "rhs_begin": -2}),
                ),
            ),
        ),
    ),
)
