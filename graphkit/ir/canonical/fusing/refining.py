"""Attention said shorter: with its default scale, shared heads, and masks that are what they need be and no more."""

from __future__ import annotations

from math import isclose, isfinite, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.canonical.fusing.numbers import in_float32, number
from graphkit.ir.canonical.fusing.places import compares
from graphkit.ir.canonical.fusing.scales import factor_of
from graphkit.ir.canonical.truths import always
from graphkit.ir.symbols import equal, shape_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from graphkit.ir.edit import Editor
    from graphkit.ir.symbols import Size

__all__ = ["refine_attention"]

_MASK: Final = 3
_LONGER: Final = 4
"""Inputs from which on Attention has keys and values of earlier calls."""
_ROUNDED: Final = 1e-14


def refine_attention(edit: Editor) -> bool:
    """Say an Attention node shorter, in place; shapes must be known.

    - Numbers that the queries are multiplied by go into its scale, where that can hold them. A scale of 1 / √features,
      rounded to float32 as attributes are, is left out, as it is the default; not in float64, where it is another.
    - Keys and values whose heads are repeated (Unsqueeze, Expand, Reshape) are those heads once: grouped queries.
    - A mask that is made wider (Expand, And with truths that are always true) is itself; one that is true everywhere
      goes; constant truths that are a lower triangle are ``is_causal``, where queries and keys are as many.
    """
    changed = [rule(edit) for rule in (_scale, _group, _narrow, _causal)]
    return any(changed)


def _scale(edit: Editor) -> bool:
    node = edit.node
    query = node.inputs[0]
    shape = None if query is None else shape_of(query)
    features = None if shape is None else shape[-1]
    if query is None or shape is None or not isinstance(features, int):
        return False
    if len(shape) == 3:
        features //= node.attributes.get_int("q_num_heads", 1) or 1
    given, usual = node.attributes.get("scale"), 1 / sqrt(features)
    found = factor_of(query)
    own = usual
    if given is not None and (query.dtype == ir.DataType.DOUBLE or given.as_float() != float(np.float32(usual))):
        own = float(str(np.float32(given.as_float())))
    scale = own * found.number
    if not isfinite(scale) or scale == 0:
        return False
    default = isclose(scale, usual, rel_tol=max(2 * found.within, _ROUNDED))
    if found.source is None and (given is None or not default):
        return False
    if not default and (found.within > _ROUNDED or not in_float32(scale)):
        return False
    node.replace_input_with(0, found.take_out())
    node.attributes.pop("scale", None)
    if not default:
        node.attributes["scale"] = ir.AttrFloat32("scale", scale)
    return True


def _group(edit: Editor) -> bool:
    node = edit.node
    key, value = node.inputs[1:3]
    if len(node.inputs) > _LONGER or key is None or value is None:
        return False
    keys, values = _heads(key), _heads(value)
    if keys is None or values is None or _count(keys) != _count(values):
        return False
    node.replace_input_with(1, keys)
    node.replace_input_with(2, values)
    return True


def _count(heads: ir.Value) -> Size:
    return (shape_of(heads) or (None, None))[1]


def _heads(value: ir.Value) -> ir.Value | None:
    """Heads (batch, heads, positions, features) that a value repeats, each in a row."""
    joined = value.producer()
    if joined is None or joined.op_type != "Reshape" or joined.inputs[0] is None:
        return None
    wide = joined.inputs[0].producer()
    if wide is None or wide.op_type not in ("Expand", "Tile") or wide.inputs[0] is None:
        return None
    apart = wide.inputs[0].producer()
    if apart is None or apart.op_type not in ("Unsqueeze", "Reshape") or apart.inputs[0] is None:
        return None
    result, repeated, single, heads = (
        shape_of(each) for each in (value, joined.inputs[0], wide.inputs[0], apart.inputs[0])
    )
    if result is None or repeated is None or single is None or heads is None:
        return None
    if [len(shape) for shape in (result, repeated, single, heads)] != [4, 5, 5, 4]:
        return None
    times, count = repeated[2], heads[1]
    if not isinstance(times, int) or not isinstance(count, int) or single[2] != 1 or result[1] != count * times:
        return None
    batch, _, positions, features = heads
    same = (
        *zip(single, (batch, count, 1, positions, features), strict=True),
        *zip(repeated, (batch, count, times, positions, features), strict=True),
        *zip(result, (batch, count * times, positions, features), strict=True),
    )
    return apart.inputs[0] if all(equal(one, other) for one, other in same) else None


def _mask_of(edit: Editor) -> ir.Value | None:
    inputs = edit.node.inputs
    return inputs[_MASK] if len(inputs) > _MASK else None


def _narrow(edit: Editor) -> bool:
    """Take a mask before it is made wider, and leave out one that is always true."""
    mask = _mask_of(edit)
    if mask is None:
        return False
    if always(mask):
        if len(edit.node.inputs) > _LONGER:
            edit.node.replace_input_with(_MASK, None)
        else:
            edit.node.resize_inputs(_MASK)
        return True
    before = mask.producer()
    if before is None or before.domain:
        return False
    if before.op_type == "Expand":
        return _take(edit, mask, before.inputs[0])
    if before.op_type == "And":
        one, other = before.inputs
        return (always(one) and _take(edit, mask, other)) or (always(other) and _take(edit, mask, one))
    return before.op_type == "Where" and _choose(edit, mask, before)


def _choose(edit: Editor, mask: ir.Value, where: ir.Node) -> bool:
    """Choose between two numbers by truths before they are made wider."""
    truths, *choices = where.inputs
    wide = None if truths is None else truths.producer()
    if wide is None or wide.domain or any(number(value) is None for value in choices):
        return False
    if wide.op_type not in ("And", "Expand"):
        return False
    others = wide.inputs[:1] if wide.op_type == "Expand" else wide.inputs
    kept = [value for value in others if not always(value)]
    if len(kept) != 1 or kept[0] is None:
        return False
    return _take(edit, mask, edit.op("Where", kept[0], *choices))


def _take(edit: Editor, mask: ir.Value, narrow: ir.Value | None) -> bool:
    """Use a mask that broadcasts to another, if it has a column for each key, too."""
    before, after = None if narrow is None else shape_of(narrow), shape_of(mask)
    if not before or not after or len(before) < 2 or not equal(before[-1], after[-1]):
        return False
    if len(before) > len(after):
        return False
    edit.node.replace_input_with(_MASK, narrow)
    return True


def _causal(edit: Editor) -> bool:
    """Say truths that show each position those up to itself in a word."""
    mask = _mask_of(edit)
    node = edit.node
    if mask is None or mask.dtype != ir.DataType.BOOL or len(node.inputs) > _LONGER:
        return False
    if not (_is_triangle(mask.const_value.numpy()) if mask.const_value is not None else compares(mask)):
        return False
    node.resize_inputs(_MASK)
    node.attributes["is_causal"] = ir.AttrInt64("is_causal", 1)
    return True


def _is_triangle(seen: npt.NDArray[np.generic]) -> bool:
    if seen.ndim < 2 or seen.shape[-1] != seen.shape[-2] or seen.shape[-1] < 2:
        return False
    return np.array_equal(seen, np.broadcast_to(np.tri(seen.shape[-1], dtype=bool), seen.shape))
