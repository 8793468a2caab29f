"""Rules by which a step of training follows from gradients."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

__all__ = ["Adam", "Sgd"]


@dataclass(frozen=True, slots=True)
class Sgd:
    """Stochastic gradient descent: v ← momentum · v + gradient + weight_decay · w, then w ← w - lr · v.

    Every parameter is decayed, as ``torch.optim.SGD`` and Gluon's ``Trainer`` do it. MXNet keeps -lr · v instead of v,
    which is the same as long as the rate does not change.

    Attributes:
        lr: Learning rate.
        momentum: Momentum.
        weight_decay: Weight decay.
    """

    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-4


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (Kingma and Ba, 2015): with g ← gradient + weight_decay · w, m ← β₁ · m + (1 - β₁) · g and
    v ← β₂ · v + (1 - β₂) · g², then w ← w - lr · m̂ / (√v̂ + ε) with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) in step t.

    That is ``torch.optim.Adam``. MXNet's Adam adds ε to √v instead of √v̂; it is given ε · √(1 - β₂ᵗ) in step t, with
    which it makes the same steps.

    Attributes:
        lr: Learning rate.
        beta1: β₁.
        beta2: β₂.
        epsilon: ε.
        weight_decay: Weight decay.
    """  # noqa: D205  # the formula does not fit one line

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def at(self, step: int) -> tuple[float, float]:
        """The learning rate and ε of one step, counted from 1, as MXNet's float32 has them.

        MXNet's operator is given lr · √(1 - β₂ᵗ) / (1 - β₁ᵗ) and ε · √(1 - β₂ᵗ), and holds them in float32; these are
        the lr and ε with which these two numbers are what float32 makes of them.
        """
        first, second = 1 - self.beta1**step, math.sqrt(1 - self.beta2**step)
        rate = struct.unpack("f", struct.pack("f", self.lr * second / first))[0]
        epsilon = struct.unpack("f", struct.pack("f", self.epsilon * second))[0]
        return rate * first / second, epsilon / second
