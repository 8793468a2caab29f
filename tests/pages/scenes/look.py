"""A program, and an MXNet symbol with an operator that somebody registered in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pages.models import Row, exported, symbol

if TYPE_CHECKING:
    from pathlib import Path

_NODES: tuple[Row, ...] = (
    ("null", "data", {"__shape__": "(1, 3, 32, 32)"}, ()),
    ("null", "conv_weight", {}, ()),
    ("Convolution", "conv", {"kernel": "(3, 3)", "num_filter": "8", "no_bias": "True"}, (0, 1)),
    ("Custom", "attend", {"op_type": "spatial_attention"}, (2,)),
    ("Pooling", "pool", {"global_pool": "True", "pool_type": "avg"}, (3,)),
    ("Flatten", "flat", {}, (4,)),
)


def prepare(folder: Path) -> None:
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Flatten())
    exported(torch.nn.Sequential(*layers, torch.nn.Linear(8 * 14 * 14, 5)), (2, 3, 16, 16), folder / "net.pt2")
    symbol(_NODES, folder / "odd-symbol.json")
