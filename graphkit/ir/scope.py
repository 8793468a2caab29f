"""Which module of the source program a node belongs to, and what it is called inside that module."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from graphkit.ir.origin import origin_of
from graphkit.ir.training import is_backward

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["noted_list", "place_of"]

_TORCH_SCOPES: Final = "pkg.torch.onnx.name_scopes"
"""Where torch.onnx notes the modules around a node, outermost first, with the node's own name last."""

_TORCH_NOWHERE: Final = "_empty_nn_module_stack"
_LONGEST: Final = 100_000
"""Characters of such a note; a module path is seldom longer than a hundred."""
"""What torch.export writes for nodes outside every module."""

_GRADIENT: Final = ".grad."
"""What comes before it in the name of a node that computes gradients is the node that it is for."""

_DOTTED: Final = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)+")

_DOTTED_MODULES: Final = re.compile(r"[A-Za-z_]\w*(?:\.(?:[A-Za-z_]\w*|\d+))+")
"""A name that a converted model brought along, such as ``layer1.0.conv1``; ``net1.0_conv0`` is MXNet's own."""

_BLOCK: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*\d[a-z]?")
"""A numbered block in an MXNet name, such as ``stage1``, ``resnetv10`` or ``resnetv1d``."""


def place_of(node: ir.Node) -> tuple[str, str]:
    """Path of the module that holds a node, joined by dots, and the node's name inside it.

    The path is what the node's origin says; else what torch.onnx noted in the file; else what the name says:
    ``/layer1/layer1.0/conv1/Conv`` is ``Conv`` in ``layer1.0.conv1``, ``layer1.0.conv1`` is ``conv1`` in ``layer1.0``,
    and MXNet's ``net0_stage1_conv2_fwd`` is ``conv2`` in ``net0.stage1``. It is empty where nothing tells. A node that
    computes gradients is in the module of the node that it is for.
    """
    origin = origin_of(node)
    name = node.name or ""
    if is_backward(node):
        name, _, _ = name.partition(_GRADIENT)
    if scope := origin.scope or _torch_scope(node):
        return scope, name.removeprefix(f"{scope}.")
    if origin.framework == "mxnet":
        scope, leaf = _mxnet_place(origin.name or name)
        is_dotted = not scope and _DOTTED_MODULES.fullmatch(leaf)
        return _name_place(leaf, node.op_type) if is_dotted else (scope, leaf)
    return _name_place(name, node.op_type)


def _torch_scope(node: ir.Node) -> str:
    scopes = noted_list(node.metadata_props.get(_TORCH_SCOPES, ""))
    if len(scopes) < 2 or not isinstance(scopes[-2], str):
        return ""
    return "" if scopes[-2].startswith(_TORCH_NOWHERE) else scopes[-2]


def noted_list(text: str) -> list[object]:
    """The list that torch's exporter notes of a node as Python spells it; empty where it is none, or too long."""
    if not text or len(text) > _LONGEST:
        return []
    try:
        found = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return []
    return found if isinstance(found, list) else []


@lru_cache(4096)
def _mxnet_place(name: str) -> tuple[str, str]:
    """What leads up to the last numbered block of a name, and the rest; Gluon adds ``_fwd`` to a layer's operator."""
    parts = name.removesuffix("_fwd").split("_")
    last = max(
        (k for k, part in enumerate(parts[:-1]) if _BLOCK.fullmatch(part) and not parts[k + 1][:1].isdigit()),
        default=-1,
    )
    if not all(part[:1].isalpha() for part in parts[: last + 1]):
        return "", "_".join(parts)
    return ".".join(parts[: last + 1]), "_".join(parts[last + 1 :])


def _name_place(name: str, op_type: str) -> tuple[str, str]:
    if "/" in name:
        *parts, last = name.split("/")
        path = ""
        for part in filter(None, parts):
            path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
        return path, last
    if _DOTTED.fullmatch(name):
        scope, _, last = name.rpartition(".")
        if scope != op_type or not last.isdigit():
            return scope, last
    return "", name
