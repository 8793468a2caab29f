"""Gradients as torch computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

__all__ = ["gradients"]


def gradients(
    outputs: Sequence[torch.Tensor], seeds: Sequence[torch.Tensor | None], targets: Sequence[torch.Tensor]
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
    if not ends or not targets:
        return [torch.zeros_like(target) for target in targets]
    return list(
        torch.autograd.grad(
            [output for output, _ in ends],
            [*targets],
            [seed for _, seed in ends],
            allow_unused=True,
            materialize_grads=True,
        )
    )
