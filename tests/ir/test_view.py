"""The networkx view of a model."""

from __future__ import annotations

import networkx as nx
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from drawn import HOSTILE, block, branches, hostile

from graphkit.ir.describe import Parameter, Tensor
from graphkit.ir.view import Body, nx_view


def test_nodes_come_in_the_models_order_under_readable_keys():
    assert list(nx_view(block())) == [
        "input:image",
        *(f"op:{name}" for name in ("conv1", "bn", "relu_a", "proj", "scale", "add", "relu_b", "last")),
        "output:out",
    ]


def test_an_operator_carries_what_is_known_of_it():
    data = nx_view(block()).nodes["op:conv1"]
    assert (data["op"], data["domain"], data["family"], data["scope"]) == ("Conv", "", "convolution", "body.conv1")
    assert data["attributes"] == {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (1, 1), "group": 1}
    assert data["parameters"] == (
        Parameter("body.conv1.weight", "parameter", "float32", (4, 4, 3, 3), 576, "W", 1, None),
        Parameter("body.conv1.bias", "parameter", "float32", (4,), 16, "B", 2, None),
    )
    assert data["outputs"] == (Tensor("x1", "float32", ("N", 4, 8, 8)),)
    assert data["origin"].op == "aten.conv"


def test_edges_carry_values():
    view = nx_view(block())
    assert view.edges["op:scale", "op:add", 0] == {
        "kind": "data",
        "value": "x5",
        "dtype": "float32",
        "shape": ("N", 4, 8, 8),
        "output": 0,
        "input": 1,
    }
    assert set(view.predecessors("op:add")) == {"op:relu_a", "op:scale"}


def test_a_small_constant_shows_its_numbers():
    (constant,) = nx_view(block()).nodes["op:scale"]["parameters"]
    assert (constant.kind, constant.shape, constant.values) == ("constant", (), (2.0,))


def test_initializers_may_be_nodes():
    view = nx_view(block(), initializers=True)
    assert list(view.successors("initializer:two")) == ["op:scale"]
    assert view.nodes["initializer:body.down.0.weight"]["parameters"][0].bytes == 64
    assert view.number_of_nodes() == nx_view(block()).number_of_nodes() + 8


def test_a_view_cannot_be_changed():
    view = nx_view(block())
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        view.add_edge("op:add", "op:conv1")


def test_viewing_leaves_the_model_as_it_is():
    model = branches()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    nx_view(model, initializers=True)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_bodies_are_held_by_their_operator():
    view = nx_view(branches())
    assert view.graph["bodies"] == {
        "op:choice/then_branch": Body("op:choice", "then_branch", "left"),
        "op:choice/else_branch": Body("op:choice", "else_branch", "right"),
        "op:loop/body": Body("op:loop", "body", "turn"),
    }
    inside = {key for key, data in view.nodes(data=True) if data["body"] == "op:choice/then_branch"}
    assert inside == {"op:choice/then_branch/op:relu", "op:choice/then_branch/output:a"}


def test_values_cross_the_borders_of_bodies():
    view = nx_view(branches())
    assert view.edges["op:neg", "op:choice/then_branch/op:relu", 0]["kind"] == "data"
    assert view.edges["op:choice/then_branch/output:a", "op:choice", 0]["kind"] == "body"
    assert view.edges["op:neg", "op:loop/body/input:state", 0]["kind"] == "body"
    assert view.in_degree("op:loop/body/input:i") == 0  # the trip count is not the iteration
    assert nx.is_directed_acyclic_graph(view)


def test_constant_nodes_are_data_of_their_consumer():
    view = nx_view(branches())
    (go,) = view.nodes["op:loop"]["parameters"]
    assert (go.role, go.dtype, go.values) == ("cond", "bool", (True,))
    assert not [data for _, data in view.nodes(data=True) if data.get("op") == "Constant"]


@pytest.mark.parametrize(
    ("attribute", "shape", "values"),
    [
        ("value_float = 0.1", (), (0.1,)),
        ("value_ints = [3, 4]", (2,), (3, 4)),
        ("value = float[2, 1] {1, 2.5}", (2, 1), (1.0, 2.5)),
    ],
)
def test_constants_of_every_spelling_are_read(attribute, shape, values):
    view = nx_view(
        ir.from_onnx_text(f"""<ir_version: 10, opset_import: ["": 23]>
            g (float[2] x) => (y) {{ c = Constant <{attribute}> () y = Add (x, c) }}""")
    )
    (constant,) = view.nodes["op:Add"]["parameters"]
    assert (constant.shape, constant.values) == (shape, values)


def test_hostile_and_repeated_names_are_kept_apart():
    view = nx_view(hostile())
    assert view.number_of_nodes() == 9
    assert f"op:{HOSTILE}" in view
    assert f"op:{HOSTILE}#2" in view
    assert "op:Foo<b>" in view
    assert nx.dag_longest_path_length(view) == 8


def test_a_name_that_looks_like_a_repetition_stays_unique():
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        g (float[2] x) => (y) { [a] p = Relu (x) [b] q = Relu (p) [c] y = Relu (q) }""")
    for node, name in zip(model.graph, ["n#2", "n", "n"], strict=True):
        node.name = name
    assert [key for key in nx_view(model) if key.startswith("op:")] == ["op:n#2", "op:n", "op:n#3"]


def test_outputs_may_be_inputs_and_initializers():
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        g (float[2] x) => (float[2] x, float[2] w) <float[2] w = {1, 2}> { }""")
    view = nx_view(model)
    assert list(view.edges()) == [("input:x", "output:x")]
    assert view.nodes["output:w"]["parameters"][0].values == (1.0, 2.0)


def test_an_initializer_that_is_also_an_input_is_a_parameter():
    model = ir.from_onnx_text("""<ir_version: 3, opset_import: ["": 7]>
        g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> { y = Add (x, w) }""")
    view = nx_view(model)
    assert "input:w" not in view
    assert view.nodes["op:Add"]["parameters"][0].name == "w"


def test_types_beyond_tensors_are_named():
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        g (seq(float[N]) s, optional(float[2]) o) => (y) { y = SequenceLength (s) }""")
    view = nx_view(model)
    assert [view.nodes[f"input:{name}"]["dtype"] for name in "so"] == ["sequence(float32)", "optional(float32)"]


def test_unordered_and_incomplete_graphs_are_shown_as_they_are():
    lost = ir.Value(name="lost")
    late = ir.Node("", "Relu", [lost], name="late")
    early = ir.Node("", "Neg", [late.outputs[0]], name="early")
    late.outputs[0].name, early.outputs[0].name = "a", "b"
    graph = ir.Graph([], [early.outputs[0]], nodes=[early, late], opset_imports={"": 23})
    view = nx_view(ir.Model(graph, ir_version=10))
    assert set(view.edges()) == {("op:late", "op:early"), ("op:early", "output:b"), ("input:lost", "op:late")}


def test_weights_in_a_missing_file_are_still_listed(tmp_path):
    model = block()
    value = model.graph.initializers["two"]
    value.const_value = ir.ExternalTensor(
        "gone.bin", 0, 4, ir.DataType.FLOAT, shape=ir.Shape([]), name="two", base_dir=tmp_path
    )
    (constant,) = nx_view(model).nodes["op:scale"]["parameters"]
    assert (constant.shape, constant.bytes, constant.values) == ((), 4, None)


def test_attributes_are_plain_values():
    weight = onnx.numpy_helper.from_array(np.ones((5, 5), np.float16), "table")
    node = ir.Node(
        "com.acme",
        "Odd",
        [],
        [
            ir.AttrFloat32("rate", 0.1),
            ir.AttrTensor("table", ir.from_proto(weight)),
            ir.AttrTensor("few", ir.tensor(np.array([1, 2], np.int8))),
            ir.AttrStrings("words", ["a", "b"]),
            ir.AttrTensor("texts", ir.StringTensor(np.array([b"a", b"\xff"]), shape=ir.Shape([2]))),
            ir.RefAttr("outer", "alpha", ir.AttributeType.FLOAT),
        ],
        name="odd",
    )
    graph = ir.Graph([], node.outputs, nodes=[node], opset_imports={"com.acme": 1})
    node.outputs[0].name = "y"
    assert nx_view(ir.Model(graph, ir_version=10)).nodes["op:odd"]["attributes"] == {
        "rate": 0.1,
        "table": Tensor("table", "float16", (5, 5)),
        "few": (1, 2),
        "words": ("a", "b"),
        "texts": ("a", "\ufffd"),
        "outer": "@alpha",
    }


def test_an_empty_graph_has_an_empty_view():
    view = nx_view(ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 23}), ir_version=10))
    assert view.number_of_nodes() == 0
    assert view.graph["opsets"] == {"": 23}
