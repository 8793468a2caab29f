"""A canonical model said in an older opset gives the same numbers, or is refused with the reason."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from opsetcases import CASES, feeds_of, proto_of, run_original, text_of

from graphkit.errors import InputError, UnsupportedError
from graphkit.ir.canonical import canonical
from graphkit.passes.lower_opset import lower_opset


def _canonical(body: str, inputs: str = "float[2,3,4,5] x", outputs: str = "float y", opset: int = 23) -> ir.Model:
    return canonical(ir.from_onnx_text(text_of(body, inputs, outputs, opset)))


ONE_WAY = {
    "batch-norm-per-activation": "becomes arithmetic, which is what it is",
    "dropout-mask": "the mask in inference was open before opset 12",
    "resize-10-shrink": "rounding up had no name in opset 10",
    "resize-10-both": "rounding up had no name in opset 10",
}
"""Cases that cannot be said again in every opset they come from."""


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in ONE_WAY], ids=lambda case: case.name)
def test_what_was_raised_is_lowered_to_the_same_numbers(case):
    for opset in (case.opsets[0], case.opsets[-1]):
        proto = proto_of(case, opset)
        feeds = feeds_of(proto)
        expected = run_original(proto, feeds)
        model = canonical(ir.serde.deserialize_model(proto))
        lower_opset(model, opset)
        lowered = ir.serde.serialize_model(model)
        assert [entry.version for entry in lowered.opset_import] == [opset]
        onnx.checker.check_model(lowered, full_check=True)
        found = run_original(lowered, feeds)
        assert list(found) == list(expected)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6, err_msg=f"opset {opset}")


FUNCTIONS = {
    "gelu": "y = Gelu(x)",
    "gelu-tanh": 'y = Gelu<approximate="tanh">(x)',
    "group-norm": "y = GroupNormalization<num_groups=2, epsilon=0.1>(x, @float[4]{1,2,3,4}, @float[4]{4,3,2,1})",
    "hard-swish": "y = HardSwish(x)",
    "layer-norm": "y = LayerNormalization<axis=-1>(x, @float[6]{1,2,3,4,5,6})",
    "mish": "y = Mish(x)",
    "rms-norm": "y = RMSNormalization(x, @float[6]{1,2,3,4,5,6})",
    "celu": "y = Celu<alpha=0.5>(x)",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_missing_operator_is_said_by_its_function_body(name):
    model = _canonical(FUNCTIONS[name], "float[2,4,6] x")
    original = ir.serde.serialize_model(model)
    feeds = feeds_of(original)
    expected = run_original(original, feeds)
    lower_opset(model, 11)
    lowered = ir.serde.serialize_model(model)
    onnx.checker.check_model(lowered, full_check=True)
    np.testing.assert_allclose(run_original(lowered, feeds)["y"], expected["y"], rtol=1e-5, atol=1e-6)


def test_all_nodes_that_cannot_be_said_are_listed():
    model = _canonical('b = CumSum(x, @int64{1}) y = Resize<mode="linear">(b, , , @int64[4]{2,3,9,9})')
    with pytest.raises(UnsupportedError) as raised:
        lower_opset(model, 10)
    assert {node.op: node.reason for node in raised.value.nodes} == {
        "CumSum": "the operator is newer than opset 10",
        "Resize": "it resizes to sizes, and by scales only there",
    }


def test_types_that_an_older_operator_lacks_are_refused():
    with pytest.raises(UnsupportedError, match="does not take int64 in opset 8"):
        lower_opset(_canonical("y = Less(x, x)", "int64[2] x", "bool y"), 8)


@pytest.mark.parametrize("target", [6, 24])
def test_targets_outside_the_range_are_refused(target):
    with pytest.raises(InputError, match="graphkit writes opsets 7 to 23"):
        lower_opset(_canonical("y = Relu(x)"), target)
