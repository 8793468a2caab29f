"""The operators that correct the reference evaluator compute what ONNX Runtime does."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from graphkit.frameworks.onnx.corrections import CORRECTIONS


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def agree(op: str, data: np.ndarray, *stored: np.ndarray, kind: int = onnx.TensorProto.FLOAT, **attrs: Any) -> None:
    names = [f"w{number}" for number in range(len(stored))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], **attrs)],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, data.shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(array, name) for name, array in zip(names, stored, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": data})
    (found,) = ReferenceEvaluator(model, new_ops=CORRECTIONS).run(None, {"x": data})
    assert found.shape == expected.shape, attrs
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=str(attrs))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_pooling_in_every_position(op: str) -> None:
    for size, taps, stride, dilation, ceil in product((5, 6), (1, 2, 3), (1, 2, 3), (1, 2), (0, 1)):
        for pads in ([0, 0], [1, 0], [1, 1]):
            if max(pads) < taps:
                counted = ({"count_include_pad": 1}, {}) if op == "AveragePool" else ({},)
                for more in counted:
                    window = {"kernel_shape": [taps], "strides": [stride], "dilations": [dilation], "pads": pads}
                    agree(op, drawn(1, 2, size), **window, ceil_mode=ceil, **more)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_pooling_with_automatic_padding(op: str, auto_pad: str) -> None:
    for size, stride in product((5, 6, 7), (1, 2)):
        agree(op, drawn(1, 1, size, 5), auto_pad=auto_pad, kernel_shape=[3, 2], strides=[stride, 1])


@pytest.mark.parametrize("group", [1, 2])
def test_transposed_convolution(group: int) -> None:
    weight, bias = drawn(4, 3, 3), drawn(3 * group)
    for stride, dilation, pads in product((1, 2, 3), (1, 2), ([0, 0], [1, 0], [1, 1])):
        step = {"strides": [stride], "dilations": [dilation], "group": group}
        agree("ConvTranspose", drawn(2, 4, 5), weight, bias, pads=pads, **step)
        agree("ConvTranspose", drawn(2, 4, 5), weight, bias, output_padding=[stride - 1], **step)
    for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        agree("ConvTranspose", drawn(2, 4, 5), weight, bias, auto_pad=auto_pad, strides=[2], group=group)
        agree(
            "ConvTranspose", drawn(2, 4, 5), weight, bias, output_shape=[9], auto_pad=auto_pad, strides=[2], group=group
        )


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_global_pooling(rank: int) -> None:
    data = drawn(2, 3, *range(2, rank))
    agree("GlobalMaxPool", data)
    for p in (1, 2, 3):
        agree("GlobalLpPool", data, p=p)


def test_normalisations() -> None:
    agree("LRN", drawn(2, 5, 3, 2), size=3, alpha=0.5, beta=0.25, bias=1.5)
    agree("GroupNormalization", drawn(2, 4, 3), drawn(4), drawn(4), num_groups=2)
    agree("MeanVarianceNormalization", drawn(2, 3, 4, 5))
    for p, axis in product((1, 2), (1, -1)):
        agree("LpNormalization", drawn(2, 3, 4), p=p, axis=axis)
    agree("LpNormalization", np.zeros((2, 3), np.float32))


def test_resizing_axes_counted_from_behind() -> None:
    none = np.zeros(0, np.float32)
    agree("Resize", drawn(1, 2, 3, 4), none, none, np.asarray([5, 6]), axes=[-1, -2], mode="nearest")


def test_pooling_of_regions() -> None:
    rng = np.random.default_rng(3)
    regions = np.hstack([rng.integers(0, 2, (9, 1)), rng.uniform(-4, 22, (9, 4))]).astype(np.float32)
    for scale, bins in product((0.5, 1.0), ((1, 1), (2, 3), (5, 4))):
        agree("MaxRoiPool", drawn(2, 3, 9, 8), regions, pooled_shape=bins, spatial_scale=scale)


@pytest.mark.parametrize("center", [0, 1])
def test_suppression_of_boxes(center: int) -> None:
    rng = np.random.default_rng(5)
    boxes = rng.uniform(0 if center else -1, 1, (2, 12, 4)).astype(np.float32)
    scores = rng.integers(0, 5, (2, 3, 12)).astype(np.float32)
    limits = [np.asarray([7], np.int64), np.asarray([0.2], np.float32), np.asarray([1.0], np.float32)]
    named: Any = {"center_point_box": center, "kind": onnx.TensorProto.INT64}
    for count in (1, 2, 3):
        agree("NonMaxSuppression", boxes, scores, *limits[:count], **named)
    agree("NonMaxSuppression", boxes, scores, np.asarray(2, np.int64), *limits[1:], **named)


@pytest.mark.parametrize("aligned", [0, 1])
def test_sampling_of_images(aligned: int) -> None:
    places = np.random.default_rng(7).uniform(-1.6, 1.6, (2, 3, 4, 2)).astype(np.float32)
    for padding in ("zeros", "border"):
        agree("GridSample", drawn(2, 3, 5, 6), places, padding_mode=padding, align_corners=aligned)
    agree("AffineGrid", drawn(2, 2, 3), np.asarray([2, 1, 4, 5]), align_corners=aligned)
    agree("AffineGrid", drawn(2, 3, 4), np.asarray([2, 1, 4, 5, 3]), align_corners=aligned)
