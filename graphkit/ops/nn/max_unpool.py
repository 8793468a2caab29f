"""Putting maxima back to where a max pooling found them, zeros elsewhere.

ONNX counts the places in the whole array that was pooled; ``output_shape`` only puts more zeros behind it.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from graphkit.ops.nn.windows import onnx_ints
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, int64, per_axis
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _sizes(
    b: MxBuilder | TorchBuilder | GradientBuilder, node: ir.Node
) -> tuple[tuple[int, ...], tuple[int, ...]] | Refusal:
    """The spatial sizes of what was pooled, and how many zeros come behind each."""
    dims = b.shape(some(node.inputs[0]))
    spatial = [dim for dim in dims[2:] if isinstance(dim, int)]
    if len(spatial) != len(dims) - 2:
        return Refusal("the sizes of what it reads are not known; give the shapes of the model's inputs with --input")
    rank = len(spatial)
    kernel = tuple(node.attributes.get_ints("kernel_shape", []))
    if len(kernel) != rank:
        return Refusal(f"kernel_shape={list(kernel)} does not have one size for each of {rank} axes")
    strides, pads = onnx_ints(node, "strides", rank, 1), onnx_ints(node, "pads", 2 * rank, 0)
    sizes = tuple((spatial[k] - 1) * strides[k] + kernel[k] - pads[k] - pads[k + rank] for k in range(rank))
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return sizes, (0,) * rank
    wanted = b.value(node.inputs[2])
    if wanted is None:
        return Refusal("its output_shape is computed while it runs; it has to be constant", needs=node.inputs[2:])
    asked = [int(size) for size in wanted.reshape(-1)[2:]]
    more = tuple(size - own for size, own in zip(asked, sizes, strict=True))
    if min(more) < 0:
        return Refusal(f"its output_shape {asked} is smaller than what was pooled, {list(sizes)}")
    return sizes, more


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    found = _sizes(b, node)
    if isinstance(found, Refusal):
        return found
    sizes, more = found
    leading = [dim for dim in b.shape(some(node.inputs[0]))[:2] if isinstance(dim, int)]
    if len(leading) != 2:
        return Refusal("MXNet's scatter_nd needs a fixed shape; give the shapes of the model's inputs with --input")
    places = b.op("Reshape", some(x[1]), shape=(1, -1))
    flat = b.op("Reshape", some(x[0]), shape=(-1,))
    written = b.op("scatter_nd", flat, places, shape=(prod(leading) * prod(sizes),))
    data = b.op("Reshape", written, shape=(*leading, *sizes))
    for axis, width in enumerate(more, 2):
        if width:
            edge = b.op("zeros_like", b.op("slice_axis", data, axis=axis, begin=0, end=1), name="zeros")
            edge = edge if width == 1 else b.op("broadcast_axis", edge, axis=axis, size=width)
            data = b.op("Concat", data, edge, num_args=2, dim=axis)
    return data


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    found = _sizes(b, node)
    if isinstance(found, Refusal):
        return found
    sizes, more = found
    rank = len(sizes)
    kernel, pads = node.attributes.get_ints("kernel_shape", []), onnx_ints(node, "pads", 2 * rank, 0)
    strides = onnx_ints(node, "strides", rank, 1)
    places = b.infix("%", x[1], prod(sizes))
    if rank <= 3 and pads[:rank] == pads[rank:]:
        padding = per_axis(pads[:rank]) if any(pads) else None
        function = f"F.max_unpool{rank}d"
        data = b.call(function, x[0], places, per_axis(tuple(kernel)), stride=per_axis(strides), padding=padding)
    else:
        source = x[0]
        zeros = b.method("new_zeros", source, *(b.size(some(node.inputs[0]), k) for k in (0, 1)), prod(sizes))
        written = b.method("scatter", zeros, 2, b.method("flatten", places, 2), b.method("flatten", source, 2))
        data = b.method("unflatten", written, 2, sizes)
    if not any(more):
        return data
    behind = [width for size in reversed(more) for width in (0, size)]
    return b.call("F.pad", data, tuple(behind))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    found = _sizes(b, node)
    if isinstance(found, Refusal):
        return found
    sizes, more = found
    gradient = dy[0]
    if any(more):
        axes = list(range(2, 2 + len(sizes)))
        gradient = b.op("Slice", gradient, [0] * len(sizes), list(sizes), axes)
    return [b.op("Gather", b.op("Reshape", gradient, [-1]), some(node.inputs[1]), axis=0)]


_X, _PLACES = arr(1, 1, 2, 2), int64([[[[5, 7], [13, 15]]]])
_TWO = {"kernel_shape": [2, 2], "strides": [2, 2]}

OP = Op(
    "MaxUnpool",
    mx=(MxForm("scatter_nd", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("square", (_X, _PLACES), _TWO),
        Case("planes", (arr(2, 2, 1, 2), int64([[[[1, 2]], [[8, 15]]], [[[16, 23]], [[25, 31]]]])), _TWO),
        Case("row", (arr(1, 2, 3), int64([[[0, 3, 5], [6, 9, 11]]])), {"kernel_shape": [2], "strides": [2]}),
        Case("padded", (arr(1, 1, 3), int64([[[0, 1, 3]]])), {"kernel_shape": [2], "strides": [2], "pads": [1, 1]}),
        Case(
            "padded behind", (arr(1, 1, 3), int64([[[0, 2, 4]]])), {"kernel_shape": [2], "strides": [2], "pads": [0, 1]}
        ),
        Case("larger", (_X, _PLACES, int64([1, 1, 5, 6])), _TWO, const=(2,)),
    ),
    limits=(Limit("onnxruntime", "ONNX Runtime counts the places in the larger array", "larger"),),
)
