"""Long short-term memory whose hidden state is a projection of what ONNX's has.

ONNX has no projection. An LSTM whose recurrent weight is multiplied by the projection computes the same from its
unprojected state; only the initial state, which is given projected, has to come in by another way: as further features
of the first step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.recurrent.as_torch import as_torch
from graphkit.ops.recurrent.elements import is_zero
from graphkit.ops.recurrent.samples import projected_cases
from graphkit.ops.recurrent.writing import write
from graphkit.ops.spec import MxForm, Op
from graphkit.ops.tensor.sizes import some
from graphkit.ops.work import projected

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder


def _body(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    data, weight, recurrence, projection = (some(value) for value in x[:4])
    bias, lengths, hidden, cell = (x[place] if place < len(x) else None for place in range(4, 8))
    way = node.attributes.get_string("direction", "forward")
    if hidden is not None and not is_zero(hidden):
        data, weight = _started(b, data, weight, recurrence, hidden, lengths, way or "forward")
    y, last, ended = b.ops(
        "LSTM",
        3,
        data,
        weight,
        b.op("MatMul", recurrence, projection),
        bias,
        lengths,
        None,
        cell,
        hidden_size=b.size(projection, 2),
        direction=way,
    )
    back = b.op("Transpose", projection, perm=[0, 2, 1])
    return [b.op("MatMul", y, back), b.op("MatMul", last, back), ended]


def _started(
    b: BodyBuilder,
    data: ir.Value,
    weight: ir.Value,
    recurrence: ir.Value,
    initial: ir.Value,
    lengths: ir.Value | None,
    way: str,
) -> tuple[ir.Value, ir.Value]:
    """Input and input weight with the initial state of each direction as further features of its first step."""
    steps = b.op("Squeeze", b.op("Shape", data, start=0, end=1), [0])
    times = b.op("Unsqueeze", b.op("Range", b.const(0, np.int64), steps, b.const(1, np.int64)), [1, 2])
    ends = steps if lengths is None else b.op("Unsqueeze", b.op("Cast", lengths, to=7), [0, 2])
    last = b.op("Equal", times, b.op("Sub", ends, b.const(1, np.int64)))
    firsts = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[way]
    nothing = b.scalar(0, data)
    parts, rows = [data], []
    for number, backward in enumerate(firsts):
        state, own = initial, recurrence
        if len(firsts) > 1:
            state, own = (b.op("Slice", value, [number], [number + 1], [0]) for value in (initial, recurrence))
        there = last if backward else b.op("Equal", times, b.const(0, np.int64))
        parts.append(b.op("Where", there, state, nothing))
        none = b.op("Mul", own, nothing)
        columns = [own if place == number else none for place in range(len(firsts))]
        rows.append(columns[0] if len(columns) == 1 else b.op("Concat", *columns, axis=2))
    more = rows[0] if len(rows) == 1 else b.op("Concat", *rows, axis=0)
    return b.op("Concat", *parts, axis=2), b.op("Concat", weight, more, axis=2)


OP = Op(
    "ProjectedLSTM",
    domain=DOMAIN,
    body=_body,
    mx=(MxForm("RNN", pin={"mode": "lstm"}, write=write, direction="write"),),
    torch=as_torch,
    macs=projected,
    cases=projected_cases(),
)
