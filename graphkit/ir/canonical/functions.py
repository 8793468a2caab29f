"""A model's own functions, put in place of the nodes that call them."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Final

import onnx_ir as ir
from onnx_ir.passes import InvariantError
from onnx_ir.passes.common import InlinePass

from graphkit import limits
from graphkit.errors import FormatError
from graphkit.ir.own import DOMAIN, OPERATOR, OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphkit.ir.keeping import Keeping

__all__ = ["inline_functions"]

_LEVELS: Final = 3
"""Messages within each other that a graph within another is in ONNX: node, attribute and graph."""
_MAIN: Final[ir.OperatorIdentifier] = ("", "", "")
"""Stands for the graph of the model among its functions."""


def inline_functions(model: ir.Model, keeping: Keeping | None = None) -> None:
    """Inline all functions, in place; calls of bodies of graphkit's own operators become those operators again.

    Args:
        model: The model.
        keeping: Keeps the functions of a model whose functions cannot be put in place; None refuses them.

    A function may be of another opset than the model; its nodes then note the opset they are of in ``node.version``.

    Raises:
        FormatError: Functions call each other in a circle, or contradict the model.
        LimitError: The model would have more nodes, or graphs deeper within each other, than the limits allow.
    """
    _put_own_back(model)
    _check_inlined(model)
    imports = model.opset_imports
    for function in model.functions.values():
        own = function.opset_imports.get("", imports.get(""))
        if own is not None and own != imports.setdefault("", own):
            for node in function.all_nodes():
                if node.domain == "":
                    node.version = own
            function.opset_imports[""] = imports[""]
    try:
        InlinePass()(model)
    except (ValueError, InvariantError) as error:
        if keeping is not None:
            told = " ".join(str(error).split())
            keeping.contradictions.append(f"The model's functions cannot be put in place: {told.rstrip('.')}.")
            return
        raise FormatError(f"The model's functions cannot be put in place: {' '.join(str(error).split())}") from error


def _check_inlined(model: ir.Model) -> None:
    """Refuse functions that call others which call others so often that their bodies are too many or too deep.

    Functions that call each other in a circle are left to who puts them in place.
    """
    functions = model.functions
    if not functions:
        return
    calls: dict[ir.OperatorIdentifier, list[tuple[ir.OperatorIdentifier, int]]] = {}
    own: dict[ir.OperatorIdentifier, tuple[int, int]] = {}
    bodies: list[tuple[ir.OperatorIdentifier, ir.Graph | ir.Function]] = [*functions.items(), (_MAIN, model.graph)]
    for key, body in bodies:
        inside = [(node, depth) for graph, depth in _graphs_with_depth(body) for node in graph]
        calls[key] = [(name, depth) for node, depth in inside if (name := node.op_identifier()) in functions]
        own[key] = (len(inside) - len(calls[key]), max((depth for _, depth in inside), default=1))
    try:
        order = [*TopologicalSorter({key: {name for name, _ in named} for key, named in calls.items()}).static_order()]
    except CycleError:
        return
    for key in order:
        count, deepest = own[key]
        for name, depth in calls[key]:
            count += own[name][0]
            deepest = max(deepest, depth + own[name][1] - 1)
        own[key] = (count, deepest)
    limits.check("nodes", own[_MAIN][0], "The model, with its functions in place of the nodes that call them,")
    limits.check(
        "nesting", own[_MAIN][1] * _LEVELS, "The model, with its functions in place of the nodes that call them,"
    )


def _graphs_with_depth(body: ir.Graph | ir.Function) -> Iterator[tuple[Iterable[ir.Node], int]]:
    """A graph and those nested in it, and how deep they lie, from 1 on."""
    waiting: list[tuple[Iterable[ir.Node], int]] = [(body, 1)]
    while waiting:
        graph, depth = waiting.pop()
        yield graph, depth
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.is_ref():
                    continue
                if attribute.type == ir.AttributeType.GRAPH:
                    waiting.append((attribute.as_graph(), depth + 1))
                elif attribute.type == ir.AttributeType.GRAPHS:
                    waiting.extend((inner, depth + 1) for inner in attribute.as_graphs())


def _put_own_back(model: ir.Model) -> None:
    bodies = {
        function.name: function.metadata_props[OPERATOR]
        for function in model.functions.values()
        if function.domain == DOMAIN and function.metadata_props.get(OPERATOR) in OPERATORS
    }
    callers: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for caller in callers:
        for node in caller.all_nodes():
            if node.domain == DOMAIN:
                node.op_type = bodies.get(node.op_type, node.op_type)
    for key, function in tuple(model.functions.items()):
        if function.domain == DOMAIN and function.name in bodies:
            del model.functions[key]
