"""A network and its checkpoint, as docs/torch-files.md speaks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch",)
_NETS = """
from torch import nn


def make_net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
"""


def prepare(folder: Path) -> None:
    """Write the module and weights of it, as a trainer saves them, and the network as a pickle."""
    import runpy

    import torch

    (folder / "nets.py").write_text(_NETS, encoding="utf-8")
    torch.manual_seed(0)
    net = runpy.run_path(str(folder / "nets.py"))["make_net"]()
    weights = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": weights, "epoch": 3}, folder / "checkpoint.ckpt")
    torch.save(net, folder / "pickled.pt")
