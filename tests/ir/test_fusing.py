"""Operations spelled out in several nodes are one node, with the same numbers, where that is exact."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator

from graphkit.frameworks.onnx.corrections import CORRECTIONS
from graphkit.ir.canonical import canonical

Arrays = dict[str, np.ndarray[Any, Any]]

QKV = "double[2,3,4,8] q, double[2,3,6,8] k, double[2,3,6,5] v"
SQRT8 = repr(sqrt(8))


CUBIC = "h = Mul(x, half) q = Pow(x, three) c = Mul(q, k) a = Add(x, c) t = Mul(a, z) g = Tanh(t) b = Add(g, one) "
FACTORED = "q = Mul(x, x) c = Mul(k, q) a = Add(c, one) u = Mul(z, x) t = Mul(u, a) g = Tanh(t) b = Add(g, one) "


def model_of(inputs: str, body: str, constants: dict[str, Any] | None = None, outputs: str = "y") -> onnx.ModelProto:
    outs = ", ".join(f"double[] {name}" for name in outputs.split())
    text = f'<ir_version: 9, opset_import: ["" : 18]> g ({inputs}) => ({outs}) {{{body}}}'
    proto = parser.parse_model(text)
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    for name, number in (constants or {}).items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(number), name))
    return proto


def feeds_of(proto: onnx.ModelProto) -> Arrays:
    rng = np.random.default_rng(3)
    kinds = {onnx.TensorProto.BOOL: bool, onnx.TensorProto.DOUBLE: np.float64, onnx.TensorProto.FLOAT: np.float32}
    feeds = {}
    for value in proto.graph.input:
        shape = [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]
        drawn = rng.normal(size=shape)
        kind = kinds[value.type.tensor_type.elem_type]
        feeds[value.name] = drawn > -1 if kind is bool else drawn.astype(kind)
    return feeds


def fused(proto: onnx.ModelProto, tolerance: float = 1e-12) -> ir.Model:
    """The canonical model, after holding its numbers to those of the one given."""
    feeds = feeds_of(proto)
    expected = ReferenceEvaluator(proto, new_ops=CORRECTIONS).run(None, feeds)
    model = canonical(ir.serde.deserialize_model(proto))
    again = ReferenceEvaluator(ir.serde.serialize_model(model), new_ops=CORRECTIONS).run(None, feeds)
    for one, other in zip(expected, again, strict=True):
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance)
    return model


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def attention(model: ir.Model) -> ir.Node:
    (node,) = (node for node in model.graph if node.op_type == "Attention")
    assert "Softmax" not in kinds(model)
    return node


TURN = "kt = Transpose<perm = [0, 1, 3, 2]>(k) s = MatMul(q, kt)"
END = " w = Softmax<axis = -1>({}) y = MatMul(w, v)"


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        (f"{TURN} r = Div(s, c) {END.format('r')}", {"c": sqrt(8)}),
        (f"{TURN} r = Mul(c, s) {END.format('r')}", {"c": 1 / sqrt(8)}),
        (
            "p = Mul(q, c) t = Transpose<perm = [0, 1, 3, 2]>(k) u = Mul(t, c) s = MatMul(p, u) " + END.format("s"),
            {"c": 8**-0.25},
        ),
        (
            "p = Mul(q, c) f = Reshape(p, d) e = Reshape(f, g) kt = Transpose<perm = [0, 1, 3, 2]>(k) s = MatMul(e, kt)"
            + END.format("s"),
            {"c": 1 / sqrt(8), "d": [6, 4, 8], "g": [2, 3, 4, 8]},
        ),
    ],
)
def test_the_usual_scale_is_the_default_of_attention(body: str, constants: dict[str, Any]) -> None:
    node = attention(fused(model_of(QKV, body, constants)))
    assert not node.attributes
    assert len(node.inputs) == 3


def test_a_scale_that_attributes_hold_is_one_and_others_multiply_the_queries() -> None:
    body = f"{TURN} r = Mul(s, c) {END.format('r')}"
    assert attention(fused(model_of(QKV, body, {"c": 0.3125}))).attributes["scale"].as_float() == 0.3125
    model = fused(model_of(QKV, body, {"c": 0.1234567890123}))
    assert attention(model).attributes["scale"].as_float() == 1.0
    assert "Mul" in kinds(model)


def test_masks_are_added_together_and_truths_hide() -> None:
    inputs = f"{QKV}, double[2,1,4,6] m, double[3,4,6] b, bool[4,6] t"
    body = f"{TURN} r = Div(s, c) a = Add(b, r) e = Add(a, m) h = Where(t, e, n) {END.format('h')}"
    node = attention(fused(model_of(inputs, body, {"c": sqrt(8), "n": -np.inf})))
    assert node.inputs[3] is not None


def test_constant_truths_below_the_diagonal_are_causal() -> None:
    inputs = "double[2,3,4,8] q, double[2,3,4,8] k, double[2,3,4,5] v"
    least = float(np.finfo(np.float64).min)
    for fill in (-np.inf, least):
        body = f"{TURN} r = Div(s, c) h = Where(t, r, n) {END.format('h')}"
        node = attention(fused(model_of(inputs, body, {"c": sqrt(8), "n": fill, "t": np.tri(4)[None, None] > 0})))
        assert node.attributes["is_causal"].as_int() == 1
        assert len(node.inputs) == 3


def test_scores_within_a_cap_are_a_soft_cap() -> None:
    body = f"{TURN} r = Div(s, c) d = Div(r, cap) h = Tanh(d) z = Mul(h, cap) x = Add(z, m) {END.format('x')}"
    node = attention(fused(model_of(f"{QKV}, double[4,6] m", body, {"c": sqrt(8), "cap": 1.5})))
    assert node.attributes["softcap"].as_float() == 1.5
    assert "scale" not in node.attributes


def test_three_axes_are_one_head() -> None:
    inputs = "double[6,4,8] q, double[6,5,8] k, double[6,5,3] v, double[6,4,5] m"
    body = "kt = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, kt) r = Div(s, c) x = Add(r, m) " + END.format("x")
    node = attention(fused(model_of(inputs, body, {"c": sqrt(8)})))
    assert node.attributes["q_num_heads"].as_int() == node.attributes["kv_num_heads"].as_int() == 1


def test_repeated_heads_are_grouped_queries() -> None:
    inputs = "double[2,6,4,8] q, double[2,2,5,8] k, double[2,2,5,3] v"
    body = (
        "k1 = Unsqueeze(k, two) k2 = Expand(k1, ks) k3 = Reshape(k2, kr) v1 = Unsqueeze(v, two) v2 = Expand(v1, vs) "
        "v3 = Reshape(v2, vr) kt = Transpose<perm = [0, 1, 3, 2]>(k3) s = MatMul(q, kt) r = Div(s, c) "
        "w = Softmax<axis = -1>(r) y = MatMul(w, v3)"
    )
    sizes = {"two": [2], "ks": [2, 2, 3, 5, 8], "kr": [2, 6, 5, 8], "vs": [2, 2, 3, 5, 3], "vr": [2, 6, 5, 3]}
    model = fused(model_of(inputs, body, {"c": sqrt(8), **sizes}))
    assert kinds(model) == ["Attention"]


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        (f"{TURN} {END.format('s')}", "y w"),
        (f"{TURN} {END.format('s')}", "y s"),
        (f"{TURN} w = Softmax<axis = -1>(s) d = Dropout(w) y = MatMul(d, v)", "y"),
        (f"{TURN} w = Softmax<axis = 2>(s) y = MatMul(w, v)", "y"),
        (f"{TURN} h = Where(t, s, n) {END.format('h')}", "y"),
        (f"{TURN} a = Add(s, p) {END.format('a')}", "y"),
    ],
)
def test_what_is_seen_in_between_drops_out_or_hides_otherwise_stays(body: str, outputs: str) -> None:
    inputs = f"{QKV}, bool[2,1,4,6] t, double[2,1,4,1] p"
    assert "Softmax" in kinds(fused(model_of(inputs, body, {"n": -1e4}, outputs)))


RMS = "p = Pow(x, two) m = ReduceMean(p, axes) a = Add(m, e) r = Sqrt(a) "


@pytest.mark.parametrize(
    "body",
    [
        RMS + "i = Reciprocal(r) n = Mul(x, i) y = Mul(w, n)",
        RMS + "n = Div(x, r) y = Mul(n, w)",
        "p = Mul(x, x) m = ReduceMean(p, axes) a = Add(e, m) i = Pow(a, half) n = Mul(i, x) y = Mul(n, w)",
    ],
)
def test_roots_of_mean_squares_are_rms_normalisations(body: str) -> None:
    constants = {"two": 2.0, "axes": [-1], "e": 1e-6, "half": -0.5, "w": np.arange(1.0, 6.0)}
    model = fused(model_of("double[2,3,5] x", body, constants))
    assert kinds(model) == ["RMSNormalization"]
    assert model.graph.node(0).inputs[1].name == "w"


def test_centred_ones_are_layer_normalisations() -> None:
    body = (
        "c = ReduceMean(x, axes) d = Sub(x, c) p = Pow(d, two) m = ReduceMean(p, axes) a = Add(m, e) r = Sqrt(a) "
        "n = Div(d, r) s = Mul(n, w) y = Add(s, b)"
    )
    constants = {"two": 2.0, "axes": [2, 1], "e": 1e-12, "w": np.arange(15.0).reshape(3, 5), "b": np.ones((3, 5))}
    model = fused(model_of("double[2,3,5] x", body, constants))
    assert kinds(model) == ["LayerNormalization"]
    assert model.graph.node(0).attributes["axis"].as_int() == -2


def test_a_norm_whose_centre_is_read_elsewhere_stays_what_it_is() -> None:
    body = (
        "c = ReduceMean(x, axes) d = Sub(x, c) p = Pow(d, two) m = ReduceMean(p, axes) a = Add(m, e) r = Sqrt(a) "
        "n = Div(d, r) s = Mul(n, w) y = Add(s, d)"
    )
    constants = {"two": 2.0, "axes": [-1], "e": 1e-5, "w": np.arange(5.0)}
    assert "LayerNormalization" not in kinds(fused(model_of("double[2,3,5] x", body, constants)))


@pytest.mark.parametrize(
    ("body", "approximate"),
    [
        ("d = Div(x, r2) e = Erf(d) a = Add(e, one) p = Mul(x, a) y = Mul(p, half)", "none"),
        ("h = Mul(half, x) d = Mul(x, s2) e = Erf(d) a = Add(one, e) y = Mul(h, a)", "none"),
        (CUBIC + "y = Mul(h, b)", "tanh"),
        (FACTORED + "d = Mul(x, b) y = Mul(d, half)", "tanh"),
    ],
)
def test_gelus_spelled_out_are_gelus(body: str, approximate: str) -> None:
    numbers = {
        "one": 1.0, "half": 0.5, "three": 3.0, "r2": sqrt(2), "s2": sqrt(0.5), "k": 0.044715, "z": sqrt(2 / np.pi)
    }  # fmt: skip
    model = fused(model_of("double[2,5] x", body, numbers))
    assert kinds(model) == ["Gelu"]
    assert model.graph.node(0).attributes.get_string("approximate", "none") == approximate


def test_numbers_that_are_not_those_of_the_formula_are_kept() -> None:
    body = "d = Mul(x, s2) e = Erf(d) a = Add(e, one) p = Mul(x, a) y = Mul(p, half)"
    model = fused(model_of("double[2,5] x", body, {"one": 1.0, "half": 0.5, "s2": 0.70710678}))
    assert "Erf" in kinds(model)


def test_softmaxes_spelled_out_are_softmaxes() -> None:
    body = "m = ReduceMax(x, axes) d = Sub(x, m) e = Exp(d) t = ReduceSum(e, axes) y = Div(e, t)"
    model = fused(model_of("double[2,5,3] x", body, {"axes": [1]}))
    assert kinds(model) == ["Softmax"]
    assert model.graph.node(0).attributes["axis"].as_int() == -2


@pytest.mark.parametrize("dynamic", [False, True])
def test_indices_that_count_along_axes_are_slices(dynamic: bool) -> None:
    """As transformers' masks are: ``mask[rows, columns]`` with ranges."""
    if dynamic:
        body = (
            "s = Shape<start = 0, end = 1>(ids) n = Squeeze(s, zero) r = Range(nil, n, one) r1 = Unsqueeze(r, cols) "
            "c1 = Unsqueeze(place, rows) m = Max(r1, c1) z = Shape(m) re = Expand(r1, z) ce = Expand(c1, z) "
            "ru = Unsqueeze(re, last) cu = Unsqueeze(ce, last) i = Concat<axis = -1>(ru, cu) y = GatherND(x, i)"
        )
    else:
        body = "y = GatherND(x, i)"
    columns = np.arange(1, 5)
    constants = {
        "zero": [0], "nil": 0, "one": 1, "cols": [1, 2, 3], "rows": [0, 1, 2], "last": [-1], "place": columns,
        "i": np.stack(np.broadcast_arrays(np.arange(2)[:, None, None, None], columns), -1),
    }  # fmt: skip
    if dynamic:
        del constants["i"]
    model = fused(model_of("double[3,6] x, double[n,7] ids", body, constants))
    assert set(kinds(model)) <= {"Shape", "Slice", "Unsqueeze"}
    assert len(model.graph.outputs[0].shape or ()) == 4


def test_truths_of_all_rows_are_masks_of_one_row_and_comparisons_of_places_are_causal() -> None:
    inputs = "double[2,3,s,8] q, double[2,3,s,8] k, double[2,3,s,8] v"
    length = "z = Shape<start = 2, end = 3>(q) n = Squeeze(z, zero) r = Range(nil, n, one) "
    compared = "i = Unsqueeze(r, front) j = Unsqueeze(r, behind) t = LessOrEqual(i, j) "
    body = length + compared + f"{TURN} h = Where(t, s, ninf) {END.format('h')}"
    constants = {"zero": [0], "nil": 0, "one": 1, "front": [0], "behind": [1], "ninf": -np.inf}
    assert attention(fused(model_of(inputs, body, constants))).attributes["is_causal"].as_int() == 1
    padded = "a = And(all, p) h = Where(a, nought, low) x = Add(s, h) "
    inputs = f"{QKV}, bool[2,1,1,6] p"
    constants = {"all": np.ones((1, 1, 4, 1), bool), "nought": 0.0, "low": -3.4e38}
    node = attention(fused(model_of(inputs, f"{TURN} {padded} {END.format('x')}", constants)))
    assert node.inputs[3] is not None
    assert node.inputs[3].shape == (2, 1, 1, 6)


def test_least_numbers_that_may_hide_everything_stay_in_steps() -> None:
    """Padding of each example together with what is causal: the first position may see nothing."""
    inputs = "double[2,3,4,8] q, double[2,3,4,8] k, double[2,3,4,5] v, bool[2,1,1,4] p"
    body = f"{TURN} a = And(p, t) h = Where(a, nought, low) x = Add(s, h) {END.format('x')}"
    constants = {"t": np.tri(4)[None, None] > 0, "nought": 0.0, "low": float(np.finfo(np.float32).min)}
    assert "Softmax" in kinds(fused(model_of(inputs, body, constants)))


def test_layers_of_rows_are_layers_of_all_axes() -> None:
    """As in GPT-2: flattened to rows, two layers with their activation and a residual, and unflattened."""
    body = (
        "h = Transpose<perm = [0, 2, 1, 3]>(x) f = Reshape(h, rows) a = Gemm(f, w1, b1) r = Relu(a) "
        "b = Gemm<transB = 1>(r, w2, b2) o = Add(f, b) y = Reshape(o, back)"
    )
    rng = np.random.default_rng(1)
    constants = {"rows": [-1, 6], "back": [-1, 5, 6], "w1": rng.normal(size=(6, 4)), "b1": rng.normal(size=4)}
    constants |= {"w2": rng.normal(size=(6, 4)), "b2": rng.normal(size=(1, 6))}
    model = fused(model_of("double[n,2,5,3] x", body, constants))
    assert sorted(kinds(model)) == [*["Add"] * 3, *["MatMul"] * 2, "Relu", "Reshape", *["Transpose"] * 2]
