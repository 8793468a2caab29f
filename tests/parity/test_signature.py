"""Hashes of models: the same for the same weights and graph, whatever the format, the precision and the names."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model

import graphkit
from graphkit.parity.signature import digest, signature_of
from graphkit.passes.cast_floats import cast_floats


def test_arrays_of_the_same_bytes_differ_in_type_or_shape():
    zeros = np.zeros(4, np.float32)
    others = [
        zeros.reshape(2, 2),
        zeros.astype(np.int32),
        np.zeros(16, np.uint8),
        np.zeros(2),
        np.zeros(0),
        np.array(""),
    ]
    assert len({digest(array) for array in (zeros, *others)}) == 7


def test_layout_and_byte_order_do_not_count():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.astype(">f4"))
    assert digest(np.array(["a", "b"], object)) == digest(np.array(["a", "b"], object))
    assert digest(np.array(["a", "b"], object)) != digest(np.array(["ab", ""], object))


def test_the_precision_of_the_model_does_not_count():
    one, two = signature_of(model()), signature_of(cast_floats(model(), "float64"))
    assert one == two


def test_a_weight_that_is_off_by_a_bit_is_another():
    other = model()
    value = other.graph.initializers["w"]
    array = value.const_value.numpy().copy()
    array[4, 2] = np.nextafter(array[4, 2], np.float32(9))
    value.const_value = ir.tensor(array, name="w")
    assert signature_of(model()).other_weights(signature_of(other)) == "1 of 2 parameters and buffers differ (w)"


def test_the_same_weights_have_the_same_hashes_in_every_format(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(144, 5)
    )
    source = graphkit.load(net.eval(), inputs=["2x3x8x8"])
    first = signature_of(source)
    assert len(first.weights) == 8
    for to, out in (("onnx", "net.onnx"), ("mxnet", "net")):
        graphkit.save(source, tmp_path / out, to=to)
    for file in ("net.onnx", "net-symbol.json"):
        specs = [] if file == "net.onnx" else ["2x3x8x8"]
        other = signature_of(graphkit.load(tmp_path / file, inputs=specs))
        assert first.other_weights(other) == ""
        assert first.other_inputs(other) == ""
        assert (first.structure == other.structure) is (file != "net-symbol.json")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("{ p = MatMul(x, w) s = Add(p, c) y = Relu(s) }", True),
        ("{ other = MatMul(x, w) names = Add(other, c) y = Relu(names) }", True),
        ("{ p = MatMul(x, w) s = Add(c, p) y = Relu(s) }", False),
        ("{ p = MatMul(x, w) s = Add(p, c) y = LeakyRelu(s) }", False),
        ("{ p = MatMul(x, w) s = Add(p, d) y = Relu(s) }", False),
    ],
)
def test_the_structure_is_what_outputs_are_computed_from(text, same):
    head = """<ir_version: 10, opset_import: ["": 23]> g (float[n, 2] x) => (float[n, 2] y)
        <float[2, 2] w = {1, 2, 3, 4}, float[2] c = {1, 2}, float[2] d = {1, 3}> """
    one = signature_of(ir.from_onnx_text(head + "{ p = MatMul(x, w) s = Add(p, c) y = Relu(s) }"))
    assert (one.structure == signature_of(ir.from_onnx_text(head + text)).structure) is same


def test_attributes_and_bodies_are_structure():
    head = '<ir_version: 10, opset_import: ["": 23]> g (float[n] x, bool c) => (float[n] y) '
    body = (
        "{{ y = If (c) <then_branch = t () => (float[n] {0}) {{ {0} = {1}(x) }},"
        " else_branch = e () => (float[n] b) {{ b = {2}(x) }}> }}"
    )
    texts = [
        "{ y = Elu <alpha = 0.5> (x) }",
        "{ y = Elu <alpha = 0.25> (x) }",
        body.format("a", "Neg", "Abs"),
        body.format("a", "Abs", "Neg"),
        body.format("z", "Neg", "Abs"),
    ]
    hashes = [signature_of(ir.from_onnx_text(head + text)).structure for text in texts]
    assert hashes[4] == hashes[2]
    assert len(set(hashes)) == 4
