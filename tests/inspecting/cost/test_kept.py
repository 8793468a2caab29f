"""What is kept for a backward pass is what PyTorch keeps."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest

import graphkit
from graphkit.inspecting.cost.count import evaluate
from graphkit.inspecting.cost.kept import kept_for_backward

torch = pytest.importorskip("torch")

from networks import NETWORKS, model  # noqa: E402  # they need torch


def saved(module: Any, shape: tuple[int, ...]) -> int:
    """Bytes of the tensors that autograd saves, parameters and buffers left out."""
    stored = {tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    found: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        if tensor.data_ptr() not in stored:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(torch.zeros(shape))
    del out
    return sum(found.values())


@pytest.mark.parametrize("name", ["mlp-tanh", "lenet", "resnet18"])
def test_activations_that_are_kept_are_those_that_autograd_saves(name: str) -> None:
    network = NETWORKS[name]
    found = kept_for_backward(model(name))
    assert evaluate(found.bytes, {"batch": network.shape[0]}) == saved(network.build().eval(), network.shape)
    assert found.values.keys() & {value.name for node in model(name).graph for value in node.outputs}


def test_nothing_is_kept_without_parameters() -> None:
    found = kept_for_backward(graphkit.load(torch.nn.Tanh().eval(), inputs=["2x3"]))
    assert (found.bytes, found.values, found.why) == (0, {}, "")


def test_a_model_that_cannot_be_differentiated_says_why() -> None:
    x, w = ir.val("x", ir.DataType.FLOAT, (2, 3)), ir.val("w", ir.DataType.FLOAT, (3,))
    w.const_value = ir.tensor([1.0, 2.0, 3.0], name="w")
    w.metadata_props["graphkit.kind"] = "parameter"
    node = ir.Node("somebody", "Mystery", [x, w], name="odd")
    node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = "y", x.type, x.shape
    graph = ir.Graph([x], [node.outputs[0]], nodes=[node], initializers=[w], opset_imports={"": 24, "somebody": 1})
    found = kept_for_backward(ir.Model(graph, ir_version=10))
    assert found.bytes is None
    assert "Mystery" in found.why
