"""Element types of few bits in torch source: what casts to them round to, and how weights of them are kept."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import Case, proto_of

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.dtypes import DTYPES

pytest.importorskip("torch")
from safetensors import safe_open  # it needs torch

from graphkit.frameworks.base import WriteOptions
from graphkit.frameworks.torch import FRAMEWORK

EDGES = np.float32([0, -0.0, 0.3, 1.0625, 1.1875, -3.5, 240, 247, 249, 448, 463, 464, 465, 57344, 61439, 1e6, -1e6])
SPECIAL = np.float32([np.inf, -np.inf, np.nan])
ALL = np.concatenate([EDGES, SPECIAL])


def _cast(x, to: ir.DataType, **attrs):
    given = "".join(
        f', {name}="{value}"' if isinstance(value, str) else f", {name}={value}" for name, value in attrs.items()
    )
    kind = ir.DataType.from_numpy(x.dtype)
    names = {ir.DataType.FLOAT: "float", ir.DataType.DOUBLE: "double"}
    text = [names.get(dtype, dtype.name.lower()) for dtype in (kind, to)]
    case = Case("", range(0), f"{text[0]}[{x.size}] x", f"y = Cast<to={int(to)}{given}>(x)", f"{text[1]}[{x.size}] y")
    model = canonical(ir.serde.deserialize_model(proto_of(case, 25)))
    with runtimes()["torch"].open(model, native=False) as session:
        return session.forward({"x": x})["y"]


FLOAT8 = [ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E4M3FNUZ, ir.DataType.FLOAT8E5M2, ir.DataType.FLOAT8E5M2FNUZ]


@pytest.mark.parametrize("to", FLOAT8, ids=lambda to: to.name)
@pytest.mark.parametrize("own", [np.float32, np.float16])
def test_casts_to_floats_of_8_bits_saturate_or_overflow_as_asked(to, own):
    dtype = to.numpy()
    largest = float(ml_dtypes.finfo(dtype).max)
    x = ALL.astype(own) if own is np.float32 else ALL[np.abs(ALL) != 1e6].astype(own)
    saturated = np.clip(x, own(-largest), own(largest)).astype(dtype)
    np.testing.assert_array_equal(_cast(x, to).astype(np.float32), saturated.astype(np.float32))
    np.testing.assert_array_equal(_cast(x, to, saturate=0).astype(np.float32), x.astype(dtype).astype(np.float32))


@pytest.mark.parametrize("to", FLOAT8, ids=lambda to: to.name)
def test_all_floats_of_8_bits_come_back(to):
    x = np.arange(256, dtype=np.uint8).view(to.numpy())
    np.testing.assert_array_equal(_cast(x, ir.DataType.FLOAT), x.astype(np.float32))


@pytest.mark.parametrize(("to", "bits"), [("INT4", 4), ("UINT4", 4), ("INT2", 2), ("UINT2", 2)])
@pytest.mark.parametrize("own", ["int8", "uint8", "int32", "int64", "float32"])
def test_casts_to_few_bits_keep_the_lowest(to, bits, own):
    low = 0 if own == "uint8" else -20
    x = np.arange(low, 20).astype(own)
    kept = x.astype(np.int64) & (2**bits - 1)
    expected = kept - 2**bits * (kept >= 2 ** (bits - 1)) if to.startswith("I") else kept
    found = _cast(x, ir.DataType[to])
    assert found.dtype == ir.DataType[to].numpy()
    np.testing.assert_array_equal(found.astype(np.int64), expected)


def test_floats_of_4_bits_are_the_nearest_with_ties_to_even():
    x = np.arange(-60, 61, dtype=np.float32) / 8
    found = _cast(x, ir.DataType.FLOAT4E2M1).astype(np.float32)
    np.testing.assert_array_equal(found, x.astype(ml_dtypes.float4_e2m1fn).astype(np.float32))


@pytest.mark.parametrize(
    ("rounding", "saturate", "expected"),
    [
        ("up", 1, [2.0**-127, 1, 2, 2, 2, 4, 2.0**127, 2.0**127]),
        ("down", 1, [2.0**-127, 1, 1, 1, 1, 2, 2.0**127, 2.0**127]),
        ("nearest", 1, [2.0**-127, 1, 1, 2, 2, 4, 2.0**127, 2.0**127]),
        ("nearest", 0, [np.nan, 1, 1, 2, 2, 4, np.nan, np.nan]),
    ],
)
def test_powers_of_two_are_rounded_as_asked(rounding, saturate, expected):
    x = np.float32([0, 1, 1.25, 1.5, 1.75, 3, 3e38, np.inf])
    found = _cast(x, ir.DataType.FLOAT8E8M0, round_mode=rounding, saturate=saturate)
    np.testing.assert_array_equal(found.astype(np.float32), np.float32(expected))


@pytest.mark.parametrize(
    "dtype", [row for row in DTYPES if row.torch not in (None, row.name)], ids=lambda row: row.name
)
def test_weights_of_few_bits_are_kept_in_what_holds_them(dtype, tmp_path):
    numbers = np.array([[1, 0], [1, 1]], np.int8).astype(dtype.numpy)
    weight = ir.val("w", const_value=ir.tensor(numbers, dtype=dtype.onnx))
    node = ir.node("Cast", [weight], {"to": ir.DataType.FLOAT}, num_outputs=1)
    shifted = ir.node("Add", [node.outputs[0], ir.val("x", ir.DataType.FLOAT, [2, 2])])
    shifted.outputs[0].name = "y"
    graph = ir.Graph(
        [shifted.inputs[1]], shifted.outputs, nodes=[node, shifted], initializers=[weight], opset_imports={"": 25}
    )
    model = canonical(ir.Model(graph, ir_version=11))
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.forward({"x": np.zeros((2, 2), np.float32)})["y"]
    np.testing.assert_array_equal(found, numbers.astype(np.float32))
    assert FRAMEWORK.write is not None
    FRAMEWORK.write(model, tmp_path / "net", WriteOptions())
    with safe_open(tmp_path / "net" / "model.safetensors", "pt") as weights:
        held = [weights.get_tensor(key) for key in weights.keys()]  # noqa: SIM118  # it is no dictionary
    for tensor in held:
        np.testing.assert_array_equal(tensor.float().numpy().reshape(-1), numbers.astype(np.float32).reshape(-1))
