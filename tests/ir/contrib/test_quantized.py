"""ONNX Runtime's quantized operators compute the same out of ONNX's own; a number between two steps may fall to either.

The kernels fold scales into one factor, whose rounding decides such cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contribruns import assert_expanded_alike, contrib_model, expanded, run_expanded

RNG = np.random.default_rng(13)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def whole(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


def scale(number: float) -> np.ndarray:
    return np.array(number, np.float32)


def zero(number: int, dtype: type = np.uint8) -> np.ndarray:
    return np.array(number, dtype)


A = [whole(2, 3, 4, 5), scale(0.03), zero(120)]
B = [whole(2, 3, 4, 5), scale(0.05), zero(100)]
S = [whole(2, 3, 4, 5, dtype=np.int8), scale(0.03), zero(-3, np.int8)]
Y = [scale(0.04), zero(90)]
Z = [scale(0.04), zero(9, np.int8)]


@pytest.mark.parametrize(
    ("op", "inputs", "attrs"),
    [
        ("QLinearAdd", [*A, *B, *Y], {}),
        ("QLinearAdd", [*A, whole(1, 3, 1, 1), scale(0.05), zero(7), *Y], {}),
        ("QLinearMul", [*A, *B, *Y], {}),
        ("QLinearMul", [*S, *S, *Z], {}),
        ("QLinearSigmoid", [*A, scale(1 / 256), zero(0)], {}),
        ("QLinearLeakyRelu", [*A, *Y], {"alpha": 0.2}),
        ("QLinearAveragePool", [*A, *Y], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("QLinearAveragePool", [*S, *Z], {"kernel_shape": [2, 3], "strides": [2, 1]}),
        ("QLinearAveragePool", [*A, *Y], {"kernel_shape": [2, 2], "channels_last": 1}),
        ("QLinearGlobalAveragePool", [*A, *Y], {"channels_last": 0}),
        ("QLinearGlobalAveragePool", [*A, *Y], {"channels_last": 1}),
        ("QLinearSoftmax", [*A, scale(1 / 256), zero(0)], {"axis": -1, "opset": 13}),
        ("QLinearSoftmax", [*A, scale(1 / 256), zero(0)], {"axis": 2, "opset": 12}),
        ("QLinearConcat", [*Y, *A, *B, *A], {"axis": 1}),
        ("QLinearWhere", [RNG.random((2, 3, 4, 5)) < 0.5, *A, *B, *Y], {}),
    ],
)
def test_elementwise(op: str, inputs: list[np.ndarray], attrs: dict[str, Any]) -> None:
    dtype = inputs[-1].dtype.type if op != "QLinearConcat" else np.uint8
    scales = [place for place, array in enumerate(inputs) if array.ndim == 0]
    assert_expanded_alike(op, inputs, attrs, outputs=(dtype,), const=scales, steps=1)


def test_a_mean_is_quantized_again() -> None:
    """ONNX Runtime has a kernel on GPUs only."""
    model, feeds = contrib_model(
        "QLinearReduceMean", [*A, *Y], {"axes": [1, 2], "keepdims": 0}, outputs=(np.uint8,), const=(1, 2, 3, 4)
    )
    (found,) = run_expanded(expanded(model), feeds, "ort").values()
    mean = ((A[0].astype(np.float64) - 120) * 0.03).mean((1, 2))
    assert np.abs(found - (mean / 0.04 + 90)).max() <= 0.501


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantizing_of_another_domain(dtype: type) -> None:
    x = floats(2, 3, 4) * 3
    assert_expanded_alike("QuantizeLinear", [x, scale(0.03), zero(5, dtype)], outputs=(dtype,), const=(1, 2))
    assert_expanded_alike("DequantizeLinear", [whole(2, 3, dtype=dtype), scale(0.03), zero(5, dtype)], const=(1, 2))


LEFT, RIGHT = whole(3, 4), whole(4, 5, dtype=np.int8)
SCALES = RNG.uniform(0.01, 0.1, 5).astype(np.float32)
BIAS = floats(5)
TURNED, SUMMAND = whole(5, 4, dtype=np.int8), whole(5, dtype=np.int32) // 2**20


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "dtype"),
    [
        ("DynamicQuantizeMatMul", [floats(3, 4), RIGHT, scale(0.03), zero(3, np.int8), BIAS], {}, np.float32),
        ("DynamicQuantizeMatMul", [floats(2, 3, 4), RIGHT, SCALES], {}, np.float32),
        ("MatMulIntegerToFloat", [LEFT, RIGHT, scale(0.02), scale(0.03), zero(9), zero(2, np.int8)], {}, np.float32),
        ("MatMulIntegerToFloat", [LEFT, RIGHT, scale(0.02), SCALES, zero(9), None, BIAS], {}, np.float32),
        ("QGemm", [LEFT, scale(0.02), zero(9), RIGHT, scale(0.03), zero(2, np.int8)], {}, np.float32),
        (
            "QGemm",
            [LEFT, scale(0.02), zero(9), TURNED, SCALES, np.zeros(5, np.int8), SUMMAND],
            {"transB": 1, "alpha": 0.5},
            np.float32,
        ),
        ("QGemm", [LEFT, scale(0.02), zero(9), RIGHT, scale(0.03), zero(2, np.int8), None, *Y], {}, np.uint8),
    ],
)
def test_products(op: str, inputs: list[np.ndarray | None], attrs: dict[str, Any], dtype: type) -> None:
    assert_expanded_alike(op, inputs, attrs, outputs=(dtype,), const=range(1, len(inputs)), steps=1)


def test_quantized_attention() -> None:
    inputs = [whole(2, 3, 6), whole(6, 24, dtype=np.int8), floats(24), scale(0.02), scale(0.01)]
    mask, zeros = np.array([2, 3], np.int32), [zero(120), zero(0, np.int8)]
    assert_expanded_alike("QAttention", [*inputs, mask, *zeros], {"num_heads": 2}, const=(1, 2, 3, 4, 6, 7))


@pytest.mark.parametrize(("bits", "inputs", "block"), [(4, 64, 32), (4, 48, 32), (8, 64, 32), (2, 64, 16)])
@pytest.mark.parametrize("zeros", ["none", "packed", "floats"])
def test_weights_of_few_bits(bits: int, inputs: int, block: int, zeros: str) -> None:
    if zeros == "floats" and (inputs % block or bits != 4):
        pytest.skip("ONNX Runtime takes zero points that are floats for full blocks of 4 bits")
    outputs, blocks = 6, -(-inputs // block)
    packed = whole(outputs, blocks, block * bits // 8)
    operands = [floats(3, inputs), packed, RNG.uniform(0.01, 0.1, (outputs, blocks)).astype(np.float32), None, None]
    if zeros == "packed":
        operands[3] = whole(outputs, -(-blocks * bits // 8))
    elif zeros == "floats":
        operands[3] = RNG.uniform(5, 9, (outputs, blocks)).astype(np.float32)
    attrs = {"K": inputs, "N": outputs, "bits": bits, "block_size": block}
    assert_expanded_alike("MatMulNBits", operands, attrs, const=(1, 2, 3), tol=1e-5)


def test_rows_of_a_table_of_few_bits() -> None:
    inputs = [whole(9, 16), np.array([[1, 3], [8, 0]]), RNG.uniform(0.01, 0.1, (9, 2)).astype(np.float32)]
    attrs = {"bits": 4, "block_size": 16, "gather_axis": 0, "quantize_axis": 1}
    assert_expanded_alike("GatherBlockQuantized", inputs, attrs, const=(0, 2), on=("ort", "torch"))
