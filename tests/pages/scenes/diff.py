"""A network as an ONNX file and as an MXNet symbol, and a copy of it that someone edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

import graphkit
from graphkit.ir.params import set_kind

if TYPE_CHECKING:
    from pathlib import Path

_NET = """
<ir_version: 10, opset_import: ["": 23]>
net (float[batch, 3, 8, 8] image, float[4, 3, 3, 3] weight1, float[4, 4, 3, 3] weight2)
=> (float[batch, 4, h, w] score)
{
    conv1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (image, weight1)
    act1 = Relu(conv1)
    pool1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (act1)
    conv2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (pool1, weight2)
    act2 = Relu(conv2)
    score = Sigmoid(act2)
}
"""
_NAMES = {"weight1": "conv1.weight", "weight2": "conv2.weight"}


def prepare(folder: Path) -> None:
    ir.save(_net(), folder / "net.onnx")
    ir.save(_edited(), folder / "edited.onnx")
    graphkit.save(graphkit.load(folder / "net.onnx"), folder / "net", to="mxnet")


def _net(text: str = _NET) -> ir.Model:
    model = ir.from_onnx_text(text)
    rng = np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        model.graph.inputs.remove(value)
        value.name = _NAMES[value.name or ""]
        assert value.shape is not None
        array = rng.standard_normal(value.shape.numpy()).astype(np.float32)
        value.const_value = ir.tensor(array, name=value.name)
        set_kind(value, "parameter")
        model.graph.register_initializer(value)
    for node in model.graph:
        node.name = node.outputs[0].name
    return model


def _edited() -> ir.Model:
    text = _NET.replace("pads = [1, 1, 1, 1]> (image", "pads = [0, 0, 2, 2]> (image")
    text = text.replace("act2 = Relu", "act2 = LeakyRelu").replace("act1", "first_activation")
    model = _net(text.replace("score = Sigmoid(act2)", "squashed = Tanh(act2) score = Sigmoid(squashed)"))
    value = model.graph.initializers["conv2.weight"]
    assert value.const_value is not None
    array = value.const_value.numpy().copy()
    array[1, 2, 0, 0] += 0.25
    value.const_value = ir.tensor(array, name=value.name)
    return model
