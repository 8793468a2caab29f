"""Where MXNet computes in float32 inside."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphkit.ir.origin import Origin, set_origin
from graphkit.parity.single import single_outputs


def graph(body: str, outputs: str = "double[2] y", constants: str = "") -> ir.Model:
    held = f"<{constants}>" if constants else ""
    text = f'<ir_version: 10, opset_import: ["": 23]> g (double[2] x) => ({outputs}) {held} {{ {body} }}'
    return ir.from_onnx_text(text)


def test_an_output_is_concerned_only_if_such_an_operator_is_on_its_path():
    model = graph("plain = Relu(x) inner = Erf(x) erf = Neg(inner)", "double[2] plain, double[2] erf")
    assert single_outputs(model) == {"erf"}


@pytest.mark.parametrize(
    ("body", "constants", "concerned"),
    [
        ("y = Clip(x, low, high)", "double low = {0.0}, double high = {6.0}", False),
        ("y = Clip(x, low, high)", "double low = {0.0}, double high = {0.1}", True),
        ("high = ReduceMax(x) y = Clip(x, high)", "", True),
        ("y = LeakyRelu(x)", "", True),
        ("y = LeakyRelu<alpha = 0.2>(x)", "", True),
        ("y = LeakyRelu<alpha = 0.25>(x)", "", False),
        ("y = Elu(x)", "", False),
        ("y = Elu<alpha = 0.3>(x)", "", True),
        ("y = Selu(x)", "", True),
    ],
)
def test_a_number_that_float32_has_is_exact_there_too(body, constants, concerned):
    assert single_outputs(graph(body, constants=constants)) == ({"y"} if concerned else frozenset())


def test_an_operator_of_mxnet_is_told_by_where_the_node_came_from():
    model = graph("y = Relu(x)")
    assert not single_outputs(model)
    set_origin(model.graph[0], Origin(framework="mxnet", op="_contrib_BilinearResize2D"))
    assert single_outputs(model) == {"y"}
