"""Models that scenes of pages are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["exported"]


def exported(net: nn.Module, shape: Sequence[int], path: Path) -> None:
    """Save an exported program with a free batch.

    Args:
        net: A network of one input.
        shape: That of the example it is exported with.
        path: Where to.
    """
    batch = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(net.eval(), (torch.randn(*shape),), dynamic_shapes=batch, strict=False), path)
