"""Splits of axes of a free size in exported programs."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

__all__ = ["slice_free_splits"]

_END: Final = 2**63 - 1


def slice_free_splits(module: torch.fx.GraphModule) -> None:
    """Have pieces of an axis of a free size be slices of it, in place: torch.onnx cannot tell how many there are."""
    import torch

    for inner in module.modules():
        if not isinstance(inner, torch.fx.GraphModule):
            continue
        for node in list(inner.graph.nodes):
            if node.target in (torch.ops.aten.split.Tensor, torch.ops.aten.chunk.default) and _is_free(node):
                _slice(inner.graph, node)
        inner.recompile()


def _is_free(node: torch.fx.Node) -> bool:
    import torch

    size = _size_along(node)
    pieces = all(user.target is operator.getitem for user in node.users)
    return pieces and (isinstance(size, torch.SymInt) or isinstance(node.args[1], torch.fx.Node))


def _size_along(node: torch.fx.Node) -> Any:
    x, dim = node.args[0], _dim(node)
    return x.meta["val"].shape[dim]  # type: ignore[union-attr]  # the first argument is a node


def _dim(node: torch.fx.Node) -> Any:
    return node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)


def _slice(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    import torch

    x, size = node.args[:2]
    if node.target is torch.ops.aten.chunk.default:
        size = _chunk(graph, node)
    last = len(node.meta["val"]) - 1
    for user in list(node.users):
        place: Any = user.args[1]
        with graph.inserting_before(user):
            start, end = (_times(graph, size, count) for count in (place, place + 1))
        user.target = torch.ops.aten.slice.Tensor
        user.args = (x, _dim(node), start, _END if place == last else end)
    graph.erase_node(node)


def _chunk(graph: torch.fx.Graph, node: torch.fx.Node) -> torch.fx.Node:
    """The size of all chunks but the last, ⌈n/k⌉."""
    import torch

    x, count = node.args[:2]
    found: Any = _size_along(node)
    with graph.inserting_before(node):
        size = graph.call_function(torch.ops.aten.sym_size.int, (x, _dim(node)))
        more = graph.call_function(operator.add, (size, count - 1))  # type: ignore[operator]  # a number
        chunk = graph.call_function(operator.floordiv, (more, count))
    size.meta["val"], more.meta["val"] = found, found + (count - 1)  # type: ignore[operator]  # as above
    chunk.meta["val"] = (found + (count - 1)) // count  # type: ignore[operator]  # as above
    return chunk


def _times(graph: torch.fx.Graph, size: Any, count: int) -> Any:
    import torch

    if count < 2 or not isinstance(size, torch.fx.Node):
        return size if count == 1 else 0 if count == 0 else size * count
    made = graph.call_function(operator.mul, (size, count))
    made.meta["val"] = size.meta["val"] * count
    return made
