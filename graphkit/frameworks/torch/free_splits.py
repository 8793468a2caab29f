"""Splits of axes of a free size in exported programs."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["slice_free_splits"]

_END: Final = 2**63 - 1


def slice_free_splits(module: torch.fx.GraphModule) -> None:
    """Have pieces of an axis of a free size be slices of it, in place: torch.onnx cannot tell how many there are.

    It also takes the pieces of ``tensor_split`` to be as large at all sizes as at the one that was traced.
    """
    import torch

    aten = torch.ops.aten
    starts = {aten.split.Tensor: _split, aten.chunk.default: _chunk, aten.tensor_split.sections: _sections}
    for inner in module.modules():
        if not isinstance(inner, torch.fx.GraphModule):
            continue
        for node in list(inner.graph.nodes):
            if node.target in starts and _is_free(node):
                _slice(inner.graph, node, starts[node.target])
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


def _slice(
    graph: torch.fx.Graph,
    node: torch.fx.Node,
    starting: Callable[[torch.fx.Graph, torch.fx.Node], Callable[[int], Any]],
) -> None:
    import torch

    with graph.inserting_before(node):
        start = starting(graph, node)
    last = len(node.meta["val"]) - 1
    for user in list(node.users):
        place: Any = user.args[1]
        with graph.inserting_before(user):
            bounds = start(place), _END if place == last else start(place + 1)
        user.target = torch.ops.aten.slice.Tensor
        user.args = (node.args[0], _dim(node), *bounds)
    graph.erase_node(node)


def _split(graph: torch.fx.Graph, node: torch.fx.Node) -> Callable[[int], Any]:
    """Pieces of a size that is given."""
    size = node.args[1]
    return lambda place: _times(graph, size, place)


def _chunk(graph: torch.fx.Graph, node: torch.fx.Node) -> Callable[[int], Any]:
    """Pieces of ⌈n/k⌉ elements."""
    size, count = _size(graph, node), node.args[1]
    more = _call(graph, operator.add, size, count - 1)  # type: ignore[operator]  # a number
    piece = _call(graph, operator.floordiv, more, count)
    return lambda place: _times(graph, piece, place)


def _sections(graph: torch.fx.Graph, node: torch.fx.Node) -> Callable[[int], Any]:
    """Pieces of ⌊n/k⌋ elements, the first n mod k of them with one more."""
    import torch

    size, count = _size(graph, node), node.args[1]
    piece, rest = (_call(graph, what, size, count) for what in (operator.floordiv, operator.mod))

    def start(place: int) -> Any:
        if not place:
            return 0
        return _call(graph, operator.add, _times(graph, piece, place), _call(graph, torch.sym_min, rest, place))

    return start


def _size(graph: torch.fx.Graph, node: torch.fx.Node) -> torch.fx.Node:
    import torch

    size = graph.call_function(torch.ops.aten.sym_size.int, (node.args[0], _dim(node)))
    size.meta["val"] = _size_along(node)
    return size


def _times(graph: torch.fx.Graph, size: Any, count: int) -> Any:
    import torch

    if count < 2 or not isinstance(size, torch.fx.Node):
        return size if count == 1 else 0 if count == 0 else size * count
    return _call(graph, operator.mul, size, count)


def _call(graph: torch.fx.Graph, function: Callable[..., Any], *args: Any) -> torch.fx.Node:
    """A number that is computed from others, some of them of nodes."""
    import torch

    made = graph.call_function(function, args)
    made.meta["val"] = function(*(arg.meta["val"] if isinstance(arg, torch.fx.Node) else arg for arg in args))
    return made
