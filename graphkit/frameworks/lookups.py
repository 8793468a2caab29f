"""Rows that are looked up in a table of weights: are they in it?

torch, ONNX Runtime and MXNet each have their own way with an index beyond a table, and MXNet's is to take the last row
and say nothing. Token ids and positions that follow from integer inputs and from sizes are cheap to compute beforehand.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnx_ir as ir

from graphkit.errors import FeedError, InputError
from graphkit.ir.opset import OPSET

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

__all__ = ["check_lookups", "check_stored_lookups"]

_CHEAP: Final = frozenset(
    {
        *(
            "Abs",
            "Add",
            "Div",
            "Max",
            "Min",
            "Mod",
            "Mul",
            "Neg",
            "Sub",
            "CumSum",
            "ReduceMax",
            "ReduceMin",
            "ReduceSum",
        ),
        *("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Where", "Xor"),
        *("Cast", "Clip", "Concat", "ConstantOfShape", "Expand", "Flatten", "Gather", "Identity", "Range", "Reshape"),
        *("Shape", "Size", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)
"""Operators that make positions and ids."""
_LARGEST: Final = 64
"""Nodes that are computed for the rows of one table; with more they are not."""
_SMALL: Final = 1 << 20
"""Numbers in a constant that these nodes read; with more they are not computed."""


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A node that looks up rows.

    Attributes:
        node: Its name.
        table: Name of what it looks them up in.
        rows: How many there are.
        evaluator: What computes the rows that are looked up.
        inputs: Names of the model's inputs that they follow from.
    """

    node: str
    table: str
    rows: int
    evaluator: Any
    inputs: tuple[str, ...]


_PLANS: Final[weakref.WeakKeyDictionary[ir.Model, tuple[int, list[_Lookup]]]] = weakref.WeakKeyDictionary()


def check_lookups(model: ir.Model, feeds: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Refuse feeds with which the model would look up rows that a table of weights does not have.

    Args:
        model: A canonical model.
        feeds: One array for each graph input, by name.

    Raises:
        FeedError: A row is beyond its table; it names the node, the table and the inputs that the row follows from.
    """
    nodes = len(model.graph)
    held = _PLANS.get(model)
    if held is None or held[0] != nodes:
        held = _PLANS[model] = (nodes, _lookups(model))
    for lookup in held[1]:
        try:
            (found,) = lookup.evaluator.run(None, {name: feeds[name] for name in lookup.inputs})
        except Exception:  # what is wrong with the sizes the runtime says better
            continue
        row = _beyond(np.asarray(found), lookup.rows)
        if row is not None:
            given = " and ".join(f"{name!r} of shape {_shown(feeds[name])}" for name in lookup.inputs)
            raise FeedError(
                f"Node {lookup.node!r} (Gather) looks up row {row} in {lookup.table!r}, which has {lookup.rows} rows, "
                f"as follows from the input {given}. Feed shorter sequences where it is a table of positions, smaller "
                f"ids where it is one of tokens."
            )


def check_stored_lookups(model: ir.Model) -> None:
    """Refuse a model that looks up rows, fixed in it, that a table of weights does not have.

    Raises:
        InputError: A row is beyond its table, as positions are where a length is longer than the table allows.
    """
    for node in model.graph:
        rows = _rows(node)
        indices = node.inputs[1] if len(node.inputs) > 1 else None
        if not rows or indices is None or indices.const_value is None:
            continue
        row = _beyond(indices.const_value.numpy(), rows)
        if row is not None:
            table = node.inputs[0].name if node.inputs[0] is not None else ""
            raise InputError(
                f"Node {node.name!r} (Gather) looks up row {row} in {table!r}, which has {rows} rows. If these are "
                f"positions, the inputs are longer than the model allows: give a length of {rows} at most."
            )


def _beyond(found: npt.NDArray[np.generic], rows: int) -> int | None:
    if not found.size:
        return None
    least, most = int(found.min()), int(found.max())
    return most if most >= rows else least if least < -rows else None


def _shown(array: npt.NDArray[np.generic]) -> str:
    return "x".join(map(str, np.shape(array))) or "scalar"


def _rows(node: ir.Node) -> int:
    """Rows of the table that a node looks up in; 0 where it does not look up in one."""
    table = node.inputs[0] if node.op_type == "Gather" and not node.domain and len(node.inputs) == 2 else None
    if table is None or not table.is_initializer() or table.shape is None:
        return 0
    size = table.shape[node.attributes.get_int("axis", 0)]
    return size if isinstance(size, int) else 0


def _lookups(model: ir.Model) -> list[_Lookup]:
    return [found for node in model.graph if (rows := _rows(node)) and (found := _lookup(node, rows)) is not None]


def _lookup(node: ir.Node, rows: int) -> _Lookup | None:
    indices = node.inputs[1]
    assert indices is not None
    nodes: dict[ir.Node, None] = {}
    inputs: dict[str, ir.Value] = {}
    constants: dict[str, ir.Value] = {}
    if not _gathered(indices, nodes, inputs, constants) or not inputs:
        return None
    ordered = [each for each in node.graph or () if each in nodes]
    result = onnx.helper.make_tensor_value_info(indices.name or "", _type(indices), None)
    graph = onnx.helper.make_graph(
        [ir.serde.serialize_node(each) for each in ordered],
        "rows",
        [onnx.helper.make_tensor_value_info(name, _type(value), None) for name, value in inputs.items()],
        [result],
        [onnx.numpy_helper.from_array(_array(value), name) for name, value in constants.items()],
    )
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)]))
    return _Lookup(
        node.name or "", (node.inputs[0].name if node.inputs[0] else "") or "", rows, evaluator, tuple(inputs)
    )


def _gathered(
    value: ir.Value, nodes: dict[ir.Node, None], inputs: dict[str, ir.Value], constants: dict[str, ir.Value]
) -> bool:
    """Collect what a value is computed from; whether that is cheap, and of integers and sizes only."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if each.const_value is not None:
            constants[each.name or ""] = each
        elif each.is_graph_input():
            inputs[each.name or ""] = each
        else:
            node = each.producer()
            if node is None or node.op_type not in _CHEAP or node.domain or len(nodes) > _LARGEST:
                return False
            if node in nodes:
                continue
            nodes[node] = None
            if any(output.dtype is None or output.dtype.is_floating_point() for output in node.outputs):
                return False
            waiting.extend(operand for operand in node.inputs if operand is not None)
    return all(
        constant.const_value is not None and constant.const_value.size <= _SMALL for constant in constants.values()
    )


def _type(value: ir.Value) -> int:
    return int(value.dtype or ir.DataType.UNDEFINED)


def _array(value: ir.Value) -> npt.NDArray[np.generic]:
    assert value.const_value is not None
    array: npt.NDArray[np.generic] = value.const_value.numpy()
    return array
