"""Shape arithmetic folded away: what it computes, said as constants wherever that holds for every size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.edit import Editor, add_constant, nodes_of, redirect
from graphkit.ir.symbols import Size, broadcast, equal, numbers_of, product, quotient, shape_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["fold_shapes"]

_END = 2**63 - 1


def fold_shapes(model: ir.Model) -> bool:
    """Give shape operators constant inputs wherever symbolic dimensions prove them equivalent, in place.

    Shapes must have been inferred (:func:`graphkit.ir.shapes.infer_shapes`). Dimension names stand for positive sizes,
    so a fold is right for all tensors without empty dimensions.

    - A tensor of sizes that are all numbers becomes a constant.
    - Reshape gets 0 for a dimension it copies and -1 for at most one other that is no number.
    - Expand gets 1 where the input already has the size; one that leaves its input, or the result of the element-wise
      operator it feeds, as it is goes.
    - ConstantOfShape that only feeds element-wise operators which would spread a scalar just so is that scalar.
    - Slice gets "to the end" for a bound that is the axis' own size.
    - Resize gets its sizes on the axes that it changes, or its scales where they are whole multiples.

    Returns:
        Whether anything was folded.
    """
    folded = False
    for node in nodes_of(model):
        if node.domain or node.graph is None:
            continue
        if _fold_numbers(model, node):
            folded = True
            continue
        rule = _RULES.get(node.op_type)
        if rule is not None and rule(Editor(model, node)):
            folded = True
    return folded


def _fold_numbers(model: ir.Model, node: ir.Node) -> bool:
    if len(node.outputs) != 1 or node.op_type == "Identity":
        return False
    if all(value is None or value.const_value is not None for value in node.inputs) and node.op_type != "Shape":
        return False  # plain constants, whose doubles fold_constants keeps
    output = node.outputs[0]
    if output.dtype is None or output.is_graph_output() or not output.uses():
        return False
    sizes = sizes_of(output)
    if sizes is None or not all(isinstance(size, int | float) for size in sizes.flat):
        return False
    shape = shape_of(output)
    if shape is None or tuple(shape) != sizes.shape:
        return False
    array = np.array(sizes.tolist(), dtype=output.dtype.numpy()).reshape(sizes.shape)
    name = output.name or node.op_type
    inner = node.graph is not model.graph
    redirect(output, add_constant(model.graph, f"{name}_value" if inner else name, array))
    if node.graph is not None:
        node.graph.remove(node, safe=True)
    return True


def _computed(node: ir.Node, index: int) -> ir.Value | None:
    """An input that is computed rather than constant."""
    value = node.inputs[index] if index < len(node.inputs) else None
    return value if value is not None and value.const_value is None else None


def _reshape(edit: Editor) -> bool:
    node = edit.node
    if _computed(node, 1) is None or node.inputs[0] is None:
        return False
    target = sizes_of(node.inputs[1])
    source = shape_of(node.inputs[0])
    result = shape_of(node.outputs[0])
    if target is None or source is None or result is None or target.ndim != 1:
        return False
    allowzero = bool(node.attributes.get_int("allowzero", 0))
    codes = reshape_codes(source, list(target.tolist()), result, allowzero=allowzero)
    if codes is None:
        return False
    node.attributes.pop("allowzero", None)
    node.replace_input_with(1, edit.const("shape", codes))
    return True


def reshape_codes(
    source: Sequence[Size], target: Sequence[Size], result: Sequence[Size], *, allowzero: bool
) -> list[int] | None:
    """Reshape's constant shape that gives the same as a computed one, None where there is none.

    Args:
        source: Shape of the data.
        target: What is known of the computed shape; elements may be 0 and -1 in Reshape's own meaning.
        result: Shape of the result, as far as it is known.
        allowzero: Whether a 0 in the target means an empty dimension.
    """
    codes: list[int] = []
    for axis, size in enumerate(target):
        if isinstance(size, int) and (size != 0 or not allowzero):
            codes.append(size)
        elif isinstance(size, int):
            return None
        elif axis < len(source) and equal(source[axis], size):
            codes.append(0)
        else:
            codes.append(-1)
    if codes.count(-1) > 1:
        # The one that Reshape was to infer may be a number, or a copied dimension, after all.
        for axis, code in enumerate(codes):
            size = result[axis]
            if code == -1 and isinstance(size, int):
                codes[axis] = size
            elif code == -1 and axis < len(source) and equal(source[axis], size):
                codes[axis] = 0
    return codes if codes.count(-1) <= 1 else None


def _expand(edit: Editor) -> bool:
    node = edit.node
    x = node.inputs[0]
    source = None if x is None else shape_of(x)
    target = sizes_of(node.inputs[1])
    result = shape_of(node.outputs[0])
    if x is None or source is None or result is None:
        return False
    if len(result) == len(source) and all(equal(a, b) for a, b in zip(source, result, strict=True)):
        edit.replace(x)
        return True
    if _only_broadcast_anyway(node, source, result):
        edit.replace(x)
        return True
    if target is None or _computed(node, 1) is None:
        return False
    offset = len(target) - len(source)
    codes: list[int] = []
    for axis, size in enumerate(target.tolist()):
        own = source[axis - offset] if axis >= offset else 1
        if isinstance(size, int):
            codes.append(size)
        elif equal(own, size):
            codes.append(1)
        else:
            return False
    node.replace_input_with(1, edit.const("shape", codes))
    return True


def _filled(edit: Editor) -> bool:
    """A constant spread over a shape is a scalar where everything it feeds would spread it just so."""
    node = edit.node
    output = node.outputs[0]
    result = shape_of(output)
    if result is None or output.dtype is None or not _only_broadcast_anyway(node, (), result):
        return False
    attribute = node.attributes.get("value")
    number = 0.0 if attribute is None else attribute.as_tensor().numpy().reshape(()).item()
    exact = float(str(np.float32(number))) if output.dtype == ir.DataType.FLOAT else None
    edit.replace(edit.const("value", number, output.dtype.numpy(), exact=exact))
    return True


_ELEMENTWISE_NAMES = """
Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or
Pow Sub Sum Where Xor
"""
_ELEMENTWISE = frozenset(_ELEMENTWISE_NAMES.split())


def _only_broadcast_anyway(node: ir.Node, source: Sequence[Size], result: Sequence[Size]) -> bool:
    """Whether all that an Expand feeds are element-wise operators that would broadcast its input just so."""
    output = node.outputs[0]
    if output.is_graph_output() or not output.uses():
        return False
    for user, _ in output.uses():
        if user.domain or user.op_type not in _ELEMENTWISE or user.graph is not node.graph:
            return False
        others = [value for value in user.inputs if value is not None and value is not output]
        shapes = [shape_of(value) for value in others]
        if not shapes or any(shape is None for shape in shapes):
            return False
        known = [tuple(shape) for shape in shapes if shape is not None]
        without = broadcast([tuple(source), *known])
        wanted = broadcast([tuple(result), *known])
        if len(without) != len(wanted) or not all(equal(a, b) for a, b in zip(without, wanted, strict=True)):
            return False
    return True


def _slice(edit: Editor) -> bool:
    node = edit.node
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    axes = numbers_of(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] is not None else None
    if shape is None or (_computed(node, 1) is None and _computed(node, 2) is None):
        return False
    folded = False
    for index, role in ((1, "starts"), (2, "ends")):
        if _computed(node, index) is None:
            continue
        bounds = sizes_of(node.inputs[index])
        if bounds is None:
            continue
        places = list(range(bounds.size)) if axes is None else axes
        codes: list[int] = []
        for axis, bound in zip(places, bounds.flat, strict=True):
            if isinstance(bound, int):
                codes.append(bound)
            elif equal(bound, shape[axis]):
                codes.append(_END)
        if len(codes) == bounds.size:
            node.replace_input_with(index, edit.const(role, codes))
            folded = True
    return folded


def _resize(edit: Editor) -> bool:
    node = edit.node
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    if shape is None or len(node.inputs) < 4 or _computed(node, 3) is None:
        return False
    sizes = sizes_of(node.inputs[3])
    plain = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    if (
        sizes is None
        or "axes" in node.attributes
        or not plain
        or node.attributes.get_string("coordinate_transformation_mode") == "tf_crop_and_resize"
    ):
        return False
    changed = [axis for axis, size in enumerate(sizes.flat) if not equal(size, shape[axis])]
    targets = [sizes.flat[axis] for axis in changed]
    if changed and all(isinstance(size, int) for size in targets):
        node.replace_input_with(3, edit.const("sizes", targets))
        node.attributes["axes"] = ir.AttrInt64s("axes", changed)
        return True
    scales = [1.0] * len(shape)
    for axis, size in zip(changed, targets, strict=True):
        factor = _whole_multiple(size, shape[axis])
        if factor is None:
            return False
        scales[axis] = float(factor)
    edit.set_inputs(x, None, edit.const("scales", scales, np.float32))
    return True


def _whole_multiple(size: Size, of: Size) -> int | None:
    if size is None or of is None:
        return None
    ratio = quotient(size, of)
    return ratio if isinstance(ratio, int) else None


def _split(edit: Editor) -> bool:
    node = edit.node
    parts = sizes_of(node.inputs[1]) if _computed(node, 1) is not None else None
    if parts is None or not all(equal(part, parts.flat[0]) for part in parts.flat):
        return False
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    if shape is None:
        return False
    axis = (node.attributes.get_int("axis", 0) or 0) % len(shape)
    if not equal(product([parts.flat[0], len(node.outputs)]), shape[axis]):
        return False
    edit.set_inputs(x)
    node.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(node.outputs))
    return True


_RULES: dict[str, Callable[[Editor], bool]] = {
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
}
