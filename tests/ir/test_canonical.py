"""What every canonical model is like, whatever it came from."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from opsetcases import feeds_of, run_original, text_of

from graphkit.errors import FormatError, UnsupportedError
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Origin, origin_of, set_origin
from graphkit.ir.params import exact, kind_of, set_kind

ORT = FRAMEWORK.runtimes[0]
BATCH_NORM = "@float[3]{0.5,2,-1}, @float[3]{0.1,0.2,0.3}, @float[3]{0.3,-0.2,0.1}, @float[3]{1.5,0.7,2}"


def _canonical(body: str, inputs: str = 'float["n",3] x', outputs: str = "float y", opset: int = 23) -> ir.Model:
    return canonical(ir.from_onnx_text(text_of(body, inputs, outputs, opset)))


def _ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def _run(model: ir.Model, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    with ORT.open(model) as session:
        return session.forward(feeds)


def test_it_works_in_place_and_is_idempotent():
    model = ir.from_onnx_text(text_of("a = Identity(x) y = Softmax(a)", "float[2,3,4] x", "float y", 11))
    assert canonical(model) is model
    once = ir.to_onnx_text(model)
    assert ir.to_onnx_text(canonical(model)) == once


def test_identities_go_and_outputs_keep_their_names():
    model = _canonical(
        "a = Identity(x) b = Relu(a) c = Identity(b) y = Identity(c) z = Neg(c)", outputs="float y, float z"
    )
    assert _ops(model) == ["Relu", "Neg"]
    assert [value.name for value in model.graph.outputs] == ["y", "z"]
    assert model.graph[1].inputs[0] is model.graph.outputs[0]


def test_an_identity_stays_where_onnx_has_no_other_way():
    """One value under two names, an input or an initializer as output."""
    model = _canonical(
        "r = Relu(x) a = Identity(r) b = Identity(r) c = Identity(x) d = Identity(@float[2]{1,2}) e = Neg(a)",
        outputs="float a, float b, float c, float d, float e",
    )
    assert sorted(_ops(model)) == ["Identity", "Identity", "Identity", "Neg", "Relu"]
    found = _run(model, x=np.array([[-1, 2, 3]], np.float32))
    assert list(found) == ["a", "b", "c", "d", "e"]
    np.testing.assert_array_equal(found["b"], [[0, 2, 3]])
    np.testing.assert_array_equal(found["d"], [1, 2])
    np.testing.assert_array_equal(found["e"], [[0, -2, -3]])


def test_constant_outputs_keep_their_names():
    model = _canonical(
        "y = Constant<value=float[2]{1,2}>() z = Add(y, y) r = Relu(x)", outputs="float y, float z, float r"
    )
    found = _run(model, x=np.zeros((1, 3), np.float32))
    np.testing.assert_array_equal(found["y"], [1, 2])
    np.testing.assert_array_equal(found["z"], [2, 4])


def test_constants_are_initializers_wherever_they_stood():
    model = canonical(
        ir.from_onnx_text(
            """<ir_version: 10, opset_import: ["": 23]>
            g (float["n"] x, bool c) => (float y) {
              a = Constant<value_float=0.1>()
              y = If(c) <then_branch = t () => (float p) { a1 = Constant<value=float{2}>() p = Mul(x, a1) },
                         else_branch = e () => (float q) {
                           b1 = Constant<value=float{3}>() b2 = Mul(a, b1) q = Mul(x, b2) }>
            }"""
        )
    )
    inner = [attribute.as_graph() for attribute in model.graph[0].attributes.values()]
    assert [[node.op_type for node in graph] for graph in inner] == [["Mul"], ["Mul"]]
    assert all(not graph.initializers for graph in inner)
    assert all(kind_of(value) == "constant" for value in model.graph.initializers.values())
    x = np.array([1, 2], np.float32)
    np.testing.assert_array_equal(_run(model, x=x, c=np.array(True))["y"], [2, 4])
    np.testing.assert_allclose(_run(model, x=x, c=np.array(False))["y"], [0.3, 0.6], rtol=1e-6)


def test_functions_are_inlined():
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 23, "own": 1]>
        g (float["n"] x) => (float y) { a = own.twice(x) y = own.twice(a) }
        <domain: "own", opset_import: ["": 23]> twice (p) => (q) { q = Add(p, p) }"""
    )
    model = canonical(ir.serde.deserialize_model(proto))
    assert _ops(model) == ["Add", "Add"]
    assert not model.functions
    np.testing.assert_array_equal(_run(model, x=np.array([1], np.float32))["y"], [4])


def test_functions_keep_the_meaning_of_their_own_opset():
    """Softmax's default axis, and what it spans, changed with opset 13."""
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 18, "own": 1]>
        g (float["n",3,4] x) => (float y, float z) { y = own.soft(x) z = Softmax(x) }
        <domain: "own", opset_import: ["": 11]> soft (p) => (q) { q = Softmax(p) }"""
    )
    found = _run(canonical(ir.serde.deserialize_model(proto)), x=np.zeros((2, 3, 4), np.float32))
    np.testing.assert_allclose(found["y"], 1 / 12, rtol=1e-6)
    np.testing.assert_allclose(found["z"], 1 / 4, rtol=1e-6)


def test_functions_that_call_each_other_are_refused():
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 23, "own": 1]>
        g (float["n"] x) => (float y) { y = own.a(x) }
        <domain: "own", opset_import: ["": 23, "own": 1]> a (p) => (q) { q = own.b(p) }
        <domain: "own", opset_import: ["": 23, "own": 1]> b (p) => (q) { q = own.a(p) }"""
    )
    with pytest.raises(FormatError, match="functions cannot be put in place"):
        canonical(ir.serde.deserialize_model(proto))


def test_what_nothing_needs_goes():
    model = _canonical("a = Neg(x) b, m = Dropout(x) w = Add(x, @float[3]{1,2,3}) y = Relu(b)")
    assert _ops(model) == ["Dropout", "Relu"]
    assert len(model.graph[0].outputs) == 1
    assert not any(tensor.const_value.size == 3 for tensor in model.graph.initializers.values())


def test_batch_norm_and_dropout_follow_the_session():
    model = _canonical(
        f"b, m, v = BatchNormalization<training_mode=1>(x, {BATCH_NORM}) y = Dropout(b, @float{{0.3}}, @bool{{1}})",
        'float["n",3,2] x',
    )
    assert _ops(model) == ["BatchNormalization", "Dropout"]
    assert [len(node.outputs) for node in model.graph] == [1, 1]
    assert [len(node.inputs) for node in model.graph] == [5, 2]
    assert "training_mode" not in model.graph[0].attributes


def test_updated_statistics_that_are_used_are_computed():
    body = f"y, m, v = BatchNormalization<training_mode=1, momentum=0.8>(x, {BATCH_NORM})"
    model = _canonical(body, 'float["n",3,2] x', 'float["n",3,2] y, float[3] m, float[3] v')
    assert "BatchNormalization" not in _ops(model)
    x = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    with ORT.open(model) as session:
        found = session.forward({"x": x})
    scale, bias, mean, variance = (np.asarray(value) for value in _numbers(BATCH_NORM))
    own, spread = x.mean((0, 2)), x.var((0, 2))
    np.testing.assert_allclose(found["m"], 0.8 * mean + 0.2 * own, rtol=1e-5)
    np.testing.assert_allclose(found["v"], 0.8 * variance + 0.2 * spread, rtol=1e-5)
    normal = (x - own[:, None]) / np.sqrt(spread[:, None] + 1e-5)
    np.testing.assert_allclose(found["y"], normal * scale[:, None] + bias[:, None], rtol=1e-4, atol=1e-5)


def test_updated_statistics_of_unknown_axes_are_refused():
    body = f"y, m, v = BatchNormalization<training_mode=1>(x, {BATCH_NORM})"
    model = ir.from_onnx_text(text_of(body, 'float["n",3] x', "float y, float m", 23))
    model.graph.inputs[0].shape = None
    with pytest.raises(UnsupportedError, match="updated statistics"):
        canonical(model)


def _numbers(text: str) -> list[list[float]]:
    return [[float(number) for number in part.split(",")] for part in re.findall(r"{([^}]*)}", text)]


def test_default_values_of_inputs_become_initializers():
    model = ir.from_onnx_text(text_of("y = Add(x, w)", "float[2] x, float[2] w", "float y", 23))
    weight = model.graph.inputs[1]
    weight.const_value = ir.tensor(np.array([1, 2], np.float32), name="w")
    model.graph.register_initializer(weight)
    assert [value.name for value in canonical(model).graph.inputs] == ["x"]


def test_names_are_given_and_unique():
    model = ir.from_onnx_text(text_of("a = Neg(x) b = Neg(a) y = Neg(b)", 'float["n"] x', "float y", 23))
    for node in model.graph:
        node.name = "same"
    model.graph[0].name = ""
    model.graph[0].outputs[0].name = "y"
    canonical(model)
    names = [node.name for node in model.graph]
    assert len(set(names)) == 3
    assert names[1] == "same"
    names = [value.name for node in model.graph for value in node.outputs]
    assert len(set(names)) == 3
    assert names[-1] == "y"


def test_origins_and_kinds_that_a_reader_noted_stay():
    model = ir.from_onnx_text(text_of("y = Softmax(x)", "float[2,3,4] x", "float y", 11))
    set_origin(model.graph[0], Origin("torch", "aten.softmax", "softmax_1"))
    canonical(model)
    assert {origin_of(node).name for node in model.graph} == {"softmax_1"}


def test_float_initializers_of_a_file_are_classified_by_use():
    model = ir.from_onnx_text(
        text_of(
            "c = Conv(x, w, b) n = BatchNormalization(c, s, o, m, v) k = Clip(n, lo) f = Flatten(k) "
            "g = MatMul(f, p) h = Add(g, q) j = Mul(h, half) i = Gather(t, ids) y = Sub(j, i)",
            'float["n",2,4,4] x, int64[1] ids',
            "float y",
            23,
        )
    )
    shapes = {
        "w": (3, 2, 4, 4), "b": (3,), "s": (3,), "o": (3,), "m": (3,), "v": (3,), "lo": (), "p": (3, 5), "q": (5,),
        "half": (), "t": (9, 5),
    }  # fmt: skip
    free = {value.name: value for node in model.graph for value in node.inputs if value.producer() is None}
    for name, shape in shapes.items():
        free[name].const_value = ir.tensor(np.ones(shape, np.float32), name=name)
        model.graph.register_initializer(free[name])
    canonical(model)
    kinds = {name: kind_of(value) for name, value in model.graph.initializers.items()}
    assert kinds == {
        **dict.fromkeys(["w", "b", "s", "o", "p", "q", "t"], "parameter"),
        **dict.fromkeys(["m", "v"], "buffer"),
        **dict.fromkeys(["lo", "half"], "constant"),
    }


def test_a_reader_s_kinds_make_the_rest_constants():
    model = ir.from_onnx_text(text_of("a = MatMul(x, w) y = Add(a, q)", 'float["n",2] x', "float y", 23))
    free = {value.name: value for node in model.graph for value in node.inputs if value.producer() is None}
    for name in ("w", "q"):
        free[name].const_value = ir.tensor(np.ones((2, 2), np.float32), name=name)
        model.graph.register_initializer(free[name])
    set_kind(free["w"], "parameter")
    canonical(model)
    assert {name: kind_of(value) for name, value in model.graph.initializers.items()} == {
        "w": "parameter",
        "q": "constant",
    }


def test_padding_modes_become_numbers_where_sizes_are_known():
    known = _canonical(
        'y = MaxPool<kernel_shape=[3,2], strides=[2,2], auto_pad="SAME_LOWER">(x)', "float[1,1,6,5] x"
    ).graph[0]
    assert list(known.attributes["pads"].as_ints()) == [1, 1, 0, 0]
    free = _canonical('y = MaxPool<kernel_shape=[3,2], auto_pad="SAME_UPPER">(x)', 'float[1,1,"h",5] x').graph[0]
    assert free.attributes["auto_pad"].as_string() == "SAME_UPPER"
    valid = _canonical('y = MaxPool<kernel_shape=[3,2], auto_pad="VALID">(x)', 'float[1,1,"h",5] x').graph[0]
    assert list(valid.attributes["pads"].as_ints()) == [0, 0, 0, 0]


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_padding_modes_of_transposed_convolutions_keep_their_meaning(mode):
    text = text_of(
        f'y = ConvTranspose<strides=[2,3], auto_pad="{mode}">(x, w)',
        "float[1,2,4,5] x, float[2,3,3,4] w",
        "float y",
        23,
    )
    feeds = feeds_of(onnx.parser.parse_model(text))
    model = canonical(ir.from_onnx_text(text))
    assert "auto_pad" not in model.graph[0].attributes
    expected = run_original(onnx.parser.parse_model(text), feeds)["y"]
    np.testing.assert_allclose(_run(model, **feeds)["y"], expected, rtol=1e-5, atol=1e-6)


def test_float_literals_keep_their_decimal():
    model = _canonical("a = Constant<value_float=0.1>() y = Mul(x, a)")
    (value,) = model.graph.initializers.values()
    assert exact(value) == 0.1


def test_a_model_without_an_opset_is_refused():
    model = ir.from_onnx_text(text_of("y = Relu(x)", 'float["n"] x', "float y", 23))
    model.graph.opset_imports.clear()
    with pytest.raises(FormatError, match="does not say which opset"):
        canonical(model)
