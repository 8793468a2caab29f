"""Small models for tests of views and pictures."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphkit.ir.origin import Origin, set_origin
from graphkit.ir.params import set_kind

__all__ = ["HOSTILE", "block", "branches", "chain", "hostile"]

_BLOCK = """
<ir_version: 10, opset_import: ["": 23]>
block (float[N, 4, 8, 8] image, float[4, 4, 3, 3] w, float[4] b, float[4] g, float[4] h, float[4] m, float[4] v,
       float[4, 4, 1, 1] u, float two) => (float[N, 4, 8, 8] out)
    <float[N, 4, 8, 8] x1, float[N, 4, 8, 8] x2, float[N, 4, 8, 8] x3, float[N, 4, 8, 8] x4, float[N, 4, 8, 8] x5,
     float[N, 4, 8, 8] x6, float[N, 4, 8, 8] x7>
{
    [conv1] x1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1], group = 1> (image, w, b)
    [bn] x2 = BatchNormalization (x1, g, h, m, v)
    [relu_a] x3 = Relu (x2)
    [proj] x4 = Conv <kernel_shape = [1, 1]> (image, u)
    [scale] x5 = Mul (x4, two)
    [add] x6 = Add (x3, x5)
    [relu_b] x7 = Relu (x6)
    [last] out = Sigmoid (x7)
}
"""

_PARAMETERS = {
    "w": "body.conv1.weight",
    "b": "body.conv1.bias",
    "g": "body.bn.weight",
    "h": "body.bn.bias",
    "m": "body.bn.running_mean",
    "v": "body.bn.running_var",
    "u": "body.down.0.weight",
    "two": "two",
}

_SCOPES = {
    "conv1": ("body.conv1", "torch.nn.modules.conv.Conv2d"),
    "bn": ("body.bn", "torch.nn.modules.batchnorm.BatchNorm2d"),
    "relu_a": ("body.relu", "torch.nn.modules.activation.ReLU"),
    "proj": ("body.down.0", "torch.nn.modules.conv.Conv2d"),
    "scale": ("body.down.1", "nets.Scale"),
    "add": ("body", "nets.Block"),
    "relu_b": ("body.relu", "torch.nn.modules.activation.ReLU"),
}


def block() -> ir.Model:
    """A residual block: a module ``body`` with a module ``down`` inside, one ReLU called twice, all kinds of values."""
    model = ir.from_onnx_text(_BLOCK)
    for value in model.graph.inputs[1:]:
        name = _PARAMETERS[value.name or ""]
        model.graph.inputs.remove(value)
        shape = tuple(int(dim) for dim in value.shape or ())
        value.name = name
        value.const_value = ir.tensor(np.full(shape, 2, np.float32), name=name)
        model.graph.register_initializer(value)
        if name != "two":
            set_kind(value, "buffer" if "running" in name else "parameter")
    for node in model.graph:
        name = node.name or ""
        scope, module = _SCOPES.get(name, ("", ""))
        set_origin(node, Origin("torch", f"aten.{node.op_type.lower()}", name, scope, module, "nets.py:7"))
    return model


def branches() -> ir.Model:
    """An If whose branches read an outer value, and a Loop with a carried value and a scan output."""
    return ir.from_onnx_text("""
        <ir_version: 10, opset_import: ["": 23, "com.acme": 1]>
        control (float[N, 4] x, bool flag, int64 trips) => (float[N, 4] y, float[N, 4] z, float[K, N, 4] steps) {
            [neg] h = Neg (x)
            [choice] y = If (flag) <
                then_branch = left () => (float[N, 4] a) { [relu] a = Relu (h) },
                else_branch = right () => (float[N, 4] b) { [c] c = Neg (h)
                                                            [d] b = Sigmoid (c) }>
            go = Constant <value = bool {1}> ()
            [loop] z, steps = Loop (trips, go, h) <
                body = turn (int64 i, bool keep, float[N, 4] state) => (bool more, float[N, 4] next, float[N, 4] seen) {
                    [same] more = Identity (keep)
                    [magic] k = com.acme.Magic <speed = 3> (state)
                    [sum] next = Add (k, y)
                    [tanh] seen = Tanh (next) }>
        }
    """)


HOSTILE = 'a"b<c>&\\n\n</td>é😀%%`end`[x](y){z}|#35;&#0;$$x$$ \x00\x1b\u202e'
"""Whatever the syntax of DOT, HTML, XML, Mermaid, Markdown or a terminal could trip over."""


def hostile() -> ir.Model:
    """Names, attributes, dimensions and domains that mean something in some format; repeated, empty and huge ones."""
    names = [HOSTILE, HOSTILE, "", "L" * 10_000, "1. list", "- item", "end"]
    source = ir.Value(name=HOSTILE, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([HOSTILE, None, 3]))
    graph = ir.Graph([source], [], nodes=[], opset_imports={"": 23}, name=HOSTILE)
    value = source
    for index, name in enumerate(names):
        node = ir.Node(
            HOSTILE if index == 1 else "",
            "Relu" if index != 2 else "Foo<b>",
            [value],
            [ir.AttrString("text", HOSTILE), ir.AttrString(HOSTILE, "end")] if index in (1, 2) else [],
            name=name,
        )
        graph.append(node)
        value = node.outputs[0]
        value.name = f"{HOSTILE}{index}" if index % 2 else "V" * 10_000 + str(index)
    graph.outputs.append(value)
    return ir.Model(graph, ir_version=10)


def chain(length: int, scope: str = "") -> ir.Model:
    """So many Relu in a row; ``scope`` is a format string that gives each its scope by number."""
    value = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2, 3]))
    graph = ir.Graph([value], [], nodes=[], opset_imports={"": 23}, name="chain")
    for index in range(length):
        node = ir.Node("", "Relu", [value], name=f"n{index}")
        if scope:
            set_origin(node, Origin("torch", scope=scope.format(index)))
        graph.append(node)
        value = node.outputs[0]
        value.name, value.dtype, value.shape = f"v{index}", ir.DataType.FLOAT, ir.Shape([2, 3])
    graph.outputs.append(value)
    return ir.Model(graph, ir_version=10)
