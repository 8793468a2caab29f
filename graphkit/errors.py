"""Every error graphkit raises on purpose.

    GraphkitError
    ├── InputError            a file, argument or feed is not what it has to be
    │   ├── FormatError       a file is damaged, or not of the format it claims
    │   ├── LimitError        a file is larger or deeper than the limits that hold
    │   ├── ParameterError    parameters lack a name, or have another shape, than the graph
    │   └── FeedError         an input's name, shape or dtype does not fit the model
    ├── ShapeNeededError      a conversion needs a shape that nothing in the model tells
    ├── UnsupportedError      nodes that the target cannot express, all of them at once
    ├── MissingError          a runtime, provider or package is not installed
    └── ExecutionError        a runtime refused, crashed, hung or answered nonsense

A message is one paragraph: what is wrong, where (file, node, operator, input), why, and what to do about it. The
command line prints it to stderr and exits with status 2.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ExecutionError",
    "FeedError",
    "FormatError",
    "GraphkitError",
    "InputError",
    "LimitError",
    "MissingError",
    "ParameterError",
    "ShapeNeededError",
    "UnsupportedError",
    "UnsupportedNode",
]


_NAME, _REASON = 200, 1000
"""Characters that messages show of what may be of any length."""


class GraphkitError(Exception):
    """Base of all errors that graphkit raises on purpose."""


class InputError(GraphkitError):
    """A file, argument or feed is not what it has to be."""


class FormatError(InputError):
    """A file is damaged, or not of the format it claims."""


class LimitError(InputError):
    """A file is larger or deeper than the limits that hold (:mod:`graphkit.limits`)."""


class ParameterError(InputError):
    """Parameters lack a name, or have another shape, than the graph asks for."""


class FeedError(InputError):
    """The name, shape or dtype of an input does not fit the model."""


class ShapeNeededError(GraphkitError):
    """A conversion needs a shape that nothing in the model tells.

    Attributes:
        fix: Inputs of the model that would tell if they were constants.
    """

    def __init__(self, message: str, fix: tuple[str, ...] = ()) -> None:
        self.fix = fix
        super().__init__(message)


class MissingError(GraphkitError):
    """A runtime, provider or package is not installed."""


class ExecutionError(GraphkitError):
    """A runtime refused a model, crashed, hung or answered nonsense."""


@dataclass(frozen=True, slots=True)
class UnsupportedNode:
    """One node that a target cannot express.

    Attributes:
        op: Operator type, in the source's spelling.
        name: Name of the node.
        reason: Why it is refused and what would help, as a clause without a full stop.
        fix: Inputs of the model that it would be converted with if they were constants.
        sizes: Axes of the model's inputs, each with the input's name, that it would be converted with if they were
            numbers rather than free.
    """

    op: str
    name: str
    reason: str
    fix: tuple[str, ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()


class UnsupportedError(GraphkitError):
    """Nodes that the target cannot express; the message lists them all, grouped and counted.

    Attributes:
        target: What they cannot be converted to, e.g. ``"MXNet"``.
        nodes: Every refused node.
    """

    def __init__(self, target: str, nodes: Sequence[UnsupportedNode]) -> None:
        self.target = target
        self.nodes = tuple(nodes)
        groups = Counter((node.op, node.reason) for node in self.nodes)
        first = {(node.op, node.reason): node.name for node in reversed(self.nodes)}
        parts = [
            f"{short(op, _NAME)} × {count} ({short(reason, _REASON)}; "
            f"first at node {short(first[op, reason], _NAME)!r})"
            for (op, reason), count in sorted(groups.items(), key=lambda item: (-item[1], item[0]))
        ]
        total = len(self.nodes)
        nodes_word = "node" if total == 1 else "nodes"
        super().__init__(f"{total} {nodes_word} cannot be converted to {target}: " + "; ".join(parts) + ".")
