"""Trees of modules: what belongs to which, and that nothing is lost or counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.inspecting.cost.costs import costs
from graphkit.inspecting.tree import module_tree
from graphkit.ir.origin import Origin, set_origin
from graphkit.ir.params import set_kind
from graphkit.ir.shapes import infer_shapes

if TYPE_CHECKING:
    from graphkit.inspecting.tree import Module

NESTED = """<ir_version: 10, opset_import: ["": 23]>
net (float[N, 4] x) => (float[N, 4] y)
    <float[4, 4] stem = {0}, float[4, 4] left = {0}, float[4, 4] right = {0}, float[4, 4] loose = {0}>
{
    ["/stem/MatMul"] a = MatMul(x, stem)
    ["/stage/stage.0/left/MatMul"] b = MatMul(a, left)
    ["/stage/stage.0/right/MatMul"] c = MatMul(b, right)
    ["/stage/stage.0/Add"] d = Add(b, c)
    ["/stage/stage.1/Relu"] e = Relu(d)
    ["outside"] f = MatMul(e, loose)
    ["end"] y = Relu(f)
}"""


def _tree(text: str) -> Module:
    model = ir.from_onnx_text(text)
    for name, value in model.graph.initializers.items():
        value.const_value = ir.tensor(np.ones(value.shape.numpy(), np.float32), name=name)
        set_kind(value, "parameter")
    infer_shapes(model)
    return module_tree(model, costs(model), "net")


def _by_path(tree: Module) -> dict[str, Module]:
    return {module.path: module for module, _ in tree.walk()}


def test_modules_nest_as_names_say() -> None:
    tree = _tree(NESTED)
    assert [(module.path, depth) for module, depth in tree.walk()] == [
        ("", 0),
        ("stem", 1),
        ("stage", 1),
        ("stage.0", 2),
        ("stage.0.left", 3),
        ("stage.0.right", 3),
        ("stage.1", 2),
        ("outside", 1),
    ]


def test_a_module_has_what_is_inside_it() -> None:
    found = _by_path(_tree(NESTED))
    stage = found["stage.0"]
    assert (stage.operators, stage.direct, stage.parameters, stage.own_parameters) == (3, 1, 32, 0)
    assert (str(stage.macs), stage.own_macs) == ("32*N", 0)
    assert stage.share_of(64) == pytest.approx(0.5)
    assert stage.share_of(0) is None


def test_a_module_hands_on_what_others_read() -> None:
    found = _by_path(_tree(NESTED))
    assert [tensor.name for tensor in found["stage.0"].outputs] == ["d"]
    assert [tensor.name for tensor in found["stage.0.left"].outputs] == ["b"]
    assert [tensor.name for tensor in found["stage"].outputs] == ["e"]
    assert [tensor.name for tensor in found[""].outputs] == ["y"]


def test_operators_with_parameters_outside_modules_are_layers() -> None:
    found = _by_path(_tree(NESTED))
    assert (found["outside"].is_layer, found["outside"].kind) == (True, "MatMul")
    assert not found["stage.0.left"].is_layer
    assert found[""].direct == 1


def test_a_tensor_of_several_modules_is_counted_in_the_first() -> None:
    tree = _tree(NESTED.replace("MatMul(b, right)", "MatMul(b, left)").replace("float[4, 4] right = {0}, ", ""))
    found = _by_path(tree)
    assert (found["stage.0.left"].parameters, found["stage.0.right"].parameters) == (16, 0)
    assert tree.parameters == 48


def test_a_module_without_parameters_has_none() -> None:
    found = _by_path(_tree(NESTED))
    assert (found["stage.1"].parameters, found["stage.1"].macs, found["stage.1"].unknown) == (0, 0, 0)


def test_what_no_module_reads_is_the_models_own() -> None:
    text = NESTED.replace("float[4, 4] loose = {0}", "float[4, 4] loose = {0}, float[7] idle = {0}")
    tree = _tree(text)
    assert (tree.own_parameters, tree.parameters) == (7, 64 + 7)


def test_classes_of_modules_are_told_where_they_are_known() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> net (float[N] x) => (float[N] y) { a = Relu(x) y = Abs(a) }'
    )
    first, second = model.graph
    set_origin(first, Origin(framework="torch", scope="body.act", module="torch.nn.modules.activation.ReLU"))
    second.metadata_props["pkg.torch.onnx.name_scopes"] = "['', 'head', 'head.abs', 'abs']"
    second.metadata_props["pkg.torch.onnx.class_hierarchy"] = "['my.Net', 'my.Head', 'my.Abs', 'aten.abs.default']"
    found = _by_path(module_tree(model, costs(model)))
    assert {path: module.kind for path, module in found.items()} == {
        "": "Net",
        "body": "",
        "body.act": "ReLU",
        "head": "Head",
        "head.abs": "Abs",
    }


def test_a_damaged_note_of_classes_tells_nothing() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> net (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    (node,) = model.graph
    node.metadata_props["pkg.torch.onnx.name_scopes"] = "['', 'a', 'b']"
    node.metadata_props["pkg.torch.onnx.class_hierarchy"] = "((((("
    assert _by_path(module_tree(model, costs(model)))["a"].kind == ""


def test_very_deep_names_end_in_one_module() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> net (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    (node,) = model.graph
    node.name = "a/" * 5000 + "Relu"
    tree = module_tree(model, costs(model))
    assert max(depth for _, depth in tree.walk()) == 64
    assert tree.operators == 1
