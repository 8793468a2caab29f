"""Branches and loops: torch's higher-order operators as If, Loop and Scan.

Each is called with functions of the model, which torch.onnx made of the graphs nested in the program and inlines
later. A body of ONNX's reads what it is not handed from the graph around it, so that what torch lists as additional
inputs is no input of a loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _called(function: ir.Function, inputs: Sequence[Any]) -> ir.Node:
    """A call of a function whose results are called as nothing else is."""
    node = ir.Node(function.domain, function.name, inputs, num_outputs=len(function.outputs), version=1)
    for inner, outer in zip(function.outputs, node.outputs, strict=True):
        outer.name = f"{inner.name}_{function.name}"
        outer.type, outer.shape = inner.type, inner.shape
    return node


def _branch(emit: Emit, function: ir.Function, inputs: Sequence[Any]) -> ir.Graph:
    node = _called(function, _tensors(emit, inputs))
    return ir.Graph((), node.outputs, nodes=[node], name=function.name)


def _tensors(emit: Emit, values: Sequence[Any]) -> list[ir.Value]:
    """Values, Python's numbers among them made constants."""
    return [value if isinstance(value, ir.Value) else emit.array(_array(value)) for value in values]


def _array(number: float) -> np.ndarray[Any, np.dtype[np.generic]]:
    kind = np.bool_ if isinstance(number, bool) else np.int64 if isinstance(number, int) else np.float32
    return np.asarray(number, kind)


def _inner(function: ir.Function, values: Sequence[ir.Value], *, rows: bool = False) -> list[ir.Value]:
    """Inputs of a body that stand for values or, one on each turn, for their rows."""
    found = []
    for number, value in enumerate(values):
        shape = None if value.shape is None else ir.Shape(value.shape[1:] if rows else value.shape)
        name = f"{function.name}_{'row' if rows else 'carried'}_{number}"
        found.append(ir.Value(name=name, shape=shape, type=value.type))
    return found


def _cond(
    emit: Emit, condition: Any, true: ir.Function, false: ir.Function, operands: Sequence[Any] = ()
) -> list[ir.Value]:
    (flag,) = _tensors(emit, [condition])
    then, otherwise = _branch(emit, true, operands), _branch(emit, false, operands)
    return emit.ops("If", len(true.outputs), flag, then_branch=then, else_branch=otherwise)


def _while_loop(
    emit: Emit,
    condition: ir.Function,
    body: ir.Function,
    carried: Sequence[Any],
    additional: Sequence[Any] = (),
    **_: Any,
) -> list[ir.Value]:
    first, read = _tensors(emit, carried), _tensors(emit, additional)
    begins = emit.call(condition, [*first, *read])
    turn = ir.Value(name=f"{body.name}_turn", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT64))
    going = ir.Value(name=f"{body.name}_going", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.BOOL))
    inner = _inner(body, first)
    after = _called(body, [*inner, *read])
    goes_on = _called(condition, [*after.outputs, *read])
    graph = ir.Graph(
        [turn, going, *inner], [*goes_on.outputs, *after.outputs], nodes=[after, goes_on], name=f"{body.name}_turns"
    )
    return emit.ops("Loop", len(first), None, begins[0], *first, body=graph)


def _scan(
    emit: Emit, body: ir.Function, first: Sequence[Any], rows: Sequence[Any], additional: Sequence[Any] = ()
) -> list[ir.Value]:
    states, arrays, read = (_tensors(emit, values) for values in (first, rows, additional))
    inner = [*_inner(body, states), *_inner(body, arrays, rows=True)]
    node = _called(body, [*inner, *read])
    graph = ir.Graph(inner, node.outputs, nodes=[node], name=body.name)
    return emit.ops("Scan", len(body.outputs), *states, *arrays, body=graph, num_scan_inputs=len(arrays))


def _map(emit: Emit, body: ir.Function, rows: Sequence[Any], additional: Sequence[Any] = ()) -> list[ir.Value]:
    return _scan(emit, body, (), rows, additional)


ROWS = {
    "higher_order.cond": _cond,
    "higher_order.map_impl": _map,
    "higher_order.scan": _scan,
    "higher_order.while_loop": _while_loop,
}
