"""The graph that is being written and, while a loop or branch is, the bodies of it that are open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphkit.ops.mxgraph import VARIABLE, MxNode, MxRef

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Scope", "Scopes"]


@dataclass(eq=False, slots=True)
class Scope:
    """A graph while it is written.

    Attributes:
        nodes: Its nodes so far.
        refs: What holds IR values in it.
        captured: Its own variable for each output of the graph around it that it reads.
        made: What was made to be shared by nodes, by name.
    """

    nodes: list[MxNode] = field(default_factory=list)
    refs: dict[ir.Value, MxRef] = field(default_factory=dict)
    captured: dict[MxRef, MxRef] = field(default_factory=dict)
    made: dict[str, MxRef] = field(default_factory=dict)


class Scopes:
    """Scopes in each other, the model's own graph first. MXNet's bodies read what is outside as variables only."""

    def __init__(self) -> None:
        self.all = [Scope()]

    @property
    def main(self) -> Scope:
        """The model's own graph."""
        return self.all[0]

    @property
    def last(self) -> Scope:
        """The innermost one."""
        return self.all[-1]

    def find(self, value: ir.Value) -> MxRef | None:
        """What holds a value in the innermost scope; None where none holds it."""
        for level in reversed(range(len(self.all))):
            if value in self.all[level].refs:
                found = self.enter(self.all[level].refs[value], level)
                self.last.refs[value] = found
                return found
        return None

    def enter(self, ref: MxRef, level: int = 0) -> MxRef:
        """What holds an output of the graph at a level in the innermost scope."""
        for scope in self.all[level + 1 :]:
            if ref not in scope.captured:
                name = ref.node.name if ref.node.is_variable else f"{ref.node.name}_output{ref.output or ''}"
                variable = MxNode(VARIABLE, name)
                scope.nodes.append(variable)
                scope.captured[ref] = MxRef(variable)
            ref = scope.captured[ref]
        return ref

    def forget(self, value: ir.Value) -> None:
        """Hold a value nowhere."""
        for scope in self.all:
            scope.refs.pop(value, None)
