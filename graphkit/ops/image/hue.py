"""Turning the hue of pixels, by way of hue, lightness and saturation, as OpenCV converts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from graphkit.ops.builders import OnnxBuilder

__all__ = ["turned"]

_EPSILON = float(np.finfo(np.float32).eps)
_SECTORS = ((1, 3, 0), (1, 0, 2), (3, 0, 1), (0, 2, 1), (0, 1, 3), (2, 1, 0))
"""Which of four numbers blue, green and red are in each sixth of the circle."""


def turned(b: OnnxBuilder, pixels: ir.Value, turn: ir.Value) -> ir.Value:
    """Pixels with their hue moved on.

    Args:
        b: The builder.
        pixels: (height, width, 3) floats from 0 to 255: red, green and blue.
        turn: (1,) how far, in circles.
    """
    hue, lightness, saturation = _separated(b, b.op("Div", pixels, b.scalar(255.0, pixels)))
    moved = b.op("Add", hue, b.op("Mul", turn, b.scalar(360.0, turn)))
    return b.op("Mul", _joined(b, moved, lightness, saturation), b.scalar(255.0, pixels))


def _separated(b: OnnxBuilder, color: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Hue in degrees, lightness and saturation of colours from 0 to 1, each (height, width, 1)."""
    red, green, blue = b.ops("Split", 3, color, axis=-1, num_outputs=3)
    zero, half = b.scalar(0.0, color), b.scalar(0.5, color)
    most, least = b.op("ReduceMax", color, [-1]), b.op("ReduceMin", color, [-1])
    difference, total = b.op("Sub", most, least), b.op("Add", most, least)
    lightness = b.op("Mul", total, half)
    colored = b.op("Greater", difference, b.scalar(_EPSILON, color))
    dark = b.op("Less", lightness, half)
    beyond = b.op("Sub", b.op("Sub", b.scalar(2.0, color), most), least)
    one = b.scalar(1.0, color)
    below = b.op("Where", colored, b.op("Where", dark, total, beyond), one)
    saturation = b.op("Where", colored, b.op("Div", difference, below), zero)
    step = b.op("Div", b.scalar(60.0, color), b.op("Where", colored, difference, one))
    from_red = b.op("Mul", b.op("Sub", green, blue), step)
    from_green = b.op("Add", b.op("Mul", b.op("Sub", blue, red), step), b.scalar(120.0, color))
    from_blue = b.op("Add", b.op("Mul", b.op("Sub", red, green), step), b.scalar(240.0, color))
    hue = b.op("Where", b.op("Equal", most, green), from_green, from_blue)
    hue = b.op("Where", b.op("Equal", most, red), from_red, hue)
    hue = b.op("Where", b.op("Less", hue, zero), b.op("Add", hue, b.scalar(360.0, color)), hue)
    return b.op("Where", colored, hue, zero), lightness, saturation


def _joined(b: OnnxBuilder, hue: ir.Value, lightness: ir.Value, saturation: ir.Value) -> ir.Value:
    """Colours from 0 to 1, (height, width, 3)."""
    one, six = b.scalar(1.0, hue), b.scalar(6.0, hue)
    both = b.op("Mul", lightness, saturation)
    light = b.op("Sub", b.op("Add", lightness, saturation), both)
    dark = b.op("Mul", lightness, b.op("Add", one, saturation))
    high = b.op("Where", b.op("LessOrEqual", lightness, b.scalar(0.5, hue)), dark, light)
    low = b.op("Sub", b.op("Mul", b.scalar(2.0, hue), lightness), high)
    place = b.op("Mul", hue, b.scalar(float(np.float32(1) / np.float32(60)), hue))
    place = b.op("Sub", place, b.op("Mul", six, b.op("Floor", b.op("Div", place, six))))
    place = b.op("Where", b.op("Less", place, six), place, b.scalar(0.0, hue))
    sector = b.op("Floor", place)
    part, span = b.op("Sub", place, sector), b.op("Sub", high, low)
    falling = b.op("Add", low, b.op("Mul", span, b.op("Sub", one, part)))
    rising = b.op("Add", low, b.op("Mul", span, part))
    numbers = b.op("Concat", high, low, falling, rising, axis=-1)
    table = np.asarray([sixth[::-1] for sixth in _SECTORS])
    chosen = b.op("Gather", table, b.op("Squeeze", b.op("Cast", sector, to=ir.DataType.INT64), [-1]))
    color = b.op("GatherElements", numbers, chosen, axis=-1)
    grey = b.op("Equal", saturation, b.scalar(0.0, hue))
    return b.op("Where", grey, lightness, color)
