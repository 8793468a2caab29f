"""Nodes that are missing, added or others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from faults.inputs import alike
from faults.planting import (
    change_attribute,
    fault,
    inner_nodes,
    names_of,
    pick,
    readers_of,
    size_of,
)
from graphkit.ir.edit import add_constant
from graphkit.ir.params import set_kind
from graphkit.ir.training import stop_gradient

if TYPE_CHECKING:
    from faults.planting import Rng


def forget(model: ir.Model, value: ir.Value | None) -> None:
    if value is not None and not value.uses():
        model.graph.initializers.pop(value.name or "", None)


def _removed(model: ir.Model, node: ir.Node | None, kept: int = 0) -> list[str] | None:
    """Take a node out; what read it reads one of its inputs. The nodes that read it then."""
    if node is None:
        return None
    readers = readers_of(node.outputs[0])
    stored = [value for value in node.inputs if value is not None]
    for user, index in list(node.outputs[0].uses()):
        user.replace_input_with(index, node.inputs[kept])
    model.graph.remove(node, safe=True)
    for value in stored:
        forget(model, value)
    return readers


@fault("missing activation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _removed(model, pick(rng, inner_nodes(model, "Relu", "Clip", "LeakyRelu", "Elu", "Gelu", "Tanh", "Sigmoid")))


@fault("missing normalisation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _removed(model, pick(rng, inner_nodes(model, "BatchNormalization", "LayerNormalization")))


@fault("missing sum")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    whole = (n for n in inner_nodes(model, "Add") if all(v is not None and v.producer() is not None for v in n.inputs))
    node = pick(rng, (n for n in whole if alike(n, 0, 1)))
    return _removed(model, node, int(rng.integers(2)))


def _instead(model: ir.Model, node: ir.Node | None, op: str, inputs: int = 1, **attributes: Any) -> list[str] | None:
    """Put another operator in the place of a node, under its names."""
    if node is None:
        return None
    new = ir.node(op, node.inputs[:inputs], attributes, num_outputs=1, name=node.name)
    new.metadata_props.update(node.metadata_props)
    old, result = node.outputs[0], new.outputs[0]
    result.type, result.shape, name = old.type, old.shape, old.name
    model.graph.insert_after(node, new)
    for user, index in list(old.uses()):
        user.replace_input_with(index, result)
    model.graph.remove(node, safe=True)
    result.name = name
    return names_of([new])


@fault("other activation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, inner_nodes(model, "Relu", "Tanh", "Sigmoid", "Elu", "Clip"))
    other = "LeakyRelu" if node is not None and node.op_type in ("Relu", "Clip", "Elu") else "Softsign"
    return _instead(model, node, other)


@fault("other kind of pooling")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, inner_nodes(model, "MaxPool", "AveragePool"))
    if node is None:
        return None
    names = ("kernel_shape", "strides", "pads", "ceil_mode")
    kept = {name: node.attributes[name].value for name in names if name in node.attributes}
    return _instead(model, node, "AveragePool" if node.op_type == "MaxPool" else "MaxPool", **kept)


@fault("maximum instead of mean of the image")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _instead(model, pick(rng, inner_nodes(model, "GlobalAveragePool")), "GlobalMaxPool")


@fault("other formula of GELU")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return "none" if node.attributes.get_string("approximate", "none") == "tanh" else "tanh"

    return change_attribute(model, rng, ("Gelu",), "approximate", change)


def _after(model: ir.Model, node: ir.Node, op: str, name: str, **attributes: Any) -> ir.Node:
    """Insert a node behind another; all that read the one read the other."""
    value = node.outputs[0]
    new = ir.node(op, [value], attributes, num_outputs=1, name=name)
    result = new.outputs[0]
    result.name, result.type, result.shape = name, value.type, value.shape
    for user, index in list(value.uses()):
        if user is not new:
            user.replace_input_with(index, result)
    model.graph.insert_after(node, new)
    return new


def _around(node: ir.Node, *more: ir.Node) -> list[str]:
    """Nodes that a node which was inserted after another can be taken for: itself, and those that read it."""
    last = more[-1] if more else node
    return list(dict.fromkeys([*names_of([node, *more]), *readers_of(last.outputs[0])]))


@fault("layer run twice")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def fits(node: ir.Node) -> bool:
        return size_of(node.inputs[0]) == size_of(node.outputs[0])

    node = pick(
        rng, filter(fits, inner_nodes(model, "BatchNormalization", "LayerNormalization", "Conv", "Gemm", "Tanh"))
    )
    if node is None:
        return None
    again = ir.Node("", node.op_type, node.inputs, node.attributes.values(), num_outputs=1, name=f"{node.name}_again")
    value, result = node.outputs[0], again.outputs[0]
    result.name, result.type, result.shape = again.name, value.type, value.shape
    for user, index in list(value.uses()):
        user.replace_input_with(index, result)
    again.replace_input_with(0, value)
    model.graph.insert_after(node, again)
    return _around(again)


@fault("rounded to half precision")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, inner_nodes(model, "Relu", "Conv", "LayerNormalization", "LSTM", "Gemm", "Add"))
    if node is None or node.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    half = _after(model, node, "Cast", f"{node.name}_half", to=int(ir.DataType.FLOAT16))
    half.outputs[0].type = ir.TensorType(ir.DataType.FLOAT16)
    back = _after(model, half, "Cast", f"{node.name}_float", to=int(ir.DataType.FLOAT))
    back.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    return _around(half, back)


@fault("equal axes swapped")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def equal(node: ir.Node) -> list[tuple[int, int]]:
        size = size_of(node.outputs[0])
        return [(i, j) for i in range(len(size)) for j in range(i) if size[i] == size[j] and size[i] != 1]

    node = pick(rng, filter(equal, inner_nodes(model, "Reshape", "Conv", "Relu", "Add", "MatMul")))
    if node is None:
        return None
    i, j = equal(node)[0]
    perm = list(range(len(size_of(node.outputs[0]))))
    perm[i], perm[j] = j, i
    return _around(_after(model, node, "Transpose", f"{node.name}_swapped", perm=perm))


@fault("a factor too much")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, inner_nodes(model, "Conv", "Relu", "Gemm", "Add", "MatMul"))
    if node is None or node.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    value = node.outputs[0]
    factor = add_constant(model.graph, f"{node.name}_factor", np.asarray(1.01, np.float32))
    set_kind(factor, "constant")
    new = _after(model, node, "Mul", f"{node.name}_scaled")
    new.resize_inputs(2)
    new.replace_input_with(0, value)
    new.replace_input_with(1, factor)
    return _around(new)


@fault("no gradient", "gradients")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, inner_nodes(model, "Relu", "Conv", "Gemm", "Add", "LayerNormalization", "Concat"))
    if node is None:
        return None
    stop = _after(model, node, "Identity", f"{node.name}_stopped")
    stop_gradient(stop)
    return [*_around(stop), node.name or ""]
