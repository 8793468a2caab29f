"""A model's own functions, put in place of the nodes that call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_ir.passes import InvariantError
from onnx_ir.passes.common import InlinePass

from graphkit.errors import FormatError
from graphkit.ir.own import DOMAIN, OPERATOR, OPERATORS

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ir.keeping import Keeping

__all__ = ["inline_functions"]


def inline_functions(model: ir.Model, keeping: Keeping | None = None) -> None:
    """Inline all functions, in place; calls of bodies of graphkit's own operators become those operators again.

    Args:
        model: The model.
        keeping: Keeps the functions of a model whose functions cannot be put in place; None refuses them.

    A function may be of another opset than the model; its nodes then note the opset they are of in ``node.version``.

    Raises:
        FormatError: Functions call each other in a circle, or contradict the model.
    """
    _put_own_back(model)
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
