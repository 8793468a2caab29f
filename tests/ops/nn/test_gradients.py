"""Gradient graphs of layers against torch's own gradients, over more settings than the rooms' cases."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own spelling

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_kind
from graphkit.passes.gradient.model import gradient_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RNG = np.random.default_rng(5)


def drawn(*shape: int, dtype: str = "float64") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def gradients(
    op: str,
    operands: Sequence[np.ndarray],
    attrs: Mapping[str, Any],
    seed: np.ndarray,
    runtime: str = "reference",
    free: Sequence[int] = (),
    *,
    stored: bool = False,
) -> list[np.ndarray]:
    """The gradients of one node in all of its operands.

    Args:
        op: The operator.
        operands: The node's inputs.
        attrs: Its attributes.
        seed: The cotangent of its output.
        runtime: What computes the gradient graph.
        free: Axes of the first operand that have no size in the model.
        stored: Whether the other operands are parameters of the model.
    """
    values: list[ir.Value] = []
    for number, array in enumerate(operands):
        if stored and number:
            values.append(ir.Value(name=f"x{number}", const_value=ir.tensor(array, name=f"x{number}")))
            set_kind(values[-1], "parameter")
            continue
        dims = [f"d{number}{axis}" if axis in free and number == 0 else size for axis, size in enumerate(array.shape)]
        kind = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        values.append(ir.Value(name=f"x{number}", type=kind, shape=ir.Shape(dims)))
    node = ir.node(op, values, dict(attrs), name="node")
    node.outputs[0].name = "y"
    node.outputs[0].type = values[0].type
    inputs, held = (values[:1], values[1:]) if stored else (values, [])
    graph = ir.Graph(inputs, node.outputs, nodes=[node], initializers=held, opset_imports={"": 23}, name="one")
    model = canonical(ir.Model(graph, ir_version=11))
    feeds = {value.name: array for value, array in zip(inputs, operands, strict=False)}
    with runtimes()[runtime].open(model) as session:
        found = session.backward(feeds, {"y": seed})
    return [found[f"x{number}"] for number in range(len(operands))]


def expected(
    function: Callable[..., torch.Tensor], operands: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A cotangent of what a torch function gives, and its gradients in all operands."""
    tensors = [torch.from_numpy(array).requires_grad_(True) for array in operands]
    result = function(*tensors)
    seed = drawn(*result.shape, dtype=str(operands[0].dtype))
    return seed, [each.numpy() for each in torch.autograd.grad(result, tensors, torch.from_numpy(seed))]


def assert_equal(found: Sequence[np.ndarray], right: Sequence[np.ndarray], tol: float = 1e-11) -> None:
    for one, other in zip(found, right, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert np.abs(one - other).max() <= tol * np.abs(other).max()


CONVOLUTIONS = list(itertools.product((1, 3), (1, 2), ((1, 1, 0), (2, 1, 1), (1, 2, 2), (3, 2, 1))))


@pytest.mark.parametrize("stored", [False, True], ids=["fed", "stored"])
@pytest.mark.parametrize("free", [(), (0,), (0, 2, 3)], ids=["fixed", "free batch", "free size"])
@pytest.mark.parametrize(("kernel", "group", "moves"), CONVOLUTIONS)
def test_gradients_of_convolution_are_torchs(
    kernel: int, group: int, moves: tuple[int, int, int], free: tuple[int, ...], *, stored: bool
) -> None:
    stride, dilation, pad = moves
    operands = drawn(2, 4, 9, 8), drawn(6, 4 // group, kernel, kernel), drawn(6)
    attrs = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": [pad] * 4, "group": group}
    seed, right = expected(lambda x, w, b: F.conv2d(x, w, b, stride, pad, dilation, group), operands)
    assert_equal(gradients("Conv", operands, attrs, seed, free=free, stored=stored), right)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("channels", "group"), [(32, 1), (32, 2), (4, 4), (16, 1)])
def test_gradients_in_filters_do_not_depend_on_how_images_are_multiplied(batch: int, channels: int, group: int) -> None:
    """Many channels on few elements, and few on many, take different products."""
    operands = drawn(batch, channels, 4, 3), drawn(2 * channels, channels // group, 3, 3)
    seed, right = expected(lambda x, w: F.conv2d(x, w, None, 1, 1, 1, group), operands)
    for runtime, tol, dtype in (("reference", 1e-11, "float64"), ("ort", 1e-5, "float32")):
        given = [array.astype(dtype) for array in (*operands, seed)]
        found = gradients("Conv", given[:2], {"pads": [1] * 4, "group": group}, given[2], runtime)
        assert_equal(found, [array.astype(dtype) for array in right], tol)


@pytest.mark.parametrize("free", [(), (0,), (0, 2, 3)], ids=["fixed", "free batch", "free size"])
@pytest.mark.parametrize(
    ("stride", "pad", "more", "dilation", "group"),
    [(1, 0, 0, 1, 1), (2, 1, 1, 1, 2), (3, 2, 0, 2, 1), (2, 0, 1, 1, 4), (1, 2, 0, 2, 2)],
)
def test_gradients_of_transposed_convolution_are_torchs(
    stride: int, pad: int, more: int, dilation: int, group: int, free: tuple[int, ...]
) -> None:
    operands = drawn(2, 4, 5, 4), drawn(4, 3, 3, 3), drawn(3 * group)
    seed, right = expected(lambda x, w, b: F.conv_transpose2d(x, w, b, stride, pad, more, group, dilation), operands)
    attrs = {"strides": [stride] * 2, "pads": [pad] * 4, "output_padding": [more] * 2, "dilations": [dilation] * 2}
    assert_equal(gradients("ConvTranspose", operands, {**attrs, "group": group}, seed, free=free), right)


@pytest.mark.parametrize("runtime", ["reference", "ort"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "dilation", "ceil"),
    [(2, 2, 0, 1, False), (3, 1, 1, 1, False), (3, 2, 1, 1, True), (3, 2, 1, 2, False), (2, 3, 0, 1, True)],
)
def test_of_equal_maxima_the_one_that_torch_takes_gets_the_gradient(
    kernel: int, stride: int, pad: int, dilation: int, ceil: bool, runtime: str
) -> None:
    """The first in the window, in the order of rows."""
    x = RNG.integers(-2, 1, (2, 3, 7, 8)).astype("float32")
    seed, right = expected(lambda x: F.max_pool2d(x, kernel, stride, pad, dilation, ceil), [x])
    attrs = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "dilations": [dilation] * 2}
    assert_equal(gradients("MaxPool", [x], {**attrs, "ceil_mode": int(ceil)}, seed, runtime, free=(0,)), right, 1e-6)


@pytest.mark.parametrize("runtime", ["reference", "ort"])
def test_of_equal_maxima_of_all_the_first_gets_the_gradient(runtime: str) -> None:
    x = RNG.integers(0, 2, (2, 3, 4, 5)).astype("float32")
    seed, right = expected(lambda x: F.adaptive_max_pool2d(x, 1), [x])
    assert_equal(gradients("GlobalMaxPool", [x], {}, seed, runtime, free=(0,)), right)


@pytest.mark.parametrize("free", [(0,), (0, 2, 3)], ids=["free batch", "free size"])
@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize(("kernel", "stride", "pad", "ceil"), [(2, 2, 0, 0), (3, 2, 1, 0), (3, 2, 1, 1), (3, 1, 1, 0)])
def test_gradients_of_average_pooling_are_torchs(
    kernel: int, stride: int, pad: int, ceil: int, include: int, free: tuple[int, ...]
) -> None:
    x = drawn(2, 3, 8, 9)
    seed, right = expected(lambda x: F.avg_pool2d(x, kernel, stride, pad, bool(ceil), bool(include)), [x])
    attrs = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
    found = gradients("AveragePool", [x], {**attrs, "ceil_mode": ceil, "count_include_pad": include}, seed, free=free)
    assert_equal(found, right)


def test_gradients_of_normalisations_hold_where_the_data_lies_far_from_zero() -> None:
    """In float32, against torch in float64: an offset of a thousand deviations costs digits, but not all of them."""
    x, scale, bias = drawn(4, 6, 5, 5) + 1000, drawn(6), drawn(6)
    seed, right = expected(lambda x, s, b: F.group_norm(x, 3, s, b), [x, scale, bias])
    given = [array.astype("float32") for array in (x, scale, bias, seed)]
    found = gradients("GroupNormalization", given[:3], {"num_groups": 3}, given[3], "ort")
    assert_equal(found, [array.astype("float32") for array in right], 2e-3)


def test_windows_of_zeros_give_p_norm_pooling_no_gradient() -> None:
    x = drawn(1, 2, 4, 4)
    x[:, :, :2, :2] = 0
    seed, right = expected(lambda x: F.lp_pool2d(x, 2, 2), [x])
    assert np.isfinite(right[0]).all()
    assert_equal(gradients("LpPool", [x], {"kernel_shape": [2, 2], "strides": [2, 2]}, seed), right)


def test_gradients_pass_dropout_by_its_own_mask() -> None:
    text = """
        <ir_version: 11, opset_import: ["": 23]> one (float[64, 64] x) => (float[64, 64] y)
        <float ratio = {0.25}, bool training = {1}> { y = Dropout<seed = 3> (x, ratio, training) }
    """
    ones = np.ones((64, 64), np.float32)
    with runtimes()["ort"].open(gradient_model(ir.from_onnx_text(text)), native=False) as session:
        found = session.forward({"x": ones, "y.grad": ones})
    assert 0.15 < (found["y"] == 0).mean() < 0.35
    np.testing.assert_allclose(found["x.grad"], found["y"], rtol=1e-6)


def test_batch_normalisation_in_training_form_is_refused() -> None:
    text = """
        <ir_version: 11, opset_import: ["": 23]>
        one (float[2, 3, 4] x, float[3] s, float[3] b, float[3] m, float[3] v) => (float[2, 3, 4] y)
        { y, mean, var = BatchNormalization<training_mode = 1> (x, s, b, m, v) }
    """
    with pytest.raises(UnsupportedError, match="it is in training form"):
        gradient_model(ir.from_onnx_text(text))
