"""ONNX files are looked at whatever is in them; only what contradicts itself is refused."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import graphkit
from graphkit.errors import FormatError, GraphkitError
from graphkit.frameworks.onnx import stripped
from graphkit.ir.dims import dims_of
from graphkit.ir.origin import origin_of
from graphkit.ir.untranslated import untranslated
from graphkit.ir.view import nx_view

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

WEIGHT = np.arange(108, dtype=np.float32).reshape(4, 3, 3, 3)


def written(path: Path, *nodes: onnx.NodeProto, opset: int = 23, **more: Any) -> Path:
    """A model of an input x, 1×3×8×8, and an output y; returns its file."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    net = helper.make_graph(nodes, "net", [x], [y], more.pop("initializers", []))
    domains = {node.domain for node in nodes if node.domain}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    path.write_bytes(helper.make_model(net, opset_imports=imports, **more).SerializeToString())
    return path


def look(path: Path, *, raw: bool = False, **options: Any) -> tuple[ir.Model, list[str]]:
    """A model, and the warnings."""
    told: list[str] = []
    return graphkit.look(path, raw=raw, warn=told.append, **options), told


def kinds(model: ir.Model) -> list[str]:
    return [f"{node.domain}:{node.op_type}" for node in model.graph]


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name or op.lower(), **attributes)


def test_an_operator_of_another_domain_stays_and_says_why(tmp_path: Path) -> None:
    path = written(tmp_path / "x.onnx", node("Foo", "x", "a", domain="my.ops", k=3), node("Relu", "a", "y"))
    model, told = look(path)
    assert kinds(model) == ["my.ops:Foo", ":Relu"]
    assert untranslated(model.graph[0]) == "graphkit does not know operators of the domain my.ops"
    assert model.graph[0].attributes["k"].as_int() == 3
    assert untranslated(model.graph[1]) == ""
    assert told == []


def test_an_operator_of_machine_learning_says_why_it_stays(tmp_path: Path) -> None:
    path = written(tmp_path / "x.onnx", node("SVMClassifier", "x", "label y", domain="ai.onnx.ml"))
    assert untranslated(look(path)[0].graph[0]).startswith("it lets pairs of classes vote")


def test_what_onnx_never_had_gets_a_domain_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path / "x.onnx", node("NoSuch", "x", "a"), node("Relu", "a", "y"), opset=17)
    model, _ = look(path)
    assert kinds(model) == ["onnx:NoSuch", ":Relu"]
    assert "ONNX has no such operator" in untranslated(model.graph[0])
    assert model.opset_imports["onnx"] == 17
    assert origin_of(model.graph[0]).op == "NoSuch"


def test_deprecated_operators_are_raised_where_that_is_possible(tmp_path: Path) -> None:
    path = written(tmp_path / "x.onnx", node("Crop", "x", "y", border=[1, 1, 1, 1]), opset=1)
    assert kinds(look(path)[0]) == [":Slice"]
    raw, _ = look(path, raw=True)
    assert kinds(raw) == [":Crop"]
    assert raw.opset_imports[""] == 1
    assert dims_of(raw.graph.outputs[0]) == (1, 3, 6, 6)


def test_the_oldest_files_say_no_opset(tmp_path: Path) -> None:
    path = written(tmp_path / "x.onnx", node("Relu", "x", "y", consumed_inputs=[0]), opset=1)
    proto = onnx.load(path)
    del proto.opset_import[:]
    proto.ir_version = 1
    path.write_bytes(proto.SerializeToString())
    model, told = look(path)
    assert kinds(model) == [":Relu"]
    assert "taken for 1" in told[0]
    with pytest.raises(FormatError, match="does not say of which opset"):
        graphkit.load(path)


def test_raw_has_the_nodes_and_functions_that_the_file_has(tmp_path: Path) -> None:
    body = [node("Relu", "a", "t"), node("Sigmoid", "t", "b")]
    function = helper.make_function("my.functions", "F", ["a"], ["b"], body, [helper.make_opsetid("", 23)])
    constant = node("Constant", "", "two", value_float=2.0)
    nodes = (
        node("F", "x", "f", domain="my.functions"),
        constant,
        node("Identity", "f", "g"),
        node("Mul", "g two", "y"),
    )
    path = written(tmp_path / "x.onnx", *nodes, functions=[function])
    assert kinds(look(path)[0]) == [":Relu", ":Sigmoid", ":Mul"]
    raw, _ = look(path, raw=True)
    assert kinds(raw) == ["my.functions:F", ":Constant", ":Identity", ":Mul"]
    assert dims_of(raw.graph.outputs[0]) == (1, 3, 8, 8)


def test_functions_that_call_each_other_in_a_circle_stay(tmp_path: Path) -> None:
    imports = [helper.make_opsetid("", 23), helper.make_opsetid("my.functions", 1)]
    function = helper.make_function(
        "my.functions", "F", ["a"], ["b"], [node("F", "a", "b", domain="my.functions")], imports
    )
    model, told = look(written(tmp_path / "x.onnx", node("F", "x", "y", domain="my.functions"), functions=[function]))
    assert kinds(model) == ["my.functions:F"]
    assert untranslated(model.graph[0]) == "the model's functions cannot be put in place"
    assert "my.functions::F" in told[0]


@pytest.mark.parametrize("raw", [False, True])
def test_weights_that_are_not_there_have_shapes(tmp_path: Path, raw: bool) -> None:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3, 3, 3], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="weights.bin")
    model, told = look(written(tmp_path / "x.onnx", node("Conv", "x w", "y"), initializers=[weight]), raw=raw)
    value = model.graph.initializers["w"]
    assert (value.const_value, dims_of(value)) == (None, (4, 3, 3, 3))
    assert dims_of(model.graph.outputs[0]) == (1, 4, 6, 6)
    assert "'weights.bin', which is missing" in told[0]


def test_files_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    weight = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="../secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"1234")
    model, told = look(written(folder / "x.onnx", node("Identity", "w", "y"), initializers=[weight]))
    assert model.graph.initializers["w"].const_value is None
    assert "outside the model's folder" in told[0]


def test_weights_of_another_shape_are_told(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.zeros((4, 5, 3, 3), np.float32), "w")
    model, told = look(written(tmp_path / "x.onnx", node("Conv", "x w", "y"), initializers=[weight]))
    assert kinds(model) == [":Conv"]
    assert "'w' has shape 4×5×3×3" in told[0]


def test_a_node_that_contradicts_what_it_reads_stays(tmp_path: Path) -> None:
    path = written(tmp_path / "x.onnx", node("Transpose", "x", "a", perm=[0, 1]), node("Relu", "a", "y"))
    model, told = look(path)
    assert kinds(model) == ["onnx:Transpose", ":Relu"]
    assert "perm" in untranslated(model.graph[0])
    assert len(told) == 1
    with pytest.raises(FormatError):
        graphkit.load(path)


@pytest.mark.parametrize("pieces", [1, 1 << 40])
def test_a_split_into_other_pieces_than_it_names_stays(tmp_path: Path, pieces: int) -> None:
    path = written(tmp_path / "x.onnx", node("Split", "x", "y z", num_outputs=pieces))
    model, told = look(path)
    assert kinds(model) == ["onnx:Split"]
    assert "num_outputs is" in told[0]
    assert kinds(look(path, raw=True)[0]) == [":Split"]


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        (
            [node("Relu", "b", "a", "r1"), node("Sigmoid", "a", "b", "s1"), node("Add", "b x", "y")],
            r"cycle: node 'r1' \(Relu\) depends on itself through 'a', which node 's1' \(Sigmoid\) reads",
        ),
        ([node("Add", "x nowhere", "y")], r"'add' \(Add\) reads 'nowhere', which is no input"),
        ([node("Relu", "x", "a")], "Output 'y' is computed by no node"),
        (
            [node("Relu", "x", "y", "r"), node("Tanh", "x", "y", "t")],
            "'y' is an output of node 't' .* node 'r'",
        ),
        (
            [node("Relu", "x", "x", "r"), node("Tanh", "x", "y", "t")],
            "'x' is an output of node 'r' .* an input",
        ),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_a_graph_that_contradicts_itself_is_refused(
    tmp_path: Path, nodes: list[onnx.NodeProto], told: str, raw: bool
) -> None:
    path = written(tmp_path / "x.onnx", *nodes)
    with pytest.raises(FormatError, match=told):
        look(path, raw=raw)
    with pytest.raises(FormatError, match=told):
        graphkit.load(path)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of which tensors of more than 100 bytes stay in the file."""
    monkeypatch.setattr(stripped, "_WORTHWHILE", 1)
    monkeypatch.setattr(stripped, "_LARGE", 100)
    small = onnx.numpy_helper.from_array(np.ones(4, np.float32), "b")
    big = onnx.numpy_helper.from_array(WEIGHT, "w")
    return written(tmp_path / "x.onnx", node("Conv", "x w b", "y"), initializers=[big, small])


@pytest.mark.parametrize("raw", [False, True])
def test_large_weights_stay_in_the_file(large: Path, raw: bool) -> None:
    proto = stripped.parse_stripped(large)
    assert proto is not None
    assert [len(tensor.raw_data) for tensor in proto.graph.initializer] == [0, 16]
    model, _ = look(large, raw=raw)
    weight = model.graph.initializers["w"].const_value
    assert weight is not None
    np.testing.assert_array_equal(weight.numpy(), WEIGHT)
    assert [str(node) for node in model.graph] == [str(node) for node in graphkit.load(large).graph]


def test_a_large_file_that_is_cut_off_is_refused(large: Path) -> None:
    content = large.read_bytes()
    for length in range(1, len(content), 23):
        large.write_bytes(content[:length])
        with contextlib.suppress(GraphkitError):
            assert look(large)[0].graph.name == "net"


def damaged(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    """Change one thing of a model."""
    nodes = proto.graph.node
    one, other = (nodes[int(rng.integers(len(nodes)))] for _ in range(2))
    match rng.integers(9):
        case 0:
            nodes.remove(one)
        case 1 if one.input and other.output:
            one.input[int(rng.integers(len(one.input)))] = other.output[0]
        case 2:
            del one.input[:1]
        case 3:
            one.op_type = str(rng.choice(["NoSuch", "Conv", "If", "Constant", "Gemm", "Reshape", "LSTM", ""]))
        case 4:
            for attribute in one.attribute:
                attribute.i, attribute.f = int(rng.choice([-1, 0, 1 << 62])), float("nan")
                del attribute.ints[:1]
        case 5:
            one.domain = str(rng.choice(["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "<b>\n'\"", "é" * 10_000]))
        case 6:
            del one.attribute[:]
        case 7:
            proto.opset_import[0].version = int(rng.choice([-1, 0, 1, 7, 12, 99]))
        case _:
            del one.output[:1]


@pytest.mark.parametrize("seed", range(60))
def test_damage_gives_a_graph_or_a_reason(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = (
        node("Conv", "x w", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("MaxPool", "c", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", "p", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "t s", "r"),
        node("Softmax", "r", "y", axis=1),
    )
    given = [onnx.numpy_helper.from_array(WEIGHT, "w"), onnx.numpy_helper.from_array(np.array([1, -1]), "s")]
    path = written(tmp_path / "x.onnx", *nodes, opset=13, initializers=given)
    proto = onnx.load(path)
    for _ in range(int(rng.integers(1, 4))):
        damaged(rng, proto)
    path.write_bytes(proto.SerializeToString())
    for raw in (False, True):
        with contextlib.suppress(GraphkitError):
            assert nx_view(look(path, raw=raw)[0]).number_of_nodes() > 0
