"""Where runtimes compute in float32 inside."""

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
    assert single_outputs(model, "mxnet") == {"erf"}


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
    assert single_outputs(graph(body, constants=constants), "mxnet") == ({"y"} if concerned else frozenset())


def test_an_operator_of_mxnet_is_told_by_where_the_node_came_from():
    model = graph("y = Relu(x)")
    assert not single_outputs(model, "mxnet")
    for op, concerned in (("_contrib_BilinearResize2D", True), ("Pooling_v1", True), ("Pooling", False)):
        set_origin(model.graph[0], Origin(framework="mxnet", op=op))
        assert bool(single_outputs(model, "mxnet")) is concerned


@pytest.mark.parametrize(
    ("body", "constants", "concerned"),
    [
        ("y = Add(x, c)", "double c = {0.1}", False),
        ("y = Clip(x, c)", "double c = {0.1}", False),
        ("y = LayerNormalization(x, c)", "double[2] c = {1, 1}", True),
        ("y = LayerNormalization<epsilon = 0.0009765625>(x, c)", "double[2] c = {1, 1}", False),
        ('y = Gelu<approximate = "tanh">(x)', "", True),
        ("a = MatMul(x, m) y = Mul(a, c)", "double[2, 2] m = {1, 2, 3, 4}, double c = {0.1}", True),
        ("a = MatMul(x, m) y = Mul(a, c)", "double[2, 2] m = {1, 2, 3, 4}, double c = {0.25}", False),
        ("a = Div(x, c) y = MatMul(a, m)", "double[2, 2] m = {1, 2, 3, 4}, double c = {0.1}", True),
        ("b = Transpose(x) a = Mul(c, b) y = Neg(a)", "double c = {0.1}", False),
        ("a = Mul(x, c) b = Transpose(a) y = MatMul(b, m)", "double[2, 2] m = {1, 2, 3, 4}, double c = {0.1}", True),
    ],
)
def test_onnxruntime_has_float32_attributes_and_makes_one_of_a_factor_of_a_matrix_product(body, constants, concerned):
    assert single_outputs(graph(body, constants=constants), "ort") == ({"y"} if concerned else frozenset())


@pytest.mark.parametrize(("variance", "concerned"), [(1.0, False), (1e-6, True)])
def test_the_epsilon_of_a_batch_normalisation_matters_beside_small_variances(variance, concerned):
    held = f"double[2] s = {{1, 1}}, double[2] v = {{1, {variance}}}"
    model = graph("y = BatchNormalization(x, s, s, s, v)", constants=held)
    assert bool(single_outputs(model, "ort")) is concerned


def test_other_runtimes_hold_doubles():
    assert not single_outputs(graph("y = LeakyRelu(x)"), "torch")
