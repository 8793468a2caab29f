"""Models that compute as in training, said in ONNX's own operators.

A canonical model is mode-neutral: its BatchNormalization and Dropout nodes are in inference form. In training form the
first normalises by the statistics of the batch, y = γ · (x - mean) / √(var + ε) + β with the biased variance (Ioffe and
Szegedy, Batch Normalization, 2015, algorithm 1), composed of operators that every runtime has kernels and gradients
for; the second is left out, or drops.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from graphkit.errors import UnsupportedError, UnsupportedNode
from graphkit.ir.canonical.aliases import drop_unused
from graphkit.ir.dims import dims_of
from graphkit.ir.edit import Editor, nodes_of
from graphkit.ir.origin import drop_source
from graphkit.ir.params import kind_of
from graphkit.ops.codec import ints
from graphkit.ops.nn.batch_norm import FROZEN
from graphkit.ops.nn.epsilon import epsilon
from graphkit.ops.spec import decimal, torch_float

__all__ = ["differs_in_training", "in_training", "training_form"]

_TARGET: Final = "their training form"
_RATIO: Final = 0.5
"""ONNX's default of Dropout's ratio."""
_KEPT: Final = 0.9
"""ONNX's default of BatchNormalization's momentum."""
_AXES: Final = "graphkit.dropout_axes"
_HALVES: Final = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def in_training(model: ir.Model, *, dropout: bool) -> ir.Model:
    """A copy of a canonical model in training form; see :func:`training_form`."""
    copy = model.clone()
    copy.meta.update(model.meta)
    drop_source(copy)
    training_form(copy, dropout=dropout)
    drop_unused(copy)
    return copy


def differs_in_training(model: ir.Model, *, dropout: bool) -> bool:
    """Whether a canonical model computes something else in training, with or without dropout."""
    return any(_takes_statistics(node) or (dropout and _drops(node)) for node in nodes_of(model))


def training_form(
    model: ir.Model, *, dropout: bool, statistics: bool = False, unbiased: bool = True
) -> dict[str, ir.Value]:
    """Bring a canonical model into training form, in place.

    What BatchNormalization gives keeps its name, and so does what Dropout gives. A BatchNormalization whose statistics
    are computed, or frozen (:data:`graphkit.ops.nn.batch_norm.FROZEN`), stays as it is.

    Args:
        model: The model, its values with dtypes, and with ranks where BatchNormalization reads them.
        dropout: Whether Dropout drops; it is left out otherwise.
        statistics: Whether the running statistics are moved too, r ← k · r + (1 - k) · b.
        unbiased: Whether variances are moved towards the batch's unbiased one, n / (n - 1) of the biased one for n
            numbers, as torch does it, or towards the biased one, as ONNX and MXNet do it.

    Returns:
        The running statistics after the batch, by the names of the buffers that hold them before it; empty without
        ``statistics``.

    Raises:
        UnsupportedError: Nodes that have no training form, all of them.
    """
    moved: dict[str, ir.Value] = {}
    refused: list[UnsupportedNode] = []
    for node in nodes_of(model):
        if _takes_statistics(node):
            if reason := _reason(model, node, statistics=statistics):
                refused.append(UnsupportedNode(node.op_type, node.name or "", reason))
            else:
                moved.update(_normalise(Editor(model, node), moved if statistics else None, unbiased=unbiased))
        elif _drops(node):
            (_drop if dropout else _leave_out)(Editor(model, node))
    if refused:
        raise UnsupportedError(_TARGET, refused)
    return moved


def _takes_statistics(node: ir.Node) -> bool:
    """Whether a node normalises by the statistics of the batch in training."""
    if node.op_type != "BatchNormalization" or node.domain or FROZEN in node.metadata_props:
        return False
    return all(value is not None and value.is_initializer() for value in node.inputs[3:5])


def _drops(node: ir.Node) -> bool:
    return node.op_type == "Dropout" and not node.domain


def _reason(model: ir.Model, node: ir.Node, *, statistics: bool) -> str:
    """Why a BatchNormalization has no training form; empty where it has one."""
    data = node.inputs[0]
    if data is None or dims_of(data) is None:
        return "the rank of what it normalises is not known; give the model's inputs shapes"
    if statistics and node.graph is not model.graph:
        return "it is inside a loop or branch, where its running statistics cannot be handed on"
    return ""


def _normalise(edit: Editor, moved: dict[str, ir.Value] | None, *, unbiased: bool) -> dict[str, ir.Value]:
    """Replace a BatchNormalization; gives the statistics that it moves, unless ``moved`` is None."""
    node = edit.node
    x, gamma, beta, mean, var = (value for value in node.inputs[:5] if value is not None)
    kind = ir.DataType.FLOAT if x.dtype in _HALVES else x.dtype
    assert kind is not None

    def cast(value: ir.Value) -> ir.Value:
        return value if value.dtype == kind else edit.op("Cast", value, to=int(kind))

    rank = len(dims_of(x) or ())
    axes = edit.const("axes", [axis for axis in range(rank) if axis != 1])
    data = cast(x)
    center = edit.op("ReduceMean", data, axes, keepdims=1)
    offset = edit.op("Sub", data, center)
    spread = edit.op("ReduceMean", edit.op("Mul", offset, offset), axes, keepdims=1)
    eps = epsilon(node)
    eps_ = edit.const("epsilon", eps, kind.numpy(), eps)
    column = edit.const("column", [-1, *[1] * (rank - 2)]) if rank > 2 else None

    def per_channel(value: ir.Value) -> ir.Value:
        return cast(value) if column is None else edit.op("Reshape", cast(value), column)

    scale = edit.op("Div", per_channel(gamma), edit.op("Sqrt", edit.op("Add", spread, eps_)))
    result = edit.op("Add", edit.op("Mul", offset, scale), per_channel(beta))
    if result.dtype != x.dtype and x.dtype is not None:
        result = edit.op("Cast", result, to=int(x.dtype))
    found: dict[str, ir.Value] = {}
    if moved is not None:
        kept = torch_float(node, "momentum", _KEPT)
        flat = edit.const("flat", [-1])
        if unbiased:
            spread = edit.op("Mul", spread, _correction(edit, data, spread, kind))
        for held, batch in ((mean, center), (var, spread)):
            if kind_of(held) == "buffer":
                found[held.name or ""] = _moved(edit, moved.get(held.name or "", held), batch, flat, kept)
    edit.replace(result)
    return found


def _correction(edit: Editor, data: ir.Value, spread: ir.Value, kind: ir.DataType) -> ir.Value:
    """The factor n / (n - 1), for the n numbers that each variance is of; what torch refuses, n = 1, gives infinity."""
    one = edit.const("one", 1, kind.numpy())
    size = edit.op("Div", edit.op("Size", data), edit.op("Size", spread))
    count = edit.op("Cast", size, to=int(kind))
    return edit.op("Div", count, edit.op("Sub", count, one))


def _moved(edit: Editor, before: ir.Value, batch: ir.Value, flat: ir.Value, kept: float) -> ir.Value:
    """A running statistic after a batch, of its own dtype."""
    batch = edit.op("Reshape", batch, flat)
    if batch.dtype != before.dtype and before.dtype is not None:
        batch = edit.op("Cast", batch, to=int(before.dtype))
    assert before.dtype is not None
    dtype, rest = before.dtype.numpy(), decimal(1 - kept)
    old = edit.op("Mul", before, edit.const("kept", kept, dtype, kept))
    after = edit.op("Add", old, edit.op("Mul", batch, edit.const("rest", rest, dtype, rest)))
    after.shape = before.shape
    return after


def _leave_out(edit: Editor) -> None:
    """Replace a Dropout by nothing; an Identity holds its name."""
    x = edit.node.inputs[0]
    result = edit.op("Identity", x)
    kept = edit.op("Expand", edit.const("kept", True, np.bool_), edit.op("Shape", x)) if _is_masked(edit.node) else None
    edit.replace(result, kept)


def _drop(edit: Editor) -> None:
    """Replace a Dropout by a product with what one makes of ones.

    So a gradient is a product with the same numbers, whether a runtime takes the node for one of training or not. Its
    mask is used, as ONNX Runtime (1.31) otherwise takes it for one of inference, whatever its training_mode says.
    """
    node = edit.node
    x = node.inputs[0]
    assert x is not None
    assert x.dtype is not None
    dtype = x.dtype.numpy()
    ratio = node.inputs[1] if len(node.inputs) > 1 else None
    ratio = edit.const("ratio", _RATIO, np.float32) if ratio is None else ratio
    whole = sizes = edit.op("Shape", x)
    nothing = edit.const("nothing", 0, dtype)
    if _share(ratio) == 1:  # which ONNX Runtime refuses
        none = edit.op("Expand", edit.const("kept", False, np.bool_), whole) if _is_masked(node) else None
        edit.replace(edit.op("Mul", x, nothing), none)
        return
    axes = ints(node.metadata_props.get(_AXES, "()"))
    if axes:
        rank = len(dims_of(x) or ())
        shared = edit.const("shared", [number in {axis % rank for axis in axes} for number in range(rank)], np.bool_)
        sizes = edit.op("Where", shared, edit.const("single", [1]), whole)
    ones = edit.op("Expand", edit.const("one", 1, dtype), sizes)
    on = edit.const("training", True, np.bool_)
    drawn, kept = edit.ops("Dropout", 2, ones, ratio, on, seed=node.attributes.get_int("seed", None))
    result = edit.op("Mul", x, edit.op("Where", kept, drawn, nothing))
    if _is_masked(node) and axes:
        kept = edit.op("Expand", kept, whole)
    edit.replace(result, kept if _is_masked(node) else None)


def _share(ratio: ir.Value) -> float | None:
    """A Dropout's ratio; None where it is computed."""
    if ratio.const_value is None or ratio.is_graph_input():
        return None
    return float(ratio.const_value.numpy())


def _is_masked(node: ir.Node) -> bool:
    """Whether something uses a Dropout's mask."""
    return len(node.outputs) > 1 and bool(node.outputs[1].uses() or node.outputs[1].is_graph_output())
