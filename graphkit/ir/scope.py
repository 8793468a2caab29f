"""Which module of the source program a node belongs to."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from graphkit.ir.origin import origin_of

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["scope_of"]

_TORCH_SCOPES: Final = "pkg.torch.onnx.name_scopes"
"""Where torch.onnx notes the modules around a node, outermost first, with the node's own name last."""

_TORCH_NOWHERE: Final = "_empty_nn_module_stack"
"""What torch.export writes for nodes outside every module."""

_DOTTED: Final = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)+")


def scope_of(node: ir.Node) -> str:
    """Path of the module that holds a node, joined by dots; ``""`` where nothing tells.

    It is what the node's origin says; else what torch.onnx noted in the file; else what precedes the last slash
    (``/layer1/layer1.0/conv1/Conv``: ``layer1.0.conv1``) or the last dot (``layer1.0.conv1``: ``layer1.0``) of the
    node's name.
    """
    return origin_of(node).scope or _torch_scope(node) or _name_scope(node.name or "", node.op_type)


def _torch_scope(node: ir.Node) -> str:
    try:
        scopes = ast.literal_eval(node.metadata_props.get(_TORCH_SCOPES, "[]"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ""
    if not isinstance(scopes, list) or len(scopes) < 2 or not isinstance(scopes[-2], str):
        return ""
    return "" if scopes[-2].startswith(_TORCH_NOWHERE) else scopes[-2]


def _name_scope(name: str, op_type: str) -> str:
    if "/" in name:
        path = ""
        for part in filter(None, name.split("/")[:-1]):
            path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
        return path
    if _DOTTED.fullmatch(name):
        scope, _, last = name.rpartition(".")
        return "" if scope == op_type and last.isdigit() else scope
    return ""
