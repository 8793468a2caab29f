"""Carrying what torch knows of a program over to its ONNX model: kinds, exact numbers, origins, dimensions."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.dimensions import name_of_dimension
from graphkit.frameworks.torch.explain import user_line
from graphkit.frameworks.torch.lasting import NAMESPACE
from graphkit.frameworks.torch.tensors import identity, to_array
from graphkit.ir.edit import graphs_of, nodes_of
from graphkit.ir.origin import NATIVE, Origin, set_origin
from graphkit.ir.params import exact, frozen_parameters, set_exact, set_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

__all__ = ["CALL", "STEM", "annotate"]

CALL: Final = "graphkit.torch.call"
"""Which call of a module a node belongs to, while names are being given."""
STEM: Final = "graphkit.torch.stem"
"""What to call a node by in place of its operator, while names are being given."""

_EXPORTERS_NOTES: Final = ("pkg.torch.", "namespace")
_SYMBOL: Final = re.compile(r"(?<!\w)[su]\d+(?!\w)")
_CALLED_AGAIN: Final = re.compile(r"@\d+")
_NOWHERE: Final = "_empty_nn_module_stack"
_CONSTANTS: Final = (
    math.pi, math.tau, math.e, math.log(2), math.log(10), math.sqrt(2), math.sqrt(math.pi), math.sqrt(2 * math.pi),
    math.sqrt(2 / math.pi), 2 / math.sqrt(math.pi), math.pi / 180, 180 / math.pi, 1 / 3, 1 / 6,
)  # fmt: skip
"""Doubles that torch.onnx writes itself, and their reciprocals."""


def annotate(model: ir.Model, program: torch.export.ExportedProgram, same: Mapping[str, str]) -> None:
    """Note origins, kinds and exact numbers, give dimensions readable names, and drop the exporter's notes, in place.

    Args:
        model: What torch.onnx translated, with its notes.
        program: The program that was translated.
        same: Symbols of torch's that are another one.
    """
    _origins(model)
    _initializers(model, program)
    _doubles(model)
    _dimensions(model, same)
    for graph in graphs_of(model.graph):
        graph.metadata_props.clear()
        for node in graph:
            _drop_notes(node.metadata_props)
            for value in node.outputs:
                _drop_notes(value.metadata_props)
        for value in (*graph.inputs, *graph.initializers.values()):
            _drop_notes(value.metadata_props)


def _drop_notes(notes: dict[str, str]) -> None:
    for key in [key for key in notes if key.startswith(_EXPORTERS_NOTES)]:
        del notes[key]


def _origins(model: ir.Model) -> None:
    last: dict[str, Any] = {}
    for node in nodes_of(model):
        fx: Any = node.meta.get("node")
        if fx is not None and (native := _provenance(fx)):
            last[native] = fx
    for node in nodes_of(model):
        fx = node.meta.get("node")
        if fx is None:
            set_origin(node, Origin("torch"))
            continue
        stack = [(key, *entry) for key, entry in fx.meta.get("nn_module_stack", {}).items()]
        key, scope, module = stack[-1] if stack else ("", "", "")
        if scope.startswith(_NOWHERE):
            key, scope, module = "", "", ""
        op = (
            str(fx.target)
            if isinstance(fx.target, str) or "." in str(fx.target)
            else getattr(fx.target, "__name__", "")
        )
        if op.startswith(f"{NAMESPACE}."):
            op = "aten" + op.removeprefix(NAMESPACE)
        set_origin(
            node,
            Origin(
                framework="torch",
                op=op,
                name=fx.name,
                scope=_CALLED_AGAIN.sub("", scope),
                module=module if isinstance(module, str) else f"{module.__module__}.{module.__qualname__}",
                line=user_line(fx.meta.get("stack_trace") or ""),
            ),
        )
        node.metadata_props[CALL] = key
        native = _provenance(fx)
        if native and last[native] is fx:
            node.metadata_props[NATIVE] = native


def _provenance(fx: Any) -> str:
    """Name of the node of the original program that a decomposed node stems from; empty where it is not known."""
    sources = fx.meta.get("from_node") or []
    name = ""
    while sources:
        source = sources[-1]
        name = source.name
        sources = source.from_node or []
    return str(name)


def _initializers(model: ir.Model, program: torch.export.ExportedProgram) -> None:
    """Kinds, the first name of tied tensors, and arrays in place of torch's tensors."""
    import torch

    signature = program.graph_signature
    held = {name: program.state_dict.get(name) for name in signature.inputs_to_parameters.values()}
    frozen = frozen_parameters(
        {
            name: tensor.requires_grad
            for name, tensor in held.items()
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
        }
    )
    parameters = held.keys() - frozen
    buffers = {*signature.inputs_to_buffers.values(), *frozen}
    first: dict[Any, str] = {}
    for name, tensor in program.state_dict.items():
        first.setdefault(identity(tensor), name)
    kept: dict[str, ir.Value] = {}
    values = list(model.graph.initializers.values())
    model.graph.initializers.clear()
    for value in values:
        name = value.name or ""
        tensor = program.state_dict.get(name, program.constants.get(name))
        set_kind(value, "parameter" if name in parameters else "buffer" if name in buffers else "constant")
        if not isinstance(tensor, torch.Tensor):
            kept[name] = value
            continue
        name = first.get(identity(tensor), name)
        if name in kept:
            value.replace_all_uses_with(kept[name])
            continue
        value.name = name
        value.const_value = ir.Tensor(to_array(tensor), dtype=value.dtype, name=name)
        kept[name] = value
    for value in kept.values():
        model.graph.register_initializer(value)


def _doubles(model: ir.Model) -> None:
    """Make initializers of float32 constants that came from Python's doubles, and keep the doubles."""
    for node in nodes_of(model):
        if node.op_type != "Constant" or node.domain or node.graph is None:
            continue
        value = node.outputs[0]
        if value.is_graph_output():
            continue
        array = _float32(node)
        if array is None:
            continue
        doubles = exact(value)
        fx: Any = node.meta.get("node")
        if doubles is None and array.size:
            candidates = {np.float32(number).item(): number for number in reversed(list(_numbers(fx)))}
            found = [candidates.get(number.item()) for number in array.flat]
            doubles = None if None in found else np.array(found, np.float64).reshape(array.shape)
        if doubles is None:
            continue
        fresh = ir.Value(
            name=value.name,
            type=ir.TensorType(ir.DataType.FLOAT),
            shape=ir.Shape(array.shape),
            const_value=ir.tensor(array),
        )
        set_exact(fresh, doubles)
        set_kind(fresh, "constant")
        value.replace_all_uses_with(fresh)
        node.graph.remove(node, safe=True)
        model.graph.register_initializer(fresh)
        _cast_doubles(model, fresh)


def _cast_doubles(model: ir.Model, single: ir.Value) -> None:
    """Make casts of a constant to float64 the doubles, which is what torch computes with."""
    doubles = exact(single)
    for node, _ in tuple(single.uses()):
        wide = node.op_type == "Cast" and node.attributes.get_int("to", 0) == ir.DataType.DOUBLE
        if wide and doubles is not None and node.graph is not None and not node.outputs[0].is_graph_output():
            value = node.outputs[0]
            fresh = ir.Value(
                name=value.name,
                type=ir.TensorType(ir.DataType.DOUBLE),
                shape=ir.Shape(doubles.shape),
                const_value=ir.tensor(doubles),
            )
            set_kind(fresh, "constant")
            value.replace_all_uses_with(fresh)
            node.graph.remove(node, safe=True)
            model.graph.register_initializer(fresh)


def _float32(node: ir.Node) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    for name in ("value", "value_float", "value_floats"):
        if (attribute := node.attributes.get(name)) is not None:
            if name != "value":
                return np.asarray(attribute.value, np.float32)
            tensor = attribute.as_tensor()
            return tensor.numpy() if tensor.dtype == ir.DataType.FLOAT else None
    return None


def _numbers(fx: Any) -> Iterator[float]:
    """The doubles among a node's arguments, their defaults, and what torch.onnx derives from them."""
    from torch.utils import _pytree

    given: list[float] = []
    if fx is not None:
        schema = getattr(fx.target, "_schema", None)
        defaults = [argument.default_value for argument in schema.arguments] if schema is not None else []
        given = [leaf for leaf in _pytree.tree_leaves((fx.args, dict(fx.kwargs), defaults)) if isinstance(leaf, float)]
    for number in (*given, *_CONSTANTS):
        yield number
        yield -number
        if number and math.isfinite(number):
            yield 1 / number
    for number in given:
        yield 1 - number


def _dimensions(model: ir.Model, same: Mapping[str, str]) -> None:
    """Give torch's symbols names; a symbol that turned out to have one value only is that number."""
    names: dict[str, str] = {}
    for value in model.graph.inputs:
        for axis, dim in enumerate(value.shape or ()):
            symbol = dim.value if isinstance(dim, ir.SymbolicDim) else None
            if symbol is None or symbol in names or not _SYMBOL.fullmatch(symbol):
                continue
            names[symbol] = names.get(same.get(symbol, "")) or name_of_dimension(value.name or "", axis, names.values())
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    values += [output for node in nodes_of(model) for output in node.outputs]

    def renamed(dim: int | ir.SymbolicDim) -> int | str | None:
        if isinstance(dim, int) or dim.value is None:
            return None if isinstance(dim, ir.SymbolicDim) else dim
        text = _SYMBOL.sub(lambda match: names.get(match[0], match[0]), dim.value)
        return int(text) if text.isdigit() else text

    for value in values:
        if value.shape is not None:
            value.shape = ir.Shape([renamed(dim) for dim in value.shape])
