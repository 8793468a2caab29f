"""A model that computes a model's gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.errors import InputError
from graphkit.ir.origin import drop_source
from graphkit.ir.params import of_kind
from graphkit.ir.training import set_cotangents, set_gradients
from graphkit.ops.index import index
from graphkit.passes.expand_function import expand_function
from graphkit.passes.gradient.builder import Builder
from graphkit.passes.gradient.pieces import join_pieces
from graphkit.passes.gradient.pulling import depending, is_differentiable, read_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["differentiate", "gradient_model", "gradient_of", "trained_values"]


def gradient_of(name: str) -> str:
    """What the gradient in a value is called."""
    return f"{name}.grad"


def trained_values(model: ir.Model) -> list[ir.Value]:
    """The float inputs and parameters of a model, which gradients are computed in where nothing else is asked for."""
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    return [value for value in (*inputs, *of_kind(model, "parameter")) if _is_float(value)]


def gradient_model(model: ir.Model, wrt: Sequence[str] | None = None, outputs: Sequence[str] | None = None) -> ir.Model:
    """A model that computes a model's outputs and the gradients of Σ⟨cotangent, output⟩.

    Args:
        model: A canonical model; it is left as it is. BatchNorm and Dropout are taken as in inference.
        wrt: Names of the float values to differentiate in: inputs, initializers, values of the main graph. None for
            all float inputs and parameters.
        outputs: Names of the float outputs that have a cotangent; None for all.

    Returns:
        The model with an input ``y.grad`` for the cotangent of each output y, and an output ``x.grad`` for the gradient
        in each value x, zeros where nothing depends on it; a name that is taken is followed by a number.
        :func:`graphkit.ir.training.cotangents_of` and :func:`graphkit.ir.training.gradients_of` name them.

    Raises:
        InputError: A name is of no value, or of one that is not differentiable.
        UnsupportedError: Nodes through which no gradient can be expressed, all of them.
    """
    copy = model.clone()
    copy.meta.update(model.meta)
    drop_source(copy)
    ends = _ends(copy, outputs)
    targets = trained_values(copy) if wrt is None else [_float(copy, name) for name in wrt]
    seeds: dict[str, ir.Value] = {}
    free = Builder(copy).free
    for end in ends:
        name = free(gradient_of(end.name or ""))
        seed = ir.Value(name=name, type=end.type, shape=end.shape)
        copy.graph.inputs.append(seed)
        seeds[end.name or ""] = seed
    differentiate(copy, seeds, [target.name or "" for target in targets])
    set_cotangents(copy, {name: seed.name or "" for name, seed in seeds.items()})
    return copy


def differentiate(model: ir.Model, seeds: Mapping[str, ir.Value], wrt: Sequence[str]) -> None:
    """Give a model outputs that are the gradients of Σ⟨seed, value⟩ in targets, in place.

    Args:
        model: A canonical model.
        seeds: Cotangents of values of its main graph, by their names.
        wrt: Names of the values to differentiate in.

    Raises:
        UnsupportedError: Nodes through which no gradient can be expressed, all of them.
    """
    join_pieces(model)
    _expand(model, seeds, wrt)
    builder = Builder(model)
    known = _values(model)
    targets = [known[name] for name in wrt]
    found = builder.pull(list(model.graph), {known[name]: seed for name, seed in seeds.items()}, targets)
    made = set(builder.nodes)
    given: set[ir.Value] = set()
    names: dict[str, str] = {}
    for target, gradient in zip(targets, found, strict=True):
        own = builder.full_like(target) if gradient is None else gradient
        name = builder.free(gradient_of(target.name or ""))
        if gradient is not None and (own.producer() not in made or own in given):
            own = builder.op("Identity", own)  # the gradient in several values, or a cotangent
        given.add(own)
        own.name = names[target.name or ""] = name
        own.type, own.shape = target.type, target.shape
        model.graph.outputs.append(own)
    model.graph.extend(builder.nodes)
    _drop_unused(model, builder)
    set_gradients(model, names)


def _drop_unused(model: ir.Model, builder: Builder) -> None:
    """Drop what was emitted for nothing: a rule may need less than it thought."""
    for node in reversed(builder.nodes):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            model.graph.remove(node, safe=True)
    for value in builder.constants:
        if not value.uses() and value.name is not None:
            model.graph.initializers.pop(value.name, None)


def _values(model: ir.Model) -> dict[str, ir.Value]:
    """The values of the main graph, by name."""
    computed = (value for node in model.graph for value in node.outputs)
    return {value.name or "": value for value in (*model.graph.inputs, *model.graph.initializers.values(), *computed)}


def _expand(model: ir.Model, ends: Iterable[str], wrt: Iterable[str]) -> None:
    """Replace nodes that no rule is for by the bodies that ONNX defines them with, on the way from ends to targets."""
    while True:
        known = _values(model)
        lacking = _lacking(list(model.graph), [known[name] for name in wrt], [known[name] for name in ends])
        if not [node for node in lacking if expand_function(model, node) is not None]:
            return


def _lacking(nodes: Sequence[ir.Node], sources: Iterable[ir.Value], ends: Iterable[ir.Value]) -> list[ir.Node]:
    """The nodes that no rule is for on the way from ends to sources, those in graphs inside nodes included."""
    useful, needed = depending(nodes, sources), set(ends)
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(read_by(node))
    found = []
    for node in nodes:
        if not any(value in useful and value in needed for value in node.outputs):
            continue
        if _lacks_rule(node):
            found.append(node)
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                graph = attribute.as_graph()
                found += _lacking(list(graph), (*useful, *graph.inputs), graph.outputs)
    return found


def _lacks_rule(node: ir.Node) -> bool:
    op = index().by_onnx.get((node.domain, node.op_type))
    return op is None or op.gradient is None


def _ends(model: ir.Model, outputs: Sequence[str] | None) -> list[ir.Value]:
    known = {value.name: value for value in model.graph.outputs}
    if outputs is None:
        found = [value for value in model.graph.outputs if _is_float(value)]
        if not found:
            raise InputError(
                f"There is nothing to differentiate: the model's outputs ({', '.join(map(repr, known))}) are no floats."
            )
        return found
    for name in outputs:
        if name not in known:
            raise InputError(f"The model has no output {name!r}; its outputs are {', '.join(map(repr, known))}.")
        if not _is_float(known[name]):
            raise InputError(f"Output {name!r} is {_kind(known[name])}, which has no gradient; name a float output.")
    return [known[name] for name in outputs]


def _float(model: ir.Model, name: str) -> ir.Value:
    known = _values(model)
    if name not in known:
        inputs = ", ".join(repr(value.name) for value in trained_values(model))
        raise InputError(f"The model has no value {name!r} to differentiate in; its float inputs are {inputs}.")
    if not _is_float(known[name]):
        raise InputError(f"Value {name!r} is {_kind(known[name])}, and there is no gradient in it; name a float value.")
    return known[name]


def _kind(value: ir.Value) -> str:
    return "of unknown type" if value.dtype is None else f"of {value.dtype.name.lower()} numbers"


def _is_float(value: ir.Value) -> bool:
    return isinstance(value.type, ir.TensorType) and value.dtype is not None and is_differentiable(value)
