"""Gated recurrent units."""

from __future__ import annotations

from graphkit.ops.recurrent.as_torch import as_torch
from graphkit.ops.recurrent.gradient import gradient
from graphkit.ops.recurrent.reading import READS, read
from graphkit.ops.recurrent.samples import LIMITS, mx_cases, onnx_cases, step_cases
from graphkit.ops.recurrent.writing import write
from graphkit.ops.spec import MxForm, Op
from graphkit.ops.work import recurrent

OP = Op(
    "GRU",
    mx=(MxForm("RNN", pin={"mode": "gru"}, read=read, reads=READS, write=write, cases=mx_cases("gru")),),
    torch=as_torch,
    macs=recurrent(3),
    cases=(*onnx_cases("gru", linear_before_reset=1), *step_cases("gru")),
    limits=LIMITS,
    gradient=gradient,
)
