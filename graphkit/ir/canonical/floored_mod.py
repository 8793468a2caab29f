"""What opset 28 added to Mod, said by an older one: floats whose quotient is rounded down.

Source: ONNX's text of Mod-28. Before it, floats had to have ``fmod=1``, whose quotient is rounded towards zero: its
rest has the sign of the dividend, and is one divisor short where that is not the divisor's own. The special cases are
the same with that: NaN of an infinite dividend or a zero divisor; of an infinite divisor, the dividend or the divisor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphkit.ir.edit import Editor

__all__ = ["floor_by_fmod"]


def floor_by_fmod(edit: Editor) -> bool:
    """Put truncated remainders in place of floored ones of floats; False, and nothing done, where there are none."""
    left, right = edit.node.inputs
    if left is None or right is None or left.dtype is None or not left.dtype.is_floating_point():
        return False
    if edit.node.attributes.get_int("fmod", 0):
        return False
    rest = edit.op("Mod", left, right, fmod=1)
    signs = edit.op("Mul", edit.op("Sign", rest), edit.op("Sign", right))
    short = edit.op("Less", signs, edit.const("zero", 0, left.dtype.numpy()))
    edit.replace(edit.op("Where", short, edit.op("Add", rest, right), rest))
    return True
