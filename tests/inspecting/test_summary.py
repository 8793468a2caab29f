"""Summaries: what a model is, has and costs, whatever it is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from paths import REAL_MODELS

import graphkit
from graphkit.errors import FormatError, InputError
from graphkit.inspecting.summary import inspect
from graphkit.ir.params import set_kind

if TYPE_CHECKING:
    from graphkit.inspecting.summary import Summary

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "inspect.schema.json").read_text(encoding="utf-8"))
EVIL = "<script>alert(1)</script>\"'\n\x1b[31m😀"


def _checked(summary: Summary) -> dict[str, Any]:
    """A summary as JSON that fits its schema."""
    found: dict[str, Any] = json.loads(json.dumps(summary.as_json(), allow_nan=False))
    jsonschema.validate(found, SCHEMA)
    return found


def _model(text: str, **weights: np.ndarray[Any, Any]) -> ir.Model:
    """A model in ONNX's text form, with parameters."""
    model = ir.from_onnx_text(text)
    for name, array in weights.items():
        value = model.graph.initializers[name]
        value.const_value = ir.tensor(array, name=name)
        set_kind(value, "parameter")
    return model


def _saved(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> Path:
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, stored)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.ops", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, producer_name="maker"), path)
    return path


def _info(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.mark.skipif(REAL_MODELS is None, reason="the published models are not at hand")
@pytest.mark.parametrize(
    ("name", "parameters", "buffers", "macs"),
    [
        ("djl-resnet18-v1", 11_689_512, 9_600, 1_814_073_344),
        ("vgg-fc-ilsvrc16", 138_357_544, 0, 15_470_264_320),
    ],
)
def test_published_networks_have_their_known_numbers(name: str, parameters: int, buffers: int, macs: int) -> None:
    assert REAL_MODELS is not None
    path = REAL_MODELS / name / "symbol.json"
    summary = inspect(path, inputs=["1x3x224x224"], dynamic_batch=False, warn=lambda _message: None)
    assert summary.stored.kinds["parameter"].elements == parameters
    assert summary.stored.kinds["buffer"].elements == buffers
    assert summary.cost.forward.value == macs
    assert (
        len(summary.stored.absent) == summary.stored.kinds["parameter"].tensors + summary.stored.kinds["buffer"].tensors
    )
    assert summary.tree.parameters == parameters
    assert summary.tree.macs == macs
    _checked(summary)


def test_a_free_batch_stays_a_name_in_counts() -> None:
    summary = inspect(networks.model("lenet"))
    document = _checked(summary)
    macs = [int(str(node["macs"]).partition("*")[0]) for node in document["nodes"]]
    assert document["cost"]["macs"]["value"] == f"{sum(macs)}*batch"
    assert document["cost"]["flops"]["value"] == f"{2 * sum(macs)}*batch"
    assert document["cost"]["peak"]["per"] == "batch"
    assert [tensor.shape for tensor in summary.outputs] == [("batch", 10)]


@pytest.mark.parametrize("name", ["mlp-relu", "lenet"])
def test_modules_add_up_to_the_model(name: str) -> None:
    summary = inspect(networks.model(name))
    tree = summary.tree
    modules = [module for module, _ in tree.walk()]
    assert tree.parameters == summary.stored.kinds["parameter"].elements
    assert tree.buffers == summary.stored.kinds["buffer"].elements
    assert tree.macs == summary.cost.forward.value
    assert tree.backward == summary.cost.backward.value
    assert tree.operators == summary.operators.nodes == len(summary.nodes)
    assert sum(module.own_parameters for module in modules) == tree.parameters
    assert sum(module.direct for module in modules) == tree.operators
    assert sum(module.own_macs for module in modules) == tree.macs


def test_what_a_file_says_of_itself_is_told(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="m")]
    weights = {"w": np.ones((4, 2), np.float32), "left": np.ones(3, np.float32)}
    path = _saved(tmp_path / "net.onnx", nodes, [_info("x", "N", 4)], [_info("y", "N", 2)], weights)
    summary = inspect(path)
    assert (summary.origin.framework, summary.origin.kind) == ("onnx", "ONNX model")
    assert summary.origin.facts["opset"] == "ai.onnx 17, my.ops 1"
    assert summary.origin.facts["producer"] == "maker"
    assert summary.origin.bytes == path.stat().st_size
    assert summary.stored.unused == ("left",)
    assert _checked(summary)["cost"]["macs"]["value"] == "8*N"


def test_files_of_weights_are_part_of_a_model(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    path = _saved(
        tmp_path / "net.onnx", nodes, [_info("x", 1, 64)], [_info("y", 1, 64)], {"w": np.ones((64, 64), np.float32)}
    )
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=0)
    summary = inspect(path)
    assert [Path(file.path).name for file in summary.origin.files] == ["net.onnx", "net.data"]
    assert summary.origin.bytes is not None
    assert summary.origin.bytes > 64 * 64 * 4
    (tmp_path / "net.data").unlink()
    assert inspect(path, warn=lambda _message: None).origin.files[1].bytes is None


def test_mxnet_files_say_which_mxnet_and_which_parameters(tmp_path: Path) -> None:
    graphkit.save(networks.model("mlp-relu"), tmp_path / "net", to="mxnet")
    summary = inspect(tmp_path / "net-symbol.json")
    assert summary.origin.facts == {"MXNet version": "1.9.1", "parameters": "net-0000.params"}
    assert summary.stored.kinds["parameter"].elements == 20 * 32 + 32 + 32 * 5 + 5
    _checked(summary)


def test_what_is_not_known_is_null_and_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Frob", ["x"], ["h"], domain="my.ops", name="frob"),
        helper.make_node("MatMul", ["h", "w"], ["y"], name="m"),
    ]
    weights = {"w": np.ones((4, 2), np.float32)}
    path = _saved(tmp_path / "net.onnx", nodes, [_info("x", "N", 4)], [_info("y", "N", 2)], weights)
    summary = inspect(path, warn=lambda _message: None)
    document = _checked(summary)
    assert document["cost"]["macs"] == {"value": None, "known": 0, "unknown": 2}
    assert {node["name"] for node in document["cost"]["unknown"]} == {"frob", "m"}
    assert document["cost"]["peak"]["given"] is None
    assert [(node.op, node.name) for node in summary.operators.untranslated] == [("my.ops:Frob", "frob")]
    assert summary.tree.unknown == 2


def test_tied_parameters_are_counted_once_and_told() -> None:
    table = np.ones((100, 4), np.float32)
    model = _model(
        """<ir_version: 10, opset_import: ["": 23]>
        net (int64[N] ids) => (float[N, 100] y)
            <float[100, 4] wte = {0}, float[100, 4] head = {0}>
        {
            h = Gather(wte, ids)
            t = Transpose(head)
            y = MatMul(h, t)
        }""",
        wte=table,
        head=table,
    )
    found = inspect(model)
    assert found.stored.kinds["parameter"].tensors == 2
    assert found.stored.kinds["parameter"].elements == found.tree.parameters == 400
    (tie,) = found.stored.shared
    assert tie.names == ("wte", "head")
    assert len(tie.readers) == 2


def test_a_tensor_that_several_nodes_read_is_tied() -> None:
    model = _model(
        """<ir_version: 10, opset_import: ["": 23]>
        net (float[N, 4] x) => (float[N, 4] y) <float[4, 4] w = {0}>
        {
            [first] h = MatMul(x, w)
            [second] y = MatMul(h, w)
        }""",
        w=np.eye(4, dtype=np.float32),
    )
    (tie,) = inspect(model).stored.shared
    assert (tie.names, tie.readers, tie.elements) == (("w",), ("first", "second"), 16)


def _loop(count: str) -> ir.Model:
    return _model(
        f"""<ir_version: 10, opset_import: ["": 23]>
        net (float[N, 4] x, int64 n) => (float[N, 4] y) <float[4, 4] w = {{0}}, bool go = {{1}}, int64 five = {{5}}>
        {{
            [around] y = Loop({count}, go, x) <body = one (int64 i, bool c, float[N, 4] s) => (bool d, float[N, 4] t) {{
                d = Identity(c)
                [inner] t = MatMul(s, w)
            }}>
        }}""",
        w=np.eye(4, dtype=np.float32),
    )


def test_bodies_of_control_flow_are_counted_and_said() -> None:
    summary = inspect(_loop("five"))
    assert (summary.operators.nodes, summary.operators.in_bodies, summary.operators.depth) == (3, 2, 2)
    assert [(body.owner, body.attribute, body.nodes) for body in summary.operators.bodies] == [("around", "body", 2)]
    assert {node.name: str(node.macs) for node in summary.nodes}["around"] == "80*N"
    assert [node.runs for node in summary.nodes if node.inside] == [5, 5]
    assert summary.tree.macs == summary.cost.forward.value
    assert summary.tree.parameters == 16
    _checked(summary)


def test_how_often_a_body_runs_may_be_unknown() -> None:
    summary = inspect(_loop("n"))
    assert summary.cost.forward.value is None
    assert [node.runs for node in summary.nodes if node.inside] == [None, None]
    _checked(summary)


@pytest.mark.parametrize(
    ("body", "outputs"), [("", "float[N] x"), ("y = Relu(x)", "float[N] y"), ("y = Identity(x)", "float[N] y")]
)
def test_small_graphs_without_parameters_have_none(body: str, outputs: str) -> None:
    ends = f"(float[N] x) => ({outputs})"
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": 23]> net {ends} {{ {body} }}')
    summary = inspect(model, weights=True, targets=("mxnet", "onnx", "torch"))
    assert summary.stored.kinds["parameter"].tensors == 0
    assert summary.weights == ()
    assert summary.cost.forward.value == 0
    _checked(summary)


def test_hostile_names_are_exact_in_json(tmp_path: Path) -> None:
    deep = "a/" * 5000
    nodes = [
        helper.make_node("MatMul", ["x", EVIL], ["h"], name=EVIL),
        helper.make_node("Relu", ["h"], ["y"], name=deep),
    ]
    weights = {EVIL: np.ones((4, 2), np.float32)}
    path = _saved(tmp_path / "net.onnx", nodes, [_info("x", 1, 4)], [_info("y", 1, 2)], weights)
    document = _checked(inspect(path, weights=True))
    assert document["weights"][0]["name"] == EVIL
    assert [node["name"] for node in document["nodes"]] == [EVIL, deep]


def test_numbers_of_weights_are_told(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": np.asarray([[0, np.nan], [np.inf, 2], [4, 0], [0, 0]], np.float32)}
    path = _saved(tmp_path / "net.onnx", nodes, [_info("x", 1, 4)], [_info("y", 1, 2)], weights)
    document = _checked(inspect(path, weights=True))
    found = document["weights"][0]["statistics"]
    assert (found["mean"], found["minimum"], found["maximum"]) == (1.0, 0.0, 4.0)
    assert (found["zeros"], found["nans"], found["infinities"]) == (4, 1, 1)


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    path = _saved(
        tmp_path / "net.onnx", nodes, [_info("x", 1, 64)], [_info("y", 1, 64)], {"w": np.ones((64, 64), np.float32)}
    )
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=0)
    (tmp_path / "net.data").unlink()
    summary = inspect(path, weights=True, targets=("torch",), warn=lambda _message: None)
    assert summary.stored.absent == ("w",)
    assert summary.stored.kinds["parameter"].elements == 64 * 64
    assert summary.weights is not None
    assert summary.weights[0].statistics is None
    assert summary.verdicts[0].takes
    assert summary.verdicts[0].warnings
    _checked(summary)


def test_operators_can_be_counted_as_they_are_spelled(tmp_path: Path) -> None:
    graphkit.save(networks.model("mlp-relu"), tmp_path / "net", to="mxnet")
    summary = inspect(tmp_path / "net-symbol.json", raw=True)
    assert {op for types in summary.operators.families.values() for op in types} == {
        "mxnet:FullyConnected",
        "mxnet:Activation",
    }
    with pytest.raises(InputError, match="canonical"):
        inspect(tmp_path / "net-symbol.json", raw=True, targets=("onnx",))


def test_a_cycle_is_refused() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> net (float[N] x) => (float[N] b) { a = Add(x, x) b = Relu(a) }'
    )
    first, second = model.graph
    first.replace_input_with(1, second.outputs[0])
    with pytest.raises(FormatError, match="cycle"):
        inspect(model)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(InputError, match="tensorflow"):
        inspect(networks.model("mlp-relu"), targets=("tensorflow",))
