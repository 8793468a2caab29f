"""Sampling of images at given places, and grids of such places.

Coordinates run from -1 to 1. MXNet's are those of the centres of the outermost pixels (ONNX's ``align_corners``), and
its grids have the axis of x and y before those of the image, ONNX's after them.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.codec import ints
from graphkit.ops.detection.grad_sampling import affine_gradient, sample_gradient
from graphkit.ops.detection.grid_gather import sample
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.sizes import sizes_in, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_SIZES_NEEDED = "the height and width of its image are not known; give the shapes of the model's inputs with --input"
_ONE_PIXEL = "its image is one pixel high or wide, where MXNet's coordinates have no meaning"
_TORCH_MODES = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}


def _places(*sizes: int, aligned: bool = True) -> npt.NDArray[np.float64]:
    """x, y, … and 1 of every pixel of an image or volume: (axes + 1, pixels)."""

    def along(size: int) -> npt.NDArray[np.float64]:
        return np.linspace(-1, 1, size) if aligned else (2 * np.arange(size) + 1) / size - 1

    check_elements((len(sizes) + 1) * prod(sizes))
    places = np.meshgrid(*map(along, sizes), indexing="ij")[::-1]
    return np.stack([*(place.reshape(-1) for place in places), np.ones(places[0].size)])


def _sizes(dims: Sequence[Dim]) -> tuple[int, int] | Refusal:
    height, width = dims[-2:]
    if not isinstance(height, int) or not isinstance(width, int):
        return Refusal(_SIZES_NEEDED)
    return Refusal(_ONE_PIXEL) if 1 in (height, width) else (height, width)


def _target(node: MxNode) -> tuple[int, int] | Refusal:
    size = ints(node.attrs.get("target_shape", "(0, 0)"))
    if len(size) != 2 or min(size) < 1:
        return Refusal(f"target_shape={node.attrs.get('target_shape')} is not the height and width that MXNet needs")
    return _sizes(size)


def _affine(b: OnnxBuilder, theta: ir.Value, size: tuple[int, int]) -> ir.Value:
    """Places that an affine map (N, 6) sends the pixels of an image to: (N, 2, height, width)."""
    base = b.const(_places(*size), b.dtype(theta))
    return b.op("Reshape", b.op("MatMul", b.op("Reshape", theta, [-1, 2, 3]), base), [0, 2, *size])


def _sampled(b: OnnxBuilder, data: ir.Value, grid: ir.Value) -> ir.Value:
    return b.op("GridSample", data, b.op("Transpose", grid, perm=[0, 2, 3, 1]), align_corners=1)


def _read_sampler(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return _sampled(b, some(x[0]), some(x[1]))


def _read_grid(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    if node.attrs["transform_type"] == "affine":
        size = _target(node)
        return size if isinstance(size, Refusal) else _affine(b, data, size)
    size = _sizes(b.shape(data))
    if isinstance(size, Refusal):
        return size
    dtype, (height, width) = b.dtype(data), size
    moved = b.op("Add", data, np.indices(size)[::-1].astype(dtype)[None])
    half = np.asarray([(width - 1) / 2, (height - 1) / 2]).astype(dtype).reshape(1, 2, 1, 1)
    return b.op("Sub", b.op("Div", moved, half), b.scalar(1.0, data))


def _read_transformer(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    size = _target(node)
    return size if isinstance(size, Refusal) else _sampled(b, some(x[0]), _affine(b, some(x[1]), size))


def _write_sample(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, attrs = some(node.inputs[0]), node.attributes
    mode, padding = attrs.get_string("mode", "linear"), attrs.get_string("padding_mode", "zeros")
    if b.dtype(source).kind != "f" and mode != "nearest":
        return Refusal(f"mode={mode} on {b.dtype(source)} rounds in a way that MXNet has no operator for")
    if b.rank(source) != 4 or mode != "linear" or padding == "reflection":
        return sample(b, node, some(x[0]), some(x[1]))
    grid = b.op("transpose", some(x[1]), axes=(0, 3, 1, 2))
    if not attrs.get_int("align_corners", 0):
        ratio = _ratio(b, node, some(x[0]))
        if isinstance(ratio, Refusal):
            return ratio
        grid = b.op("broadcast_mul", grid, ratio)
    if padding == "border":
        grid = b.op("clip", grid, a_min=-1.0, a_max=1.0)
    return b.ops("BilinearSampler", 2, some(x[0]), grid)[0]


def _ratio(b: MxBuilder, node: ir.Node, data: MxRef) -> MxRef | Refusal:
    """What coordinates of the edges of an image are multiplied with to be those of centres: (1, 2, 1, 1), x and y."""
    dims, dtype = b.shape(some(node.inputs[0])), b.dtype(some(node.inputs[1]))
    size = _sizes(dims)
    if not isinstance(size, Refusal):
        ratio = np.asarray([n / (n - 1) for n in reversed(size)]).astype(dtype)
        return b.const(ratio.reshape(1, 2, 1, 1), "ratio")
    if 1 in dims[-2:]:
        return size
    b.warn("where its image is one pixel high or wide, MXNet's coordinates have no meaning")
    sizes = b.op("slice_axis", b.op("shape_array", data), axis=0, begin=2, end="4")
    sizes = b.op("Cast", b.op("reverse", sizes, axis=(0,)), dtype=dtype.name)
    return b.op("Reshape", b.op("elemwise_div", sizes, b.op("_minus_scalar", sizes, scalar=1.0)), shape=(1, 2, 1, 1))


def _torch_sample(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    attrs = node.attributes
    mode = attrs.get_string("mode", "linear") or "linear"
    if b.rank(some(node.inputs[0])) != 4 and mode == "cubic":
        return Refusal("mode=cubic of other than images is not known to torch")
    return b.call(
        "F.grid_sample",
        x[0],
        x[1],
        mode=_TORCH_MODES[mode],
        padding_mode=attrs.get_string("padding_mode", "zeros"),
        align_corners=bool(attrs.get_int("align_corners", 0)),
    )


def _write_affine(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    theta, dims = some(x[0]), sizes_in(node, 1)
    aligned = bool(node.attributes.get_int("align_corners", 0))
    if dims is None or not all(isinstance(dim, int) for dim in dims[2:]):
        return Refusal(
            "the size of its image is computed while it runs; give the model's inputs fixed sizes",
            needs=node.inputs[1:],
        )
    sizes = tuple(int(dim or 0) for dim in dims[2:])
    dtype = b.dtype(some(node.inputs[0]))
    if aligned and 1 in sizes:
        return Refusal(_ONE_PIXEL)
    if aligned and dtype == np.float32 and len(sizes) == 2:
        flat = b.op("Reshape", theta, shape=(0, -1))
        grid = b.ops("GridGenerator", 2, flat, transform_type="affine", target_shape=sizes)[0]
    else:
        base = b.const(_places(*sizes, aligned=aligned).astype(dtype), "places")
        grid = b.op("Reshape", b.op("dot", theta, base), shape=(0, 0, *sizes))
    return b.op("transpose", grid, axes=(0, *range(2, 2 + len(sizes)), 1))


def _torch_affine(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    size = b.value(node.inputs[1])
    held = x[1] if size is None else tuple(int(n) for n in size)
    shape = held if size is not None else b.method("tolist", held)
    return b.call("F.affine_grid", x[0], shape, align_corners=bool(node.attributes.get_int("align_corners", 0)))


_IMAGE = arr(2, 3, 5, 6)
_PLACES = arr(2, 4, 3, 2, low=-0.9, high=0.9)
_BEYOND = arr(2, 4, 3, 2, low=-1.7, high=1.7)
_GRID = arr(2, 2, 4, 3, low=-0.9, high=0.9)
_THETA = given([[0.8, 0.1, 0.05, -0.2, 0.7, 0.11], [1.3, 0.2, -0.15, 0.3, -1.1, 0.07]], "float32")
_MATRIX = given([[[0.8, 0.1, 0.05], [-0.2, 0.7, 0.11]], [[1.3, 0.2, -0.15], [0.3, -1.1, 0.07]]], "float32")
_AFFINE = {"transform_type": "affine", "target_shape": (4, 3)}

OPS = (
    Op(
        "GridSample",
        mx=(
            MxForm(
                "BilinearSampler",
                read=_read_sampler,
                ignore=("cudnn_off",),
                write=_write_sample,
                cases=(
                    Case("inside", (_IMAGE, _GRID)),
                    Case("beyond", (_IMAGE, arr(2, 2, 4, 3, low=-1.7, high=1.7)), {"cudnn_off": True}, dynamic=(0,)),
                ),
            ),
        ),
        torch=_torch_sample,
        gradient=sample_gradient,
        cases=(
            Case("default", (_IMAGE, _PLACES), dynamic=(0, 1)),
            Case("aligned", (_IMAGE, _BEYOND), {"align_corners": 1}),
            Case("beyond", (_IMAGE, _BEYOND)),
            Case("edges", (_IMAGE, _BEYOND), {"padding_mode": "border"}),
            Case("aligned edges", (_IMAGE, _BEYOND), {"padding_mode": "border", "align_corners": 1}),
            *(
                Case(
                    f"{mode}, {padding}" + (", aligned" if aligned else ""),
                    (_IMAGE, _BEYOND),
                    {"mode": mode, "padding_mode": padding, "align_corners": int(aligned)},
                    grad=mode != "nearest",
                    dynamic=(0, 1),
                )
                for mode in ("nearest", "cubic")
                for padding in ("zeros", "border", "reflection")
                for aligned in (False, True)
            ),
            Case("reflection", (_IMAGE, _BEYOND), {"padding_mode": "reflection"}),
            Case("aligned reflection", (_IMAGE, _BEYOND), {"padding_mode": "reflection", "align_corners": 1}),
            Case("volume", (arr(1, 2, 3, 4, 5), arr(1, 2, 3, 2, 3, low=-1.3, high=1.3))),
            Case(
                "nearest in a volume", (arr(1, 2, 3, 4, 5), arr(1, 2, 3, 2, 3, low=-1.3, high=1.3)), {"mode": "nearest"}
            ),
        ),
    ),
    Op(
        "AffineGrid",
        mx=(MxForm("GridGenerator", write=_write_affine, direction="write"),),
        torch=_torch_affine,
        gradient=affine_gradient,
        cases=(
            Case("default", (_MATRIX, int64([2, 3, 4, 3])), const=(1,)),
            Case("aligned", (_MATRIX, int64([2, 3, 4, 3])), {"align_corners": 1}, const=(1,)),
            Case("volume", (arr(2, 3, 4), int64([2, 1, 3, 4, 2])), const=(1,)),
            Case("aligned volume", (arr(2, 3, 4), int64([2, 1, 3, 4, 2])), {"align_corners": 1}, const=(1,)),
            Case("a row", (_MATRIX, int64([2, 3, 1, 3])), const=(1,)),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "GridGenerator",
                read=_read_grid,
                reads=("transform_type", "target_shape"),
                direction="read",
                cases=(
                    Case("affine grid", (_THETA,), _AFFINE, dynamic=(0,)),
                    Case("warp", (arr(2, 2, 4, 3),), {"transform_type": "warp"}),
                ),
            ),
            MxForm(
                "SpatialTransformer",
                read=_read_transformer,
                reads=("target_shape", "transform_type", "sampler_type"),
                ignore=("cudnn_off",),
                direction="read",
                cases=(Case("affine", (_IMAGE, _THETA), {**_AFFINE, "sampler_type": "bilinear"}, dynamic=(0, 1)),),
            ),
        ),
        limits=tuple(
            Limit(claim, "MXNet's GridGenerator computes in float32 only", case)
            for claim in ("read-float64", "read-backward")
            for case in ("affine grid", "warp")
        ),
    ),
)
