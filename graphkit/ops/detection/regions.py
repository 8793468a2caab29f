"""Pooling of regions of interest: average of interpolated samples (ROIAlign), maximum of whole pixels (ROIPooling).

A row of MXNet's regions is (image, x1, y1, x2, y2); ONNX's RoiAlign takes the images apart, as integers. Where an image
number is negative, MXNet's ROIPooling gives zeros. Its ROIAlign leaves what was in memory, on CPUs in rows of other
regions as well; what is read gives what these have without it, and the first image's there. MXNet has no gradient with
respect to the regions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, FLOAT, ints
from graphkit.ops.detection.boxes import scaled
from graphkit.ops.detection.grad_regions import align_gradient, pool_gradient
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, int64, torch_float
from graphkit.ops.tensor.sizes import as_int64, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _read_align(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, regions = some(x[0]), some(x[1])
    height, width = _pair(node)
    if b.shape(regions)[-1] == 4:
        zeros = ir.tensor(np.zeros(1, np.int64))
        images = b.op("ConstantOfShape", b.op("Shape", regions, start=0, end=1), value=zeros)
    else:
        number, regions = b.ops("Split", 2, regions, [1, 4], axis=1)
        images = b.op("Max", as_int64(b, b.op("Squeeze", number, [1])), np.asarray(0))
    pooled = b.op(
        "RoiAlign",
        data,
        regions,
        images,
        output_height=height,
        output_width=width,
        sampling_ratio=max(int(node.attrs.get("sample_ratio", "-1")), 0),
        spatial_scale=FLOAT.parse(node.attrs["spatial_scale"]),
        coordinate_transformation_mode=None if _flag(node, "aligned") else "output_half_pixel",
    )
    if not _flag(node, "position_sensitive"):
        return pooled
    return _own_bins(b, pooled, height, width)


def _own_bins(b: OnnxBuilder, pooled: ir.Value, height: int, width: int) -> ir.Value:
    """Of channels that come in groups of one per bin, the bin that each is meant for."""
    bins = height * width
    apart = b.op("Reshape", pooled, [0, -1, bins, bins])
    own = b.op("Mul", apart, np.eye(bins, dtype=b.dtype(pooled)))
    return b.op("Reshape", b.op("ReduceSum", own, [3], keepdims=0), [0, 0, height, width])


def _flag(node: MxNode, name: str) -> bool:
    return bool(BOOL.parse(node.attrs.get(name, "False")))


def _pair(node: MxNode) -> tuple[int, int]:
    size = ints(node.attrs["pooled_size"])
    if len(size) not in (1, 2):
        raise ValueError(f"pooled_size {node.attrs['pooled_size']} is not a height and a width")
    return size[0], size[-1]


def _write_align(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, regions, images = some(x[0]), some(x[1]), some(x[2])
    attrs = node.attributes
    if attrs.get_string("mode", "avg") != "avg":
        return Refusal("mode=max takes the largest sample of a bin, and MXNet's ROIAlign averages them")
    dtype = b.dtype(some(node.inputs[1]))
    regions, scale = scaled(b, some(node.inputs[1]), regions, attrs.get_float("spatial_scale", 1.0), (True,) * 4)
    column = b.op("expand_dims", b.op("Cast", images, dtype=dtype.name), axis=1)
    return b.op(
        "_contrib_ROIAlign",
        data,
        b.op("Concat", column, regions, dim=1, num_args=2),
        pooled_size=(attrs.get_int("output_height", 1), attrs.get_int("output_width", 1)),
        spatial_scale=scale,
        sample_ratio=attrs.get_int("sampling_ratio", 0) or -1,
        aligned=attrs.get_string("coordinate_transformation_mode", "half_pixel") == "half_pixel" or None,
    )


def _read_pool(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    regions = some(x[1])
    number, corners = b.ops("Split", 2, regions, [1, 4], axis=1)
    whole = b.op("Cast", as_int64(b, number), to=ir.DataType.from_numpy(b.dtype(regions)))
    inside = b.op("Concat", b.op("Max", whole, b.scalar(0.0, whole)), corners, axis=1)
    pooled = b.op(
        "MaxRoiPool",
        x[0],
        inside,
        pooled_shape=_pair(node),
        spatial_scale=FLOAT.parse(node.attrs["spatial_scale"]),
    )
    nowhere = b.op("Unsqueeze", b.op("Less", whole, b.scalar(0.0, whole)), [2, 3])
    return b.op("Where", nowhere, b.scalar(0.0, pooled), pooled)


def _torch_align(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    attrs = node.attributes
    scale = torch_float(node, "spatial_scale", 1.0)
    half_pixel = attrs.get_string("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    return b.call(
        "roi_align" if attrs.get_string("mode", "avg") == "avg" else "roi_align_max",
        *x,
        (attrs.get_int("output_height", 1), attrs.get_int("output_width", 1)),
        scale=None if scale == 1 else scale,
        samples=attrs.get_int("sampling_ratio", 0) or None,
        aligned=None if half_pixel else False,
    )


def _torch_pool(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    scale = torch_float(node, "spatial_scale", 1.0)
    size = tuple(node.attributes.get_ints("pooled_shape", []))
    return b.call("roi_max_pool", *x, size, scale=None if scale == 1 else scale)


def _write_pool(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    given_scale = node.attributes.get_float("spatial_scale", 1.0)
    regions, scale = scaled(b, some(node.inputs[1]), some(x[1]), given_scale, (False, True, True, True, True))
    return b.ops(
        "ROIPooling",
        2,
        some(x[0]),
        regions,
        pooled_size=tuple(node.attributes.get_ints("pooled_shape")),
        spatial_scale=scale,
    )[0]


_IMAGES = arr(2, 3, 8, 9)
_REGIONS = given([[0.5, 0.3, 0.4, 11.2, 9.1], [1.5, 3.3, 2.2, 17.2, 30.0], [1.5, -4.0, -6.1, 5.5, 3.2]], "float32")
_SMALL = given([[0.5, 5.1, 5.2, 5.3, 5.4], [1.5, 7.3, 2.2, 5.9, 3.1]], "float32")
_CORNERS = given([[0.3, 0.4, 5.2, 4.1], [2.3, 1.2, 7.9, 6.8], [-3.0, -2.1, 3.5, 3.2]], "float32")
_NUMBERS = int64([0, 1, 1])
_HALF = {"pooled_size": (2, 3), "spatial_scale": 0.5}
_BINS = {"output_height": 2, "output_width": 3}


def _regions(name: str, regions: object = _CORNERS, numbers: object = _NUMBERS, **attrs: object) -> Case:
    assert isinstance(regions, type(_CORNERS))
    assert isinstance(numbers, type(_NUMBERS))
    return Case(name, (_IMAGES, regions, numbers), {**_BINS, **attrs}, const=(1, 2), buffers=(1,))


OPS = (
    Op(
        "RoiAlign",
        mx=(
            MxForm(
                "_contrib_ROIAlign",
                read=_read_align,
                reads=("pooled_size", "spatial_scale", "sample_ratio", "position_sensitive", "aligned"),
                write=_write_align,
                cases=(
                    Case("adaptive", (_IMAGES, _REGIONS), _HALF, grad=False),
                    Case("two samples", (_IMAGES, _REGIONS), {**_HALF, "sample_ratio": 2}, grad=False, dynamic=(0,)),
                    Case("tiny", (_IMAGES, _SMALL), {**_HALF, "sample_ratio": 2}, grad=False),
                    Case("aligned", (_IMAGES, _REGIONS), {**_HALF, "aligned": True}, grad=False),
                    Case(
                        "position sensitive",
                        (arr(2, 12, 8, 9), _REGIONS),
                        {"pooled_size": (2, 3), "spatial_scale": 0.5, "position_sensitive": True},
                        grad=False,
                    ),
                ),
            ),
        ),
        torch=_torch_align,
        gradient=align_gradient,
        cases=(
            _regions("aligned"),
            _regions("as before", coordinate_transformation_mode="output_half_pixel"),
            _regions("two samples", sampling_ratio=2, spatial_scale=0.5),
            _regions("enlarged", sampling_ratio=2, spatial_scale=1.25),
            Case("fed", (_IMAGES, _CORNERS, _NUMBERS), _BINS, grad=False, dynamic=(0,)),
            _regions("largest", mode="max"),
            _regions("largest of two samples", mode="max", sampling_ratio=2, spatial_scale=0.5),
            _regions("largest as before", mode="max", coordinate_transformation_mode="output_half_pixel"),
        ),
        limits=tuple(
            Limit(claim, "MXNet's ROIAlign averages samples", case)
            for claim in ("schema", "mxnet", "mxnet-float64", "mxnet-backward", "round-trip")
            for case in ("largest", "largest of two samples", "largest as before")
        ),
    ),
    Op(
        "MaxRoiPool",
        mx=(
            MxForm(
                "ROIPooling",
                read=_read_pool,
                reads=("pooled_size", "spatial_scale"),
                write=_write_pool,
                cases=(
                    Case("regions", (_IMAGES, _REGIONS), _HALF),
                    Case("tiny", (_IMAGES, _SMALL), _HALF),
                    Case(
                        "no image",
                        (_IMAGES, given([[-1, 0.3, 0.4, 11.2, 9.1], [1, 3.3, 2.2, 17.0, 12.0]], "float32")),
                        _HALF,
                        grad=False,
                    ),
                ),
            ),
        ),
        torch=_torch_pool,
        gradient=pool_gradient,
        cases=(
            Case("regions", (_IMAGES, _REGIONS), {"pooled_shape": [2, 3], "spatial_scale": 0.5}, dynamic=(0,)),
            Case("tiny", (_IMAGES, _SMALL), {"pooled_shape": [2, 2]}),
            Case("enlarged", (_IMAGES, _SMALL), {"pooled_shape": [2, 2], "spatial_scale": 1.25}, grad=False),
        ),
    ),
)
