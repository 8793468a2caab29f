"""Source of casts to types that torch lacks or rounds otherwise, and of quotients of such."""

from __future__ import annotations

from typing import Final

__all__ = ["CASTS"]

_FLOAT4 = '''
def round_to_float4(x):
    """The nearest of 0, 0.5, 1, 1.5, 2, 3, 4 and 6 with either sign, ties to even."""
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
        saturate: Whether what is out of range becomes the last number in it.
    """
    mantissa, exponent = torch.frexp(x.float())
    above = {"up": mantissa > 0.5, "down": mantissa >= 1, "nearest": mantissa >= 0.75}
    power = (exponent - 1 + above[rounding].int()).masked_fill(x == 0, -128)
    power = power.masked_fill(x == torch.inf, 128)
    lost = x.isnan() if saturate else x.isnan() | (power.abs() > 127)
    powers = torch.ldexp(torch.ones_like(mantissa), power.clamp(-127, 127))
    return powers.masked_fill(lost, torch.nan).to(torch.float8_e8m0fnu)
'''

_DIVIDE_UNSIGNED = '''
def divide_unsigned(a, b):
    """Quotient and remainder of uint64 numbers, by int64 numbers of the same bits."""
    highest = -(2**63)
    a, b = torch.broadcast_tensors(a.view(torch.int64), b.view(torch.int64))
    half = (a >> 1) & ~highest
    quotient = torch.div(half, b, rounding_mode="trunc") << 1
    quotient += ((a - quotient * b) ^ highest) >= (b ^ highest)
    quotient = torch.where(b < 0, (a ^ highest) >= (b ^ highest), quotient)
    rest = a - quotient * b
    return quotient.view(torch.uint64), rest.view(torch.uint64)
'''

CASTS: Final = {"divide_unsigned": _DIVIDE_UNSIGNED, "round_to_float4": _FLOAT4, "to_powers_of_two": _FLOAT8_POWERS}
"""Source by name. Each uses nothing but torch."""
