"""How torch reshapes: by flattening, by splitting an axis, or by a list of sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.symbols import equal, product, shape_of, sizes_of
from graphkit.ops.tensor.torch_index import used_once
from graphkit.ops.tensor.torch_sizes import is_full, size_arg, sizes_given
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ir.symbols import Size
    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["reshaped", "torch_flatten", "torch_reshape", "unshaped", "unsqueezed"]


def reshaped(b: TorchBuilder, node: ir.Node, data: Arg, source: ir.Value, want: Sequence[Size]) -> Arg | None:
    """Reshape what holds ``source``, at every size of its free dimensions; None where that needs sizes unknown here."""
    have = shape_of(source)
    if have is not None:
        if is_full(have, want):
            return data
        if (new := _inserted(have, want)) is not None:
            return unsqueezed(b, data, new, len(want))
        if (dropped := _inserted(want, have)) is not None and len(dropped) == 1 and dropped[0] < len(want):
            return b.method("squeeze", data, dropped[0])
        span = _merged(have, want)
        if span is not None:
            return _flatten(b, data, *span, len(have))
        split = _split(have, want)
        if split is not None:
            axis, sizes = split
            if 1 not in sizes:
                return b.method("unflatten", data, axis, sizes)
    free = [place for place, size in enumerate(want) if not isinstance(size, int)]
    args = [-1 if [place] == free and 0 not in want else size_arg(b, node, size) for place, size in enumerate(want)]
    if args.count(None) == 1 and 0 not in want:
        args[args.index(None)] = -1
    return None if None in args else b.method("reshape", data, *(args or [()]))


def unsqueezed(b: TorchBuilder, data: Arg, new: Sequence[int], rank: int) -> Arg:
    """Insert axes of size 1.

    Args:
        b: The builder.
        data: The array.
        new: Where they are in the result, in order.
        rank: Rank of the result.
    """
    if rank == len(new):
        return b.method("reshape", data, *(1,) * rank)
    if len(new) == 1:
        return b.method("unsqueeze", data, new[0])
    if new[0] == rank - len(new):
        return b.item(data, Code("..."), *(None,) * len(new))
    return b.item(data, *(None if axis in new else slice(None) for axis in range(new[-1] + 1)))


def _inserted(have: Sequence[Size], want: Sequence[Size]) -> list[int] | None:
    """Where axes of size 1 are put in, where nothing else is done."""
    new: list[int] = []
    for place, size in enumerate(want):
        old = place - len(new)
        if not (old < len(have) and equal(have[old], size)):
            if not isinstance(size, int) or size != 1:
                return None
            new.append(place)
    return new if new and len(new) == len(want) - len(have) else None


def _flatten(b: TorchBuilder, data: Arg, first: int, last: int, rank: int) -> Arg:
    if last == rank - 1:
        return b.method("flatten", data, *((first,) if first else ()))
    return b.method("flatten", data, first, last)


def _merged(have: Sequence[Size], want: Sequence[Size]) -> tuple[int, int] | None:
    """The first and last of the axes that are merged into one, where all others stay."""
    if len(have) <= len(want):
        return None
    for first in reversed(range(len(want))):
        rest = len(want) - 1 - first
        if is_full(have[:first], want[:first]) and is_full(have[len(have) - rest :], want[first + 1 :]):
            return first, len(have) - rest - 1
    return None


def _split(have: Sequence[Size], want: Sequence[Size]) -> tuple[int, tuple[int, ...]] | None:
    """The axis that is split, where all others stay, and the sizes it is split into; -1 for a free one."""
    more = len(want) - len(have)
    if more <= 0:
        return None
    for axis in range(len(have)):
        if is_full(have[:axis], want[:axis]) and is_full(have[axis + 1 :], want[axis + more + 1 :]):
            sizes = tuple(size if isinstance(size, int) else -1 for size in want[axis : axis + more + 1])
            if sizes.count(-1) <= 1 and 0 not in sizes:
                return axis, sizes
    return None


_RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


def unshaped(value: ir.Value) -> ir.Value:
    """What a value had been before it was reshaped for nothing but the next reshaping."""
    producer = value.producer()
    while producer is not None and producer.op_type in _RESHAPING and used_once(value):
        assert producer.inputs[0] is not None
        value = producer.inputs[0]
        producer = value.producer()
    return value


def _repeated(b: TorchBuilder, source: ir.Value, want: Sequence[Size]) -> Arg | None:
    """Each element several times in a row along an axis: what a new axis was stretched and merged for."""
    expand = source.producer()
    if expand is None or expand.op_type != "Expand" or not used_once(source) or expand.inputs[0] is None:
        return None
    first = unshaped(expand.inputs[0]) if used_once(expand.inputs[0]) else expand.inputs[0]
    before, wide = shape_of(first), shape_of(source)
    if before is None or wide is None or len(wide) != len(before) + 1 or len(want) != len(before):
        return None
    narrow = shape_of(expand.inputs[0]) or ()
    grown = [axis for axis, (old, new) in enumerate(zip(narrow, wide, strict=False)) if not equal(old, new)]
    if len(grown) != 1 or len(narrow) != len(wide) or grown[0] == 0 or not isinstance(wide[grown[0]], int):
        return None
    axis, count = grown[0] - 1, wide[grown[0]]
    kept = is_full(before, (*wide[: axis + 1], *wide[axis + 2 :]))
    merged = is_full(want, (*wide[:axis], product((wide[axis], count)), *wide[axis + 2 :]))
    return b.method("repeat_interleave", b.arg(first), count, axis) if kept and merged else None


def torch_reshape(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """Write a Reshape."""
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    want = shape_of(result)
    if want is not None:
        repeated = _repeated(b, source, want)
        if repeated is not None:
            return repeated
        first = unshaped(source)
        made = reshaped(b, node, b.arg(first), first, want) or reshaped(b, node, x[0], source, want)
        if made is not None:
            return made
    keeps_zero = node.attributes.get_int("allowzero", 0) != 0
    codes = sizes_given(b, node, 1, x[1])
    if not keeps_zero and len(codes) == 1 and sizes_of(node.inputs[1]) is None:
        return b.call("reshape_by_codes", x[0], x[1])
    return b.method("reshape", x[0], *(_sizes(b, source, codes, keeps_zero=keeps_zero) or [()]))


def _sizes(b: TorchBuilder, source: ir.Value, codes: Sequence[Arg], *, keeps_zero: bool) -> list[Arg]:
    """ONNX's codes as torch takes them: -1 means the same in both, and 0 copies a size."""
    return [
        b.size(source, axis) if isinstance(code, int) and code == 0 and not keeps_zero else code
        for axis, code in enumerate(codes)
    ]


def torch_flatten(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """Write a Flatten, which leaves two axes."""
    source = node.inputs[0]
    assert source is not None
    axis = node.attributes.get_int("axis", 1)
    first, want = unshaped(source), shape_of(node.outputs[0])
    made = None if first is source or want is None else reshaped(b, node, b.arg(first), first, want)
    if made is not None:
        return made
    have = shape_of(source)
    if have is None and axis == 1:
        return b.method("flatten", x[0], 1)
    rank = b.rank(source)
    axis = axis + rank if axis < 0 else axis
    if axis in (0, rank):
        return b.method("reshape", x[0], *((1, -1) if axis == 0 else (-1, 1)))
    data = b.method("flatten", x[0], axis) if axis < rank - 1 else x[0]
    return b.method("flatten", data, 0, axis - 1) if axis > 1 else data
