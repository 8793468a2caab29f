"""Which nodes of a graph share memory, and what writes to it in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.lasting import DROPOUTS, aliases

if TYPE_CHECKING:
    import torch.fx

__all__ = ["Sharing"]


class Sharing:
    """What shares memory in a graph, and what of it is written to.

    Args:
        graph: The graph; nodes of graphs nested in it are not looked at.
    """

    def __init__(self, graph: torch.fx.Graph) -> None:
        self._order = {node: number for number, node in enumerate(graph.nodes)}

    def is_written(self, node: torch.fx.Node) -> bool:
        """Whether something later writes to the memory of a node's result through it."""
        return any(_writes(user, line) for line in self._line(node) for user in line.users)

    def is_apart(self, node: torch.fx.Node) -> bool:
        """Whether a node's result may be copied, or handed on anew, without anyone seeing it.

        That is where nothing that shares its memory is written to, or where nothing reads that memory any more but
        through the result.
        """
        base = node
        while (source := _source(base)) is not None:
            base = source
        own = self._line(node)
        others = self._line(base) - own
        if not any(_writes(user, one) for one in own | others for user in one.users):
            return True
        later = self._order[node]
        return all(self._order[user] <= later for one in others for user in one.users)

    def _line(self, node: torch.fx.Node) -> set[torch.fx.Node]:
        """A node, and all whose results are views of its own or the same."""
        found = {node}
        waiting = [node]
        while waiting:
            last = waiting.pop()
            for user in last.users:
                if user not in found and _source(user) is last:
                    found.add(user)
                    waiting.append(user)
        return found


def _source(node: torch.fx.Node) -> torch.fx.Node | None:
    """The node whose memory a node's result may share, itself being the first argument."""
    import torch

    if node.op != "call_function" or not node.args or not isinstance(node.args[0], torch.fx.Node):
        return None
    packet = getattr(node.target, "overloadpacket", None)
    named = getattr(packet, "__name__", "").rstrip("_")
    return node.args[0] if aliases(node) or named in DROPOUTS else None


def _writes(user: torch.fx.Node, node: torch.fx.Node) -> bool:
    """Whether a node writes to another's result."""
    schema: Any = getattr(user.target, "_schema", None)
    if schema is None:
        return False
    written = [
        number
        for number, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    names = {schema.arguments[number].name for number in written}
    positional = any(user.args[number] is node for number in written if number < len(user.args))
    return positional or any(value is node for name, value in user.kwargs.items() if name in names)
