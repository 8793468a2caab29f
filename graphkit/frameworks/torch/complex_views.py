"""Views of complex tensors as those of their parts, where torch.onnx has them of real tensors only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["view_parts"]


def view_parts(module: torch.fx.GraphModule) -> None:
    """Have ``unsqueeze``, ``expand``, ``select`` and indexing of complex tensors done on their parts, in place.

    The parts are one more axis, the last, so that axes counted from the back move by one.
    """
    import torch

    ways = {
        torch.ops.aten.unsqueeze.default: _of_axis,
        torch.ops.aten.select.int: _of_axis,
        torch.ops.aten.index_select.default: _of_axis,
        torch.ops.aten.expand.default: _of_sizes,
        torch.ops.aten.index.Tensor: _as_given,
    }
    for inner in module.modules():
        if not isinstance(inner, torch.fx.GraphModule):
            continue
        found = [node for node in inner.graph.nodes if node.target in ways and _is_complex(node)]
        for node in found:
            _rewrite(inner.graph, node, ways[node.target](node))
        if found:
            inner.recompile()


def _is_complex(node: torch.fx.Node) -> bool:
    import torch

    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_complex()


def _of_axis(node: torch.fx.Node) -> tuple[Any, ...]:
    axis: Any = node.args[1]
    return (axis if axis >= 0 else axis - 1, *node.args[2:])


def _of_sizes(node: torch.fx.Node) -> tuple[Any, ...]:
    sizes: Any = node.args[1]
    return ([*sizes, 2],)


def _as_given(node: torch.fx.Node) -> tuple[Any, ...]:
    return node.args[1:]


def _rewrite(graph: torch.fx.Graph, node: torch.fx.Node, rest: tuple[Any, ...]) -> None:
    import torch

    source: Any = node.args[0]
    target: Any = node.target
    with graph.inserting_before(node):
        parts = graph.call_function(torch.ops.aten.view_as_real.default, (source,))
        parts.meta = {**node.meta, "val": torch.view_as_real(source.meta["val"])}
        viewed = graph.call_function(target, (parts, *rest))
        viewed.meta = {**node.meta, "val": torch.view_as_real(node.meta["val"])}
    node.target = torch.ops.aten.view_as_complex.default
    node.args, node.kwargs = (viewed,), {}
