"""Hard sigmoid and hard swish as models spell them that have no operator for them."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.producers import made_by
from graphkit.ops.math.gelu_forms import product
from graphkit.ops.spec import is_float

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["torch_hard"]


def torch_hard(b: TorchBuilder, node: ir.Node) -> Arg:
    """``F.hardsigmoid`` where a product is clip(x + 3, 0, 6) / 6, ``F.hardswish`` where it is x times that.

    The sixth may be rounded to float32, except in a model that computes in float64.

    Args:
        b: The builder.
        node: A product or a quotient.

    Returns:
        The call; None where the product is another.
    """
    divisor = b.number(node.inputs[1]) if node.op_type == "Div" else 1
    if not divisor:
        return None
    number, factors = product(b, node.inputs[:1] if node.op_type == "Div" else node.inputs)
    gates = [(factor, x) for factor in factors if (x := _clipped(b, factor)) is not None]
    if not 1 <= len(factors) <= 2 or len(gates) != 1:
        return None
    gate, x = gates[0]
    if not is_float(b.dtype(x)) or not isclose(
        number / divisor, 1 / 6, rel_tol=1e-12 if b.dtype(x) == np.float64 else 1e-6
    ):
        return None
    others = [factor for factor in factors if factor is not gate]
    if not others:
        return b.call("F.hardsigmoid", b.arg(x))
    return b.call("F.hardswish", b.arg(x)) if others == [x] else None


def _clipped(b: TorchBuilder, value: ir.Value) -> ir.Value | None:
    """The x of clip(x + 3, 0, 6)."""
    clip = made_by(value, "Clip")
    if clip is None or len(clip.inputs) < 3 or b.number(clip.inputs[1]) != 0 or b.number(clip.inputs[2]) != 6:
        return None
    add = made_by(clip.inputs[0], "Add")
    if add is None:
        return None
    return next((x for x, three in (add.inputs, reversed(add.inputs)) if x is not None and b.number(three) == 3), None)
