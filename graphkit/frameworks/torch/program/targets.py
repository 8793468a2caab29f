"""Operators as files name them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Target", "target_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """An operator: ``torch.ops.aten.conv2d.default`` is ``conv2d`` of ``aten``."""

    namespace: str
    packet: str
    overload: str

    @property
    def label(self) -> str:
        """How origins spell it."""
        return ".".join(filter(None, (self.namespace, self.packet, self.overload)))

    @property
    def op_type(self) -> str:
        """How nodes that stay PyTorch's are called."""
        return self.packet if self.overload in ("", "default") else f"{self.packet}.{self.overload}"

    @property
    def domain(self) -> str:
        """The domain of nodes that stay PyTorch's."""
        return f"torch.{self.namespace}" if self.namespace else "torch"


def target_of(text: str) -> Target:
    """The operator that a node of a file names."""
    plain = text.removeprefix("torch.ops.")
    if plain.startswith("#"):
        namespace, _, packet = plain[1:].partition(":")
        return Target(namespace, packet, "")
    if plain == text:
        namespace, _, packet = text.rpartition(".")
        return Target(namespace.removeprefix("torch").strip("._"), packet or text, "")
    namespace, _, rest = plain.partition(".")
    packet, _, overload = rest.rpartition(".")
    return Target(namespace, packet, overload) if packet else Target(namespace, overload, "")
