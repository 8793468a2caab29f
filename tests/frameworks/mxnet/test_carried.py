"""Element types that MXNet lacks compute what they would."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from graphkit.errors import FeedError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical

Array = np.ndarray[Any, Any]
needs_mxnet = pytest.mark.skipif(runtimes()["mxnet"].missing() is not None, reason="MXNet does not run here")


def _model(op: str, *inputs: Array, gives: int | None = None, **attrs: object) -> ir.Model:
    names = [f"x{number}" for number in range(len(inputs))]
    kinds = [int(ir.DataType.from_numpy(array.dtype)) for array in inputs]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attrs)],
        "one",
        [
            helper.make_tensor_value_info(name, kind, array.shape)
            for name, kind, array in zip(names, kinds, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("y", kinds[0] if gives is None else gives, None)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    return canonical(ir.serde.deserialize_model(proto))


def _run(model: ir.Model, *inputs: Array) -> Array:
    with runtimes()["mxnet"].open(model, native=False) as session:
        found = session.forward({f"x{number}": array for number, array in enumerate(inputs)})
    return np.asarray(found["y"])


@needs_mxnet
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize(("op", "compute"), [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply)])
def test_arithmetic_wraps_as_in_its_own_type(op: str, compute: Any, dtype: str) -> None:
    last = min(np.iinfo(dtype).max, 2**63 - 1)
    left = np.array([0, 1, 5, last, last // 3, 70], dtype)
    right = np.array([1, 3, 7, last, 3, 0], dtype)
    found = _run(_model(op, left, right), left, right)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, compute(left, right))


@needs_mxnet
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint32", "uint64"])
def test_what_stays_in_range_is_exact(dtype: str) -> None:
    left, right = np.array([0, 9, 500], dtype), np.array([3, 4, 500], dtype)
    for op, compute in (("Max", np.maximum), ("Div", np.floor_divide), ("Mod", np.mod)):
        np.testing.assert_array_equal(_run(_model(op, left, right), left, right), compute(left, right))
    truth = _run(_model("Greater", left, right, gives=TensorProto.BOOL), left, right)
    np.testing.assert_array_equal(truth, left > right)


@needs_mxnet
def test_small_integers_and_floats_are_widened() -> None:
    for dtype in ("int4", "uint4", "float8_e4m3fn", "float8_e5m2"):
        data = np.array([0, 1, 3, 7]).astype(getattr(ml_dtypes, dtype))
        model = _model("Cast", data, gives=TensorProto.FLOAT16, to=TensorProto.FLOAT16)
        np.testing.assert_array_equal(_run(model, data), np.array([0, 1, 3, 7], np.float16))


def test_results_that_may_leave_their_range_are_refused() -> None:
    data = np.array([3], np.uint32)
    with pytest.raises(UnsupportedError, match="no uint32 and holds it as int64"):
        to_symbol(_model("ReduceProd", data))
    with pytest.raises(UnsupportedError, match="float8_e5m2"):
        to_symbol(_model("Cast", np.array([3], "f"), gives=TensorProto.FLOAT8E5M2, to=TensorProto.FLOAT8E5M2))


@needs_mxnet
def test_numbers_without_a_wider_type_are_refused() -> None:
    data = np.array([2**63], np.uint64)
    with pytest.raises(FeedError, match=r"2\*\*63"):
        _run(_model("Max", data, data), data, data)


@needs_mxnet
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_products_of_narrow_floats_are_computed_wider(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    rng = np.random.default_rng(0)
    left, right = rng.uniform(-1, 1, (3, 4)).astype(kind), rng.uniform(-1, 1, (4, 5)).astype(kind)
    found = _run(_model("MatMul", left, right), left, right)
    assert found.dtype == kind
    exact = left.astype(np.float64) @ right.astype(np.float64)
    within = 2**-7 if dtype == "bfloat16" else 2**-10
    np.testing.assert_allclose(found.astype(np.float64), exact, rtol=within, atol=0)


@needs_mxnet
def test_convolutions_of_halves_run() -> None:
    rng = np.random.default_rng(0)
    image, filters = (rng.uniform(-1, 1, shape).astype(np.float16) for shape in ((1, 2, 5, 5), (3, 2, 3, 3)))
    found = _run(_model("Conv", image, filters), image, filters)
    wide = _run(_model("Conv", image.astype("f"), filters.astype("f")), image.astype("f"), filters.astype("f"))
    np.testing.assert_array_equal(found, wide.astype(np.float16))


def test_that_bfloat16_is_cut_off_is_told_once() -> None:
    told: list[str] = []
    data = np.zeros(3, ml_dtypes.bfloat16)
    to_symbol(_model("Sum", data, data, data), told.append)
    assert len(told) == 1
    assert "cuts numbers off" in told[0]
