"""Max pooling, over windows and over everything.

MXNet pools floats only, along one to three axes; dilated windows become a maximum over shifted slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.nn.windows import global_pool, onnx_window, pool, torch_pool
from graphkit.ops.spec import Arr, Case, Limit, MxForm, Op, Refusal, arr, per_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
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
    if dtype.kind == "f":
        return pool(b, data, b.shape(source)[2:], window, "max")
    data = b.op("Cast", data, dtype="float32")
    return b.op("Cast", pool(b, data, b.shape(source)[2:], window, "max"), dtype=dtype.name)


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
    data, options = torch_pool(b, x[0], window, lowest or None)
    if set(window.dilations) != {1}:
        options["dilation"] = per_axis(window.dilations)
    pool = f"F.max_pool{len(kernel)}d"
    if len(node.outputs) == 1 or not (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        return b.call(pool, data, per_axis(kernel), **options)
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
        cases=(
            Case("1-D", (_ROW,), dynamic=(0,)),
            Case("2-D", (_IMAGE,)),
            Case("3-D", (_VOLUME,)),
            Case("4-D", (_distinct(1, 2, 2, 3, 2, 2),)),
        ),
        limits=(Limit("onnxruntime", "it pools at most 3 spatial axes", "4-D"),),
    ),
)
