"""Wrong attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from faults.planting import (
    array_of,
    change_attribute,
    fault,
    names_of,
    nodes_of,
    pick,
    set_array,
    size_of,
)
from graphkit.ir.edit import add_constant

if TYPE_CHECKING:
    from faults.planting import Rng


@fault("padding on the other side")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        top, left, bottom, right = node.attributes.get_ints("pads", (0, 0, 0, 0))
        return (top - 1, left - 1, bottom + 1, right + 1) if top and left else None

    return change_attribute(model, rng, ("Conv", "MaxPool", "ConvTranspose"), "pads", change)


@fault("dilation and padding of two")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        weight = size_of(node.inputs[1])
        plain = set(node.attributes.get_ints("dilations", (1, 1))) == {1}
        same = node.attributes.get_ints("pads", (0, 0, 0, 0)) == (1, 1, 1, 1)
        return (2, 2) if plain and same and weight[2:] == (3, 3) else None

    found = change_attribute(model, rng, ("Conv",), "dilations", change)
    for node in model.graph:
        if found and node.name == found[0]:
            node.attributes["pads"] = ir.AttrInt64s("pads", (2, 2, 2, 2))
    return found


@fault("two groups instead of one")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def fits(node: ir.Node) -> bool:
        weight = size_of(node.inputs[1])
        return node.attributes.get_int("group", 1) == 1 and weight[0] % 2 == 0 and weight[1] % 2 == 0

    node = pick(rng, filter(fits, nodes_of(model, "Conv")))
    if node is None:
        return None
    weight, array = node.inputs[1], array_of(node.inputs[1])
    assert weight is not None
    assert array is not None
    set_array(weight, array[:, : array.shape[1] // 2])
    node.attributes["group"] = ir.AttrInt64("group", 2)
    return names_of([node])


@fault("padding counted in averages")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return 1 - node.attributes.get_int("count_include_pad", 0) if node.attributes.get_ints("pads", ()) else None

    return change_attribute(model, rng, ("AveragePool",), "count_include_pad", change)


@fault("wrong epsilon")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    ops = ("BatchNormalization", "LayerNormalization")
    return change_attribute(model, rng, ops, "epsilon", lambda node: 1e-2 if node else None)


@fault("epsilon doubled")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    ops = ("BatchNormalization", "LayerNormalization")
    return change_attribute(model, rng, ops, "epsilon", lambda node: 2 * node.attributes.get_float("epsilon", 1e-5))


@fault("wrong momentum", "statistics")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return 1 - node.attributes.get_float("momentum", 0.9)

    return change_attribute(model, rng, ("BatchNormalization",), "momentum", change)


@fault("wrong slope")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return change_attribute(model, rng, ("LeakyRelu", "Elu"), "alpha", lambda node: 0.2 if node else None)


@fault("softmax over another axis")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        rank = len(size_of(node.inputs[0]))
        return (node.attributes.get_int("axis", -1) - 1) % rank if rank > 1 else None

    return change_attribute(model, rng, ("Softmax", "LogSoftmax"), "axis", change)


@fault("other order of equal axes")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        perm = list(node.attributes.get_ints("perm", ()))
        size = size_of(node.inputs[0])
        equal = [(i, j) for i in range(len(perm)) for j in range(i) if size[perm[i]] == size[perm[j]]]
        if not equal or array_of(node.inputs[0]) is not None:
            return None
        i, j = equal[0]
        perm[i], perm[j] = perm[j], perm[i]
        return tuple(perm)

    return change_attribute(model, rng, ("Transpose",), "perm", change)


@fault("matrix not transposed")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        weight = size_of(node.inputs[1])
        return 1 - node.attributes.get_int("transB", 0) if len(set(weight)) == 1 else None

    return change_attribute(model, rng, ("Gemm",), "transB", change)


@fault("wrong factor of a product")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return change_attribute(model, rng, ("Gemm",), "alpha", lambda node: 1.01 if node else None)


@fault("wrong scale of attention")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return change_attribute(model, rng, ("Attention",), "scale", lambda node: 1.0 if node else None)


@fault("causal attention")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return change_attribute(model, rng, ("Attention",), "is_causal", lambda node: 1 if node else None)


@fault("other interpolation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return change_attribute(model, rng, ("Resize",), "mode", lambda node: "nearest" if node else None)


@fault("other coordinates of pixels")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    name = "coordinate_transformation_mode"
    return change_attribute(model, rng, ("Resize",), name, lambda node: "align_corners" if node else None)


@fault("reset before the product")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return 1 - node.attributes.get_int("linear_before_reset", 0)

    return change_attribute(model, rng, ("GRU",), "linear_before_reset", change)


@fault("backward in time")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return "reverse" if node.attributes.get_string("direction", "forward") == "forward" else None

    return change_attribute(model, rng, ("LSTM", "GRU"), "direction", change)


@fault("lower ceiling")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, (node for node in nodes_of(model, "Clip") if len(node.inputs) > 2))
    if node is None:
        return None
    ceiling = array_of(node.inputs[2])
    assert ceiling is not None
    wrong = add_constant(model.graph, f"{node.name}_ceiling", np.asarray(ceiling / 4, ceiling.dtype))
    node.replace_input_with(2, wrong)
    return names_of([node])


@fault("index off by one")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, (node for node in nodes_of(model, "Gather") if array_of(node.inputs[1]) is not None))
    if node is None:
        return None
    indices = array_of(node.inputs[1])
    axis = node.attributes.get_int("axis", 0)
    size = size_of(node.inputs[0])[axis]
    assert indices is not None
    moved = np.asarray((indices + 1) % (size if isinstance(size, int) else 2), indices.dtype)
    node.replace_input_with(1, add_constant(model.graph, f"{node.name}_moved", moved))
    return names_of([node])
