"""A program's module with weights of its own, in one mode and one float type."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.mode import set_mode
from graphkit.frameworks.torch.quiet import quiet
from graphkit.frameworks.torch.tensors import identity

if TYPE_CHECKING:
    from collections.abc import Hashable

    import torch

    from graphkit.frameworks.base import Mode

__all__ = ["module_of"]

_COMPLEX: Final = {"float32": "complex64", "float64": "complex128", "float16": "complex32"}


def module_of(
    program: torch.export.ExportedProgram, mode: Mode, dtypes: dict[torch.dtype, torch.dtype]
) -> torch.fx.GraphModule:
    """The program as a runnable module whose parameters, buffers and constants are copies of the program's.

    Args:
        program: The program; it is not changed.
        mode: Whether BatchNorm and Dropout behave as in inference or in training.
        dtypes: Element types to replace, in the weights and in the graph, e.g. float32 by float64.
    """
    import torch

    with quiet():
        module: Any = program.module(check_guards=False)
    for before, after in list(dtypes.items()):
        names = [_COMPLEX.get(str(dtype).removeprefix("torch.")) for dtype in (before, after)]
        if names[0] and names[1]:
            dtypes = {**dtypes, getattr(torch, names[0]): getattr(torch, names[1])}
    _own_bodies(module)
    set_mode(module, mode)
    _own_tensors(module, dtypes)
    for inner in module.modules():
        if isinstance(inner, torch.fx.GraphModule):
            _replace_dtypes(inner, dtypes)
    return module  # type: ignore[no-any-return]  # torch types module() as nn.Module


def _own_bodies(module: torch.fx.GraphModule) -> None:
    """Give the module copies of the graphs that its operators call, which it shares with the program."""
    import torch

    for name, inner in list(module.named_children()):
        if isinstance(inner, torch.fx.GraphModule):
            own = torch.fx.GraphModule(inner, copy.deepcopy(inner.graph))
            own.meta.update(inner.meta)
            setattr(module, name, own)
            _own_bodies(own)


def _own_tensors(module: torch.fx.GraphModule, dtypes: dict[torch.dtype, torch.dtype]) -> None:
    """Give the module copies of its tensors; those that share memory go on sharing it."""
    import torch

    copies: dict[Hashable, torch.Tensor] = {}

    def copied(tensor: torch.Tensor) -> torch.Tensor:
        key = identity(tensor)
        if key not in copies:
            fresh = tensor.detach().to(dtypes.get(tensor.dtype, tensor.dtype), copy=True)
            differentiable = fresh.is_floating_point() or fresh.is_complex()
            parameter = isinstance(tensor, torch.nn.Parameter) and differentiable
            copies[key] = torch.nn.Parameter(fresh) if parameter else fresh
        return copies[key]

    for inner in module.modules():
        holders: list[dict[str, Any]] = [inner._parameters, inner._buffers, vars(inner)]
        for holder in holders:
            for name, tensor in list(holder.items()):
                if isinstance(tensor, torch.Tensor):
                    holder[name] = copied(tensor)


def _replace_dtypes(module: torch.fx.GraphModule, dtypes: dict[torch.dtype, torch.dtype]) -> None:
    import torch
    from torch.utils import _pytree

    def replaced(leaf: Any) -> Any:
        return dtypes.get(leaf, leaf) if isinstance(leaf, torch.dtype) else leaf

    for node in list(module.graph.nodes):
        if getattr(node.target, "_schema", None) is not None and node.target._schema.name.startswith("aten::_assert_"):
            module.graph.erase_node(node)
            continue
        if node.target is torch.ops.aten.rms_norm.default:
            _keep_epsilon(node)
        node.args, node.kwargs = _pytree.tree_map(replaced, (node.args, dict(node.kwargs)))
    module.recompile()


def _keep_epsilon(node: torch.fx.Node) -> None:
    """Write out the default epsilon of RMSNorm, which is the machine's for the element type."""
    import torch

    source = node.args[0]
    value = source.meta.get("val") if isinstance(source, torch.fx.Node) else None
    # It is the fourth argument, after the input, its normalised shape and the weight.
    given = node.args[3] if len(node.args) > 3 else node.kwargs.get("eps")
    if given is None and isinstance(value, torch.Tensor):
        arguments = [*node.args, *[None] * (4 - len(node.args))]
        if len(node.args) < 3:
            arguments[2] = node.kwargs.get("weight")
        arguments[3] = torch.finfo(value.dtype).eps
        node.args, node.kwargs = tuple(arguments), {}
