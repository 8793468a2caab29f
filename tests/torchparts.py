"""Uses of PyTorch's operators that read or write parts of tensors; see :mod:`torchops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOOKUPS", "WRITES"]


def _assigned(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, 0] = 0.5
    x[:, 1:3, 2:4] = x[:, 2:4, :2] * 1.5
    return x


def _changed(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, 0] += 0.1
    x[:, 1:, ::2] *= 0.3
    x[..., -1] = 0
    x[:, -2:, 1:-1] -= 2
    return x


def _stretched(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 1] = x[0, 0]
    y[:, 2, 1:3] = torch.arange(8.0)
    y[..., 2:4] = x.mean(-1, keepdim=True)
    return y


def _interleaved(x: Tensor, y: Tensor) -> Tensor:
    both = torch.zeros(x.shape[0], 8, 9, 8)
    both[:, ::2] = x
    both[:, 1::2] = y
    return both


def _masked(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    mask = x > 0
    zero, other, more, rows, channels = (x.clone() for _ in range(5))
    zero[mask] = 0
    other[mask] = y[mask]
    more[mask] += 0.3
    rows.permute(0, 2, 3, 1)[x.sum(1) > 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    channels[:, torch.tensor([True, False, True, False])] = 0.7
    return zero, other, more, rows, channels


def _shifted(x: Tensor) -> Tensor:
    """Channels move to the next or the last pair of channels."""
    pairs = x.view(-1, 2, 2, 9, 8)
    out = torch.zeros_like(pairs)
    out[:, :-1, :1] = pairs[:, 1:, :1]
    out[:, 1:, 1:] = pairs[:, :-1, 1:]
    return out.view(x.shape)


WRITES: dict[str, Callable[..., Any]] = {
    "assigned": _assigned,
    "changed": _changed,
    "stretched": _stretched,
    "interleaved": _interleaved,
    "masked": _masked,
    "shifted": _shifted,
}


class _Bags(nn.Module):
    """A table whose rows an image's numbers choose."""

    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(5, 3, **how)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.table((x[:, 0, 0].abs() * 2).long().clamp(0, 4))
        return found


LOOKUPS: dict[str, Callable[..., Any]] = {
    "bags": _Bags(mode="sum"),
    "bags_mean": _Bags(),
    "bags_max": _Bags(mode="max"),
    "bags_without_a_row": _Bags(mode="sum", padding_idx=1),
    "bags_mean_without_a_row": _Bags(padding_idx=0),
    "median": lambda x: x.median(1, keepdim=True),
    "median_of_all": lambda x: x[0].median(),
    "kth": lambda x: x.kthvalue(2, 2),
    "distances": lambda x, y: torch.cdist(x, y),
    "distances_1": lambda x, y: torch.cdist(x, y, p=1),
    "distances_3": lambda x, y: torch.cdist(x, y, p=3),
    "distances_largest": lambda x, y: torch.cdist(x, y, p=float("inf")),
}
