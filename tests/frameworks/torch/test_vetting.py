"""Source that people change for themselves is run without being trusted, and the vocabulary is torch's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphkit.frameworks.torch import vetting
from graphkit.frameworks.torch.vetting import parsed, vet
from graphkit.frameworks.torch.vocabulary import ATTRIBUTES, MODULES, RESERVED

HEAD = """
import math
from collections import OrderedDict
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Conv2d
"""
CHANGED = {
    "arguments and prints": """
class Net(nn.Module):
    def __init__(self, width=3):
        super(Net, self).__init__()
        self.conv = Conv2d(width, width, 3)
        self.scale = math.sqrt(width)

    def forward(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        print("shape", x.shape)
        return self.conv(x) / self.scale
""",
    "functions that make layers": """
def block(width, norm=nn.BatchNorm2d, act=nn.ReLU):
    layers = OrderedDict([("conv", nn.Conv2d(width, width, 3)), ("norm", norm(width))])
    return nn.Sequential(layers, act())
""",
    "methods of its own": """
class Net(nn.Module):
    size = 4

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.reset()

    def reset(self):
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)

    @property
    def width(self):
        return self.size

    @torch.no_grad()
    def forward(self, x):
        for number, block in enumerate(self.blocks):
            x = block(x) + number
        assert x.shape[-1] == self.width, f"{x.shape} is not {self.width}"
        if x.dim() < 2:
            raise ValueError("too few")
        return x.softmax(-1).to(torch.float64)
""",
    "classes of classes": """
class Head(nn.Linear):
    pass


class Net(Head):
    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            x, held = x.max(0), {"a": x, "b": [*x]}
        names = ", ".join(sorted(held.keys()))
        return super().forward(held["a"])
""",
    "functions": """
def f(x):
    y = x.clone()
    y[..., 0] += torch.fft.rfft(x, dim=-1).abs().sum()
    return torch.linalg.norm(y) if y.numel() > 1 else lambda z: z.mean()
""",
}


@pytest.mark.parametrize("text", CHANGED.values(), ids=CHANGED)
def test_plain_torch_code_passes(text):
    vet(parsed(HEAD + text, Path("model.py")), Path("model.py"))


def test_the_vocabulary_has_nothing_hidden():
    named = {name for names in MODULES.values() for name in names} | ATTRIBUTES
    assert not {name for name in named if name.startswith("_")}
    assert not ATTRIBUTES & RESERVED


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("torch")])
def test_nothing_of_the_vocabulary_is_a_module(module):
    owner = torch
    for part in module.split(".")[1:]:
        owner = getattr(owner, part)
    assert not {name for name in MODULES[module] if isinstance(getattr(owner, name, None), type(torch))}


def test_no_member_gets_a_name_that_is_refused():
    names = {name for name in vetting._reserved() if not name.startswith("_")}
    added = {
        name for name, held in vars(torch.nn.Module).items() if not _is_torchs(held)
    }  # by the transformers library
    assert names - added - ATTRIBUTES <= RESERVED | {"T_destination"}


def _is_torchs(held):
    return (getattr(held, "__module__", None) or "torch").startswith("torch")
