"""Casts to element types that torch lacks or rounds otherwise, as source; see :mod:`graphkit.ops.torchfunctions`."""

from __future__ import annotations

from typing import Final

__all__ = ["CASTS"]

_FLOAT4 = '''
def round_to_float4(x):
    """The nearest of 0, 0.5, 1, 1.5, 2, 3, 4 and 6 with either sign, ties to even; what is not a number is 0."""
    x = x.float().nan_to_num(0).clamp(-6, 6)
    step = torch.where(x.abs() < 2, 0.5, torch.where(x.abs() < 4, 1.0, 2.0))
    return (x / step).round() * step
'''

_FLOAT8_POWERS = '''
def to_powers_of_two(x, rounding="up", saturate=True):
    """Positive numbers as powers of two (float8_e8m0fnu).

    Args:
        x: Numbers.
        rounding: "up", "down" or "nearest".
        saturate: Whether numbers out of range become the last one in it, rather than not a number.
    """
    mantissa, exponent = torch.frexp(x.float())
    above = {"up": mantissa > 0.5, "down": mantissa >= 1, "nearest": mantissa >= 0.75}
    power = (exponent - 1 + above[rounding].int()).masked_fill(x == 0, -128)
    power = power.masked_fill(x == torch.inf, 128)
    lost = x.isnan() if saturate else x.isnan() | (power.abs() > 127)
    powers = torch.ldexp(torch.ones_like(mantissa), power.clamp(-127, 127))
    return powers.masked_fill(lost, torch.nan).to(torch.float8_e8m0fnu)
'''

CASTS: Final = {"round_to_float4": _FLOAT4, "to_powers_of_two": _FLOAT8_POWERS}
"""Source by name. Each uses nothing but torch."""
