"""Max pooling, over windows and over everything.

MXNet pools floats only, along one to three axes; dilated windows become a maximum over shifted slices.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.nn.windows import Window, global_pool, onnx_window, pool, torch_pool
from graphkit.ops.spec import Arr, Case, Limit, MxForm, Op, Refusal, arr, per_axis
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    kernel = tuple(node.attributes.get_ints("kernel_shape", []))
    if not 1 <= len(kernel) <= 3:
        return Refusal(f"MXNet pools 1 to 3 spatial axes, not {len(kernel)}")
    window = onnx_window(b, node, kernel)
    if isinstance(window, Refusal):
        return window
    dtype = b.dtype(source)
    if dtype.kind != "f":
        data = b.op("Cast", data, dtype="float32")
    found = pool(b, data, b.shape(source)[2:], window, "max")
    results = [found if dtype.kind == "f" else b.op("Cast", found, dtype=dtype.name)]
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        places = _places(b, node, data, window)
        if isinstance(places, Refusal):
            return places
        results.append(places)
    return results


def _places(b: MxBuilder, node: ir.Node, data: MxRef, window: Window) -> MxRef | Refusal:
    """Where each maximum is in the whole array: the first of the largest among all that a window sees."""
    source = node.inputs[0]
    assert source is not None
    channels, *spatial = b.shape(source)[1:]
    sizes = [size for size in spatial if isinstance(size, int)]
    after = [size for size in b.shape(node.outputs[0])[2:] if isinstance(size, int)]
    if len(sizes) != len(spatial) or len(after) != len(spatial) or not isinstance(channels, int):
        return Refusal("the sizes of what it reads are not known, which the places of its maxima are made of")
    taps = _taps(after, window)
    inside = np.all([(axis >= 0) & (axis < size) for axis, size in zip(taps, sizes, strict=True)], axis=0)
    at = np.where(inside, np.ravel_multi_index(taps, sizes, mode="clip"), prod(sizes))
    column_major = node.attributes.get_int("storage_order", 0) == 1
    order: Literal["C", "F"] = "F" if column_major else "C"
    names = np.where(inside, np.ravel_multi_index(taps, sizes, mode="clip", order=order), 0)
    flat = b.op("Reshape", data, shape=(0, 0, -1))
    edge = b.op("slice_axis", flat, axis=2, begin=0, end=1)
    lowest = b.op("_plus_scalar", b.op("zeros_like", edge), scalar=float("-inf"), name="lowest")
    seen = b.op("Concat", flat, lowest, num_args=2, dim=2)
    seen = b.op("take", seen, b.const(at.astype(np.int32), name="taps"), axis=2)
    chosen = b.op("argmax", seen, axis=3, name="chosen")
    table = b.const(names.astype(np.float64)[None, None], name="names")
    table = b.op("broadcast_like", table, seen, lhs_axes=(0, 1), rhs_axes=(0, 1))
    place = b.op("Cast", b.op("pick", table, chosen, axis=3), dtype="int64")
    plane = b.op("_contrib_arange_like", b.op("Cast", flat, dtype="float64"), axis=0)
    plane = b.op("_mul_scalar", b.op("Reshape", plane, shape=(-1, 1, 1)), scalar=float(channels))
    plane = b.op("broadcast_add", plane, b.const(np.arange(channels, dtype=np.float64)[None, :, None], name="channels"))
    start = b.op("Cast", b.op("_mul_scalar", plane, scalar=float(prod(sizes))), dtype="int64")
    return b.op("Reshape", b.op("broadcast_add", place, start), shape=(0, 0, *after), name="places")


def _taps(after: Sequence[int], window: Window) -> list[npt.NDArray[np.int64]]:
    """By axis, the coordinates that each window (rows) sees with each tap (columns)."""
    check_elements(len(after) * prod(after) * prod(window.kernel))
    windows, taps = (np.indices(sizes).reshape(len(after), -1) for sizes in (tuple(after), window.kernel))
    return [
        windows[k][:, None] * window.strides[k] - window.begins[k] + taps[k] * window.dilations[k]
        for k in range(len(after))
    ]


def _write_global(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    return global_pool(b, data, b.rank(source), "max")


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Sequence[Arg] | Refusal:
    source = node.inputs[0]
    assert source is not None
    kernel = tuple(node.attributes.get_ints("kernel_shape", []))
    if not 1 <= len(kernel) <= 3:
        return Refusal(f"torch pools 1 to 3 spatial axes, not {len(kernel)}")
    window = onnx_window(b, node, kernel)
    if isinstance(window, Refusal):
        return window
    dtype = b.dtype(source)
    lowest = float("-inf") if dtype.kind not in "iu" else int(np.iinfo(dtype).min)
    alone = len(node.outputs) == 1 or not (node.outputs[1].uses() or node.outputs[1].is_graph_output())
    widened = alone and dtype.kind in "iu" and len(kernel) == 1  # torch has no such kernel for bytes
    data, options = torch_pool(b, b.method("float", x[0]) if widened else x[0], window, lowest or None)
    if set(window.dilations) != {1}:
        options["dilation"] = per_axis(window.dilations)
    pool = f"F.max_pool{len(kernel)}d"
    if alone:
        found = b.call(pool, data, per_axis(kernel), **options)
        return b.method("to", found, b.torch_dtype(dtype)) if widened else found
    values, chosen = b.calls(pool, 2, data, per_axis(kernel), **options, return_indices=True)
    padded = data is not x[0]
    places = b.call(
        "chosen_places",
        x[0],
        chosen,
        padded=data if padded else None,
        before=window.begins if padded else None,
        column_major=bool(node.attributes.get_int("storage_order", 0)) or None,
    )
    return values, places


def _torch_global(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    source = node.inputs[0]
    assert source is not None
    rank = b.rank(source)
    if rank in (3, 4, 5):
        return b.call(f"F.adaptive_max_pool{rank - 2}d", x[0], 1)
    return b.method("amax", x[0], tuple(range(2, rank)), keepdim=True)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Each cotangent goes to where its maximum was found: of equal elements, to the first."""
    data = some(node.inputs[0])
    if dy[0] is None:
        return []
    if node.attributes.get_int("storage_order", 0):
        rest = {attribute.name: attribute.value for attribute in node.attributes.values()}
        places = b.ops("MaxPool", 2, data, **{**rest, "storage_order": 0})[1]
    else:
        places = b.output(node, 1)
    flat = b.op("Reshape", b.full_like(data), [-1])
    moved = b.op("ScatterElements", flat, b.op("Reshape", places, [-1]), b.op("Reshape", dy[0], [-1]), reduction="add")
    return [b.like(moved, data)]


def _gradient_global(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Torch takes the first of equal maxima along one to three axes, and all of them, in equal shares, along more."""
    data, largest = some(node.inputs[0]), node.outputs[0]
    axes = list(range(2, b.rank(data)))
    if len(axes) > 3:
        chosen = b.op("CastLike", b.op("Equal", data, largest), data)
        return [b.op("Mul", chosen, b.op("Div", dy[0], b.op("ReduceSum", chosen, axes, keepdims=1)))]
    flat = b.op("Reshape", data, [0, 0, -1])
    place = b.op("ArgMax", flat, axis=2, keepdims=1)
    moved = b.op("ScatterElements", b.full_like(flat), place, b.op("Reshape", dy[0], [0, 0, 1]), axis=2)
    return [b.like(moved, data)]


def _distinct(*shape: int) -> Arr:
    """Numbers of which no two are close, in an order that puts maxima everywhere."""
    size = 1
    for dim in shape:
        size *= dim
    step = next(n for n in (7, 11, 13, 17, 19) if size % n)
    return Arr(shape, values=[(k * step % size) / size - 0.5 for k in range(size)])


_ROW, _IMAGE, _VOLUME = _distinct(2, 2, 9), _distinct(2, 3, 7, 8), _distinct(1, 2, 5, 6, 4)

OPS = (
    Op(
        "MaxPool",
        mx=(MxForm("Pooling", write=_write, direction="write"),),
        torch=_torch,
        gradient=_gradient,
        cases=(
            Case("2-D", (_IMAGE,), {"kernel_shape": [2, 2], "strides": [2, 2]}, dynamic=(0,)),
            Case("overlapping", (_IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
            Case("1-D", (_ROW,), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
            Case("3-D", (_VOLUME,), {"kernel_shape": [2, 3, 2], "pads": [0, 1, 1, 0, 1, 1]}),
            Case("uneven pads", (_IMAGE,), {"kernel_shape": [3, 2], "pads": [0, 1, 2, 0]}),
            Case("uneven pads 1-D", (_ROW,), {"kernel_shape": [3], "pads": [0, 2]}, dynamic=(0,)),
            Case("uneven pads 3-D", (_VOLUME,), {"kernel_shape": [2, 2, 2], "pads": [0, 1, 0, 1, 0, 0]}),
            Case("ceil", (_IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
            Case("ceil without effect", (_IMAGE,), {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
            Case(
                "ceil that drops a window in the padding",
                (_ROW,),
                {"kernel_shape": [2], "strides": [2], "pads": [1, 1], "ceil_mode": 1},
            ),
            Case(
                "ceil with a kernel larger than the image",
                (arr(1, 2, 2),),
                {"kernel_shape": [3], "strides": [2], "ceil_mode": 1},
            ),
            Case("ceil with gaps", (_ROW,), {"kernel_shape": [1], "strides": [3], "ceil_mode": 1}),
            Case("dilated", (_IMAGE,), {"kernel_shape": [2, 3], "dilations": [3, 2], "strides": [1, 2]}, dynamic=(0,)),
            Case(
                "dilated, padded, ceil",
                (_ROW,),
                {"kernel_shape": [3], "dilations": [2], "strides": [2], "pads": [1, 2], "ceil_mode": 1},
            ),
            Case("dilated, padded by more than half", (_ROW,), {"kernel_shape": [3], "dilations": [2], "pads": [2, 2]}),
            Case("same upper", (_IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
            Case("same lower", (_IMAGE,), {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}),
            Case("valid", (_IMAGE,), {"kernel_shape": [3, 3], "auto_pad": "VALID"}),
            Case("places", (_IMAGE,), {"kernel_shape": [3, 2], "strides": [2, 1]}, outputs=2, dynamic=(0,)),
            Case(
                "places in padding, column by column",
                (_IMAGE,),
                {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "ceil_mode": 1, "storage_order": 1},
                outputs=2,
            ),
            Case("places with gaps", (_ROW,), {"kernel_shape": [3], "dilations": [2], "pads": [1, 2]}, outputs=2),
            Case("places in volumes", (_VOLUME,), {"kernel_shape": [2, 3, 2]}, outputs=2),
            Case(
                "a row of uint8",
                (Arr((1, 2, 9), 0, 255, "uint8"),),
                {"kernel_shape": [3], "dilations": [2], "pads": [1, 2]},
                dtype="uint8",
                grad=False,
            ),
            Case("int8", (Arr((1, 2, 5, 5), -100, 100, "int8"),), {"kernel_shape": [2, 2]}, dtype="int8", grad=False),
            Case(
                "uint8",
                (Arr((1, 2, 5, 5), 0, 255, "uint8"),),
                {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]},
                dtype="uint8",
                grad=False,
            ),
        ),
    ),
    Op(
        "GlobalMaxPool",
        mx=(MxForm("Pooling", write=_write_global, direction="write"),),
        torch=_torch_global,
        gradient=_gradient_global,
        cases=(
            Case("1-D", (_ROW,), dynamic=(0,)),
            Case("2-D", (_IMAGE,)),
            Case("3-D", (_VOLUME,)),
            Case("4-D", (_distinct(1, 2, 2, 3, 2, 2),)),
        ),
        limits=tuple(
            Limit(claim, "it pools at most 3 spatial axes", "4-D") for claim in ("onnxruntime", "gradient-onnxruntime")
        ),
    ),
)
