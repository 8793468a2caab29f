"""Operators that ONNX Runtime computes otherwise than ONNX says, in operators on which both agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.frameworks.onnx.hidden_rows import may_hide_all, show_something
from graphkit.ir.canonical.names import fix_names
from graphkit.ir.dims import dims_of
from graphkit.ir.edit import Editor, nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

__all__ = ["reword"]


def reword(model: ir.Model) -> None:
    """Say nodes of a canonical model that is to be written in operators that run alike everywhere, in place."""
    nodes = [node for node in nodes_of(model) if not node.domain and node.op_type in _REWORDED]
    for node in nodes:
        _REWORDED[node.op_type](Editor(model, node))
    if nodes:
        fix_names(model)


def _attention(edit: Editor) -> None:
    """ONNX Runtime (1.31) takes no mask of one row for all queries."""
    node = edit.node
    query, mask = node.inputs[0], node.inputs[3] if len(node.inputs) > 3 else None
    if may_hide_all(node):
        show_something(edit)
        return
    sizes, given = (None if value is None else dims_of(value) for value in (query, mask))
    if query is None or mask is None or sizes is None or given is None or len(given) < 2 or given[-2] != 1:
        return
    axis = 2 if len(sizes) == 4 else 1
    if sizes[axis] == 1:
        return
    rows = edit.op("Shape", query, start=axis, end=axis + 1)
    wide = edit.op("Concat", rows, edit.const("one", [1]), axis=0)
    node.replace_input_with(3, edit.op("Expand", mask, wide))


def _bernoulli(edit: Editor) -> None:
    """ONNX's function body of Bernoulli, which ONNX Runtime runs, compares the wrong way round: 1 comes with 1 - p."""
    node = edit.node
    (chances,) = node.inputs
    assert chances is not None
    seed = node.attributes.get("seed")
    drawn = edit.op("RandomUniformLike", chances, seed=None if seed is None else seed.as_float())
    kind = node.outputs[0].dtype
    assert kind is not None
    edit.replace(edit.op("Cast", edit.op("Less", drawn, chances), to=int(kind)))


def _resize(edit: Editor) -> None:
    """ONNX Runtime (1.31) takes sizes and scales of some axes for those of all where it moves transpositions."""
    node = edit.node
    axes = node.attributes.get_ints("axes", None)
    x, place = node.inputs[0], 2 if node.inputs[2] is not None else 3
    dims, given = None if x is None else dims_of(x), node.inputs[place]
    plain = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    cropped = node.attributes.get_string("coordinate_transformation_mode") == "tf_crop_and_resize"
    if axes is None or dims is None or given is None or given.const_value is None or not plain or cropped:
        return
    numbers, known = [axis % len(dims) for axis in axes], given.const_value.numpy()
    known_dims = [1 if number in numbers else dim for number, dim in enumerate(dims)]
    if place == 2 or all(isinstance(dim, int) for dim in known_dims):
        every = np.ones(len(dims), known.dtype) if place == 2 else np.asarray(known_dims, np.int64)
        every[numbers] = known
        whole = edit.const("scales" if place == 2 else "sizes", every, known.dtype)
    else:
        whole = edit.op("ScatterElements", edit.op("Shape", x), edit.const("axes", numbers), given, axis=0)
    node.replace_input_with(place, whole)
    del node.attributes["axes"]


def _pad(edit: Editor) -> None:
    """ONNX Runtime (1.31) takes pads of some axes for those of all where it moves transpositions."""
    node = edit.node
    x, pads, axes = (node.inputs[place] if place < len(node.inputs) else None for place in (0, 1, 3))
    dims = None if x is None else dims_of(x)
    if dims is None or axes is None or axes.const_value is None or pads is None:
        return
    rank, numbers = len(dims), [int(axis) % len(dims) for axis in axes.const_value.numpy()]
    places = [*numbers, *(number + rank for number in numbers)]
    if pads.const_value is not None:
        every = np.zeros(2 * rank, np.int64)
        every[places] = pads.const_value.numpy()
        whole = edit.const("pads", every)
    else:
        nothing = edit.const("nothing", np.zeros(2 * rank, np.int64))
        whole = edit.op("ScatterElements", nothing, edit.const("places", places), pads, axis=0)
    node.replace_input_with(1, whole)
    node.resize_inputs(3)


def _drawn_as(edit: Editor, op: str, **numbers: float) -> None:
    """Draw from another distribution what the node draws."""
    node = edit.node
    kept = {name: node.attributes[name] for name in ("shape", "dtype", "seed") if name in node.attributes}
    attrs: dict[str, Any] = {name: attribute.value for name, attribute in kept.items()}
    attrs.update(numbers)
    edit.replace(edit.op(f"{op}{'Like' if node.inputs else ''}", *node.inputs, **attrs))


def _normal(edit: Editor) -> None:
    """ONNX Runtime (1.31) aborts the process where a deviation is not positive; the mean is in the middle of any."""
    mean, scale = (edit.node.attributes.get_float(name, default) for name, default in (("mean", 0.0), ("scale", 1.0)))
    if scale < 0:
        _drawn_as(edit, "RandomNormal", mean=mean, scale=-scale)
    elif scale == 0:
        _drawn_as(edit, "RandomUniform", low=mean, high=mean)


def _uniform(edit: Editor) -> None:
    """ONNX Runtime (1.31) aborts the process where the ends of a range are the wrong way round."""
    low, high = (edit.node.attributes.get_float(name, default) for name, default in (("low", 0.0), ("high", 1.0)))
    if low > high:
        _drawn_as(edit, "RandomUniform", low=high, high=low)


_REWORDED: dict[str, Callable[[Editor], None]] = {
    "Attention": _attention,
    "Bernoulli": _bernoulli,
    "Pad": _pad,
    "RandomNormal": _normal,
    "RandomNormalLike": _normal,
    "RandomUniform": _uniform,
    "RandomUniformLike": _uniform,
    "Resize": _resize,
}
