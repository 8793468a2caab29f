"""Exported program to ONNX, by torch.onnx with our own rows where its translations are missing, wrong or clumsy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from graphkit.errors import UnsupportedError, UnsupportedNode
from graphkit.frameworks.torch.aten import table
from graphkit.frameworks.torch.aten.emit import UNTRANSLATED, Emit
from graphkit.frameworks.torch.control_flow import without_gradients
from graphkit.frameworks.torch.explain import chain, sentence, user_line
from graphkit.frameworks.torch.kernels import plain_attention
from graphkit.frameworks.torch.quiet import quiet
from graphkit.ir.edit import nodes_of
from graphkit.ir.opset import OPSET

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["translate"]


def translate(program: torch.export.ExportedProgram) -> ir.Model:
    """Translate a program to ONNX of the canonical opset, unoptimised.

    Nodes keep torch.onnx's notes (``metadata_props`` and ``meta["node"]``).

    Raises:
        UnsupportedError: Operators without an ONNX translation, all of them; or one that torch.onnx fails on.
    """
    rows = table()
    untranslated: set[str] = set()
    while True:
        try:
            model = _export(program, rows)
        except Exception as error:
            target = _undispatched(error)
            if target is None or str(target) in untranslated:
                raise (_gaps(program, untranslated) or _failure(error)) from error
            untranslated.add(str(target))
            rows = {**rows, target: _stand_in(str(target), len(target._schema.returns))}
            continue
        RemoveUnusedNodesPass()(model)
        if refused := _collected(model):
            raise UnsupportedError("ONNX", refused)
        return model


def _export(program: torch.export.ExportedProgram, rows: dict[Any, Callable[..., Any]]) -> ir.Model:
    import torch

    with quiet(), plain_attention(), without_gradients(program):
        exported = torch.onnx.export(
            program,
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            custom_translation_table=rows,
            verbose=False,
        )
    assert exported is not None
    model: ir.Model = exported.model
    _keep_sources(model, exported.exported_program)
    return model


def _keep_sources(model: ir.Model, program: Any) -> None:
    """Tell nodes of functions that torch.onnx traced which node of the program they are for; it notes the name only."""
    sources = {node.name: node for node in program.graph.nodes}
    for node in model.graph:
        name = node.metadata_props.get("pkg.torch.onnx.fx_node", "").partition("%")[2].partition(" ")[0]
        if "node" not in node.meta and name in sources:
            node.meta["node"] = sources[name]


def _undispatched(error: Exception) -> Any:
    """The operator that torch.onnx found no translation for, where that is why it failed."""
    import torch

    for cause in chain(error):
        if type(cause).__name__ != "DispatchError":
            continue
        name = str(cause).partition("op='")[2].partition("'")[0]
        overload = str(cause).partition("overload='")[2].partition("'")[0]
        namespace, _, packet = name.rpartition(".")
        try:
            return getattr(getattr(getattr(torch.ops, namespace), packet), overload)
        except (AttributeError, RuntimeError):
            return None
    return None


def _stand_in(name: str, outputs: int) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        inputs = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, ir.Value)]
        made = Emit().untranslated(name, outputs, *inputs)
        return made[0] if outputs == 1 else made

    return stand_in


def _collected(model: ir.Model) -> list[UnsupportedNode]:
    found = []
    for node in nodes_of(model):
        if node.domain == UNTRANSLATED:
            origin: Any = node.meta.get("node")
            place = (node.name or "") if origin is None else _place(origin)
            why = node.attributes.get_string("why", "") or "torch.onnx has no translation of it"
            found.append(UnsupportedNode(node.op_type, place, why))
    return found


def _gaps(program: torch.export.ExportedProgram, untranslated: set[str]) -> UnsupportedError | None:
    """The nodes of operators without a translation, where torch.onnx does not take stand-ins for these."""
    found = [
        UnsupportedNode(str(node.target), _place(node), "torch.onnx has no translation of it")
        for node in program.graph.nodes
        if str(node.target) in untranslated
    ]
    return UnsupportedError("ONNX", found) if found else None


def _place(node: Any) -> str:
    """Name of a node of a program with its scope, and the user's line."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    line = user_line(node.meta.get("stack_trace", "") or "")
    told = ".".join(filter(None, (stack[-1][0] if stack else "", node.name)))
    return told + (f" ({line})" if line else "")


def _failure(error: Exception) -> UnsupportedError:
    """An error of torch.onnx that is not a missing translation, with the node it names."""
    text = next((str(cause) for cause in chain(error) if "translating node" in str(cause)), "")
    operator = text.partition("target=torch.ops.")[2].partition("]")[0]
    name = text.partition("node %")[2].partition(" ")[0]
    root = sentence(list(chain(error))[-1])
    return UnsupportedError(
        "ONNX", [UnsupportedNode(operator or "program", name or "forward", f"torch.onnx fails on it: {root}")]
    )
