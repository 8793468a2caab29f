"""How alike two feature maps are at every place and displacement, as in FlowNet.

Each displacement is a channel: the mean over the channels and a window of the products of the first map with the moved
second, or of their distances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    kernel, reach, stride, step, pad = (
        int(node.attrs.get(name, default))
        for name, default in (
            ("kernel_size", "1"),
            ("max_displacement", "1"),
            ("stride1", "1"),
            ("stride2", "1"),
            ("pad_size", "0"),
        )
    )
    multiply = bool(BOOL.parse(node.attrs.get("is_multiply", "True")))
    sizes = [size for size in b.shape(data)[2:] if isinstance(size, int)]
    if len(sizes) != 2:
        return Refusal("the height and width of its maps are not known; give the shapes of the model's inputs")
    if kernel % 2 == 0:
        return Refusal(f"kernel_size is {kernel}, and MXNet takes odd ones only")
    shapes = [b.shape(some(operand)) for operand in x[:2]]
    if any(isinstance(one, int) and isinstance(two, int) and one != two for one, two in zip(*shapes, strict=False)):
        return Refusal(f"its maps have the shapes {shapes[0]} and {shapes[1]}, and MXNet reads past the smaller one")
    border = reach + (kernel - 1) // 2
    places = [-(-(size + 2 * pad - 2 * border) // stride) for size in sizes]
    if min(places) < 1:
        return Refusal(f"maps of {sizes[0]}×{sizes[1]} leave no place for windows and displacements of this size")
    extents = [(count - 1) * stride + kernel for count in places]
    first, second = (_padded(b, some(operand), pad) for operand in x[:2])
    fixed = _window(b, first, (reach, reach), extents)
    radius = reach // step
    moves = [step * number for number in range(-radius, radius + 1)]
    maps = []
    for down in moves:
        for right in moves:
            moved = _window(b, second, (reach + down, reach + right), extents)
            alike = b.op("Mul", fixed, moved) if multiply else b.op("Abs", b.op("Sub", fixed, moved))
            maps.append(b.op("ReduceMean", alike, [1], keepdims=1))
    joined = maps[0] if len(maps) == 1 else b.op("Concat", *maps, axis=1)
    if kernel == stride == 1:
        return joined
    return b.op("AveragePool", joined, kernel_shape=(kernel, kernel), strides=(stride, stride))


def _padded(b: OnnxBuilder, data: ir.Value, pad: int) -> ir.Value:
    return b.op("Pad", data, [0, 0, pad, pad, 0, 0, pad, pad]) if pad else data


def _window(b: OnnxBuilder, data: ir.Value, start: tuple[int, int], extents: Sequence[int]) -> ir.Value:
    ends = [begin + extent for begin, extent in zip(start, extents, strict=True)]
    return b.op("Slice", data, list(start), ends, [2, 3])


_MAPS = (arr(2, 3, 6, 7), arr(2, 3, 6, 7))

OP = Op(
    "",
    mx=(
        MxForm(
            "Correlation",
            read=_read,
            reads=("kernel_size", "max_displacement", "stride1", "stride2", "pad_size", "is_multiply"),
            direction="read",
            cases=(
                Case("default", _MAPS, dynamic=(0, 1)),
                Case("windows", _MAPS, {"kernel_size": 3, "pad_size": 2, "stride1": 2}),
                Case("displacements", _MAPS, {"max_displacement": 2, "stride2": 2, "pad_size": 2}),
                Case("distances", _MAPS, {"is_multiply": False, "pad_size": 1}, grad=False),
            ),
        ),
    ),
)
