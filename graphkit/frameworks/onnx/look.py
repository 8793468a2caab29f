"""ONNX files as models to be looked at."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.errors import FormatError, ParameterError
from graphkit.files import steady
from graphkit.frameworks.onnx.load import load, named
from graphkit.frameworks.onnx.read import take_inputs
from graphkit.frameworks.onnx.validate import Findings
from graphkit.ir.canonical import canonical
from graphkit.ir.canonical.contrib import why_kept
from graphkit.ir.canonical.kinds import classify
from graphkit.ir.canonical.sorting import sort_nodes
from graphkit.ir.edit import nodes_of
from graphkit.ir.keeping import KEPT, STUMBLES, Keeping
from graphkit.ir.origin import Source, set_source
from graphkit.ir.own import DOMAIN
from graphkit.ir.shapes import infer_in
from graphkit.ir.untranslated import set_untranslated, untranslated
from graphkit.ir.weights import check_weights
from graphkit.ops import ledger

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.base import ReadOptions

__all__ = ["look"]


def look(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    """Read a model of which no node is refused; see :class:`graphkit.frameworks.base.Framework`.

    A model may be of any opset and lack the files of its weights, which then have shapes and no values.
    """
    path = Path(source)
    findings = Findings()
    with steady(path):
        model = load(path, findings)
    version = model.opset_imports.get("", model.opset_imports.get("ai.onnx"))
    keeping = Keeping()
    unused = tuple(name for graph in model.graphs() for name, value in graph.initializers.items() if _is_unused(value))
    with named(path):
        take_inputs(model, options)
        if raw:
            sort_nodes(model)
            _infer(model)
            classify(model)
        else:
            canonical(model, keeping)
            _mark(model, version)
            _check(model, keeping)
    for message in [*findings.notes, *keeping.messages(str(path))]:
        options.warn(message)
    set_source(model, Source("onnx", path.name, path, unused=unused))
    return model


def _is_unused(value: ir.Value) -> bool:
    return not value.uses() and not value.is_graph_output()


def _mark(model: ir.Model, version: int | None) -> None:
    """Let nodes of other domains say why they stay, and give the domain of those that were kept a version."""
    for node in nodes_of(model):
        if node.domain == KEPT:
            model.opset_imports[KEPT] = version or 1
        elif node.domain not in ("", DOMAIN) and not untranslated(node):
            unknown = f"graphkit does not know operators of the domain {node.domain}"
            if node.op_identifier() in model.functions:
                unknown = "the model's functions cannot be put in place"
            set_untranslated(node, why_kept(node) or ledger.ONNX.get((node.domain, node.op_type), unknown))


def _check(model: ir.Model, keeping: Keeping) -> None:
    try:
        check_weights(model)
    except ParameterError as error:
        keeping.contradictions.append(str(error))


def _infer(model: ir.Model) -> None:
    """Set dtypes and shapes as ONNX's own inference finds them in the model's own opset, or else the canonical one."""
    values = [value for graph in model.graphs() for node in graph for value in node.outputs]
    values.extend(model.graph.outputs)
    versions = {"" if domain == "ai.onnx" else domain: version for domain, version in model.opset_imports.items()}
    for graph in model.graphs():
        for node in graph:
            with contextlib.suppress(FormatError, *STUMBLES):  # what contradicts itself is told by the canonical form
                infer_in(node, versions.get(node.domain, 1))
    if all(value.shape is not None for value in values):
        return
    other = canonical(model.clone(), Keeping())
    named = {value.name: value for node in nodes_of(other) for value in node.outputs}
    for value in values:
        if value.shape is None and (twin := named.get(value.name)) is not None:
            value.type, value.shape = value.type or twin.type, twin.shape
