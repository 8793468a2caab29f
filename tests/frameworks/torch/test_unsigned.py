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
