"""Long short-term memory."""

from __future__ import annotations

from graphkit.ops.recurrent.as_torch import as_torch
from graphkit.ops.recurrent.gradient import gradient
from graphkit.ops.recurrent.reading import READS, read
from graphkit.ops.recurrent.samples import LIMITS, mx_cases, onnx_cases, step_cases
from graphkit.ops.recurrent.writing import write
from graphkit.ops.spec import MxForm, Op
from graphkit.ops.work import recurrent

OP = Op(
    "LSTM",
    mx=(MxForm("RNN", pin={"mode": "lstm"}, read=read, reads=READS, write=write, cases=mx_cases("lstm")),),
    torch=as_torch,
    macs=recurrent(4),
    cases=(*onnx_cases("lstm"), *step_cases("lstm")),
    limits=LIMITS,
    gradient=gradient,
)
