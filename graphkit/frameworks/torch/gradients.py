"""Gradients as torch computes them, also those in values between operators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch.autograd.graph import GradientEdge

__all__ = ["Inner", "Marks", "gradients"]


@dataclass(frozen=True, slots=True)
class Inner:
    """A value between operators to differentiate in, as it was when it was computed.

    Attributes:
        edge: Where its gradient arrives.
        shape: Its shape.
        dtype: Its element type.
    """

    edge: GradientEdge
    shape: torch.Size
    dtype: torch.dtype


@dataclass(slots=True)
class Marks:
    """Marks values between operators while a model runs.

    Attributes:
        found: What was marked, by name.
    """

    found: dict[str, Inner] = field(default_factory=dict)

    def mark(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Mark a value, which must have a node of autograd's to itself; all that reads it must be given the result.

        The gradient is that of the value before anything writes to it in place. A value that does not depend on
        anything differentiated is copied into one that does.
        """
        from torch.autograd.graph import get_gradient_edge

        handed = tensor if tensor.requires_grad else tensor.detach().requires_grad_().clone()
        self.found[name] = Inner(get_gradient_edge(handed), handed.shape, handed.dtype)
        return handed


def gradients(
    outputs: Sequence[torch.Tensor], seeds: Sequence[torch.Tensor | None], targets: Sequence[torch.Tensor | Inner]
) -> list[torch.Tensor]:
    """Gradients of Σ⟨seed, output⟩ in each target; zeros where nothing depends on it.

    Args:
        outputs: What is differentiated; those that need no gradient are left out.
        seeds: Cotangent of each output; None for one, where the output is a scalar.
        targets: What to differentiate in.

    Raises:
        RuntimeError: Torch refused.
    """
    import torch

    ends = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
    places: list[Any] = [target.edge if isinstance(target, Inner) else target for target in targets]
    found: Sequence[torch.Tensor | None] = [None] * len(targets)
    if ends and targets:
        found = torch.autograd.grad(
            [output for output, _ in ends], places, [seed for _, seed in ends], allow_unused=True
        )
    return [
        torch.zeros(target.shape, dtype=target.dtype) if gradient is None else gradient
        for target, gradient in zip(targets, found, strict=True)
    ]
