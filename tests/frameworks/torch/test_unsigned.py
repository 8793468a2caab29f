"""Unsigned integers of 16, 32 and 64 bits compute in torch source as numpy does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import Case, proto_of

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical

pytest.importorskip("torch")

FUNCTIONS = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.floor_divide,
    "Mod": np.mod,
    "Max": np.maximum,
    "Min": np.minimum,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
}


def _numbers(dtype: str) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.array([0, 1, 2, 3, 7, top // 3, top // 2, top // 2 + 1, top // 2 + 2, top - 1, top], dtype)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("constant", [False, True])
def test_all_pairs_of_edges_compute_as_in_numpy(op, dtype, constant):
    if constant and dtype == "uint64":
        pytest.skip("ONNX text has no constants beyond int64")
    left, right = _numbers(dtype)[:, None], _numbers(dtype)
    if op in ("Div", "Mod"):
        right = right[1:]
    out = "bool" if FUNCTIONS[op](left, right).dtype == bool else dtype
    other = f"@{dtype}[{right.size}]{{{','.join(map(str, right))}}}" if constant else "b"
    fed = "" if constant else f", {dtype}[{right.size}] b"
    proto = proto_of(Case("", range(0), f"{dtype}[{left.size},1] a{fed}", f"y = {op}(a, {other})", f"{out} y"), 23)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    model = canonical(ir.serde.deserialize_model(proto))
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.forward({"a": left} if constant else {"a": left, "b": right})["y"]
    expected = FUNCTIONS[op](left, right)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


PLACES = {
    "ArgMax": ("ArgMax<axis=0, keepdims=0>(a)", lambda x: x.argmax(0)),
    "CumSum": ("CumSum(a, @int64{{0}})", lambda x: x.cumsum(0, dtype=x.dtype)),
    "ReduceMax": ("ReduceMax<keepdims=0>(a)", lambda x: x.max()),
    "ReduceMin": ("ReduceMin<keepdims=0>(a)", lambda x: x.min()),
    "ReduceProd": ("ReduceProd<keepdims=0>(a)", lambda x: x[2:].prod(dtype=x.dtype) * x.dtype.type(0)),
    "TopK": ("TopK(a, @int64[1]{{3}})", lambda x: np.sort(x)[:-4:-1]),
    "Clip": ("Clip(a, @{dtype}{{2}}, @{dtype}{{7}})", lambda x: x.clip(2, 7)),
    "ScatterElements": (
        'ScatterElements<axis=0, reduction="max">(a, @int64[2]{{0,10}}, @{dtype}[2]{{9,9}})',
        lambda x: np.concatenate([np.array([9], x.dtype), x[1:]]),
    ),
}


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
@pytest.mark.parametrize("name", PLACES)
def test_extremes_places_and_running_sums_are_those_of_numpy(name, dtype):
    if name.startswith(("Reduce", "Cum")) and dtype == "uint16":
        pytest.skip("ONNX reduces and adds up no uint16")
    body, expected = PLACES[name]
    numbers = _numbers(dtype)
    case = Case("", range(0), f"{dtype}[{numbers.size}] a", f"y = {body.format(dtype=dtype)}", f"{dtype} y")
    if name == "TopK":
        case = Case("", range(0), case.inputs, f"y, i = {body.format()}", f"{dtype} y, int64 i")
    if name == "ArgMax":
        case = Case("", range(0), case.inputs, case.body, "int64 y")
    proto = proto_of(case, 23)
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    model = canonical(ir.serde.deserialize_model(proto))
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.forward({"a": numbers})["y"]
    wanted = np.asarray(expected(numbers))
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
