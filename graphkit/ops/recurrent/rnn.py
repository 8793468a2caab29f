"""Recurrent layers without gates."""

from __future__ import annotations

from graphkit.ops.recurrent.as_torch import as_torch
from graphkit.ops.recurrent.gradient import gradient
from graphkit.ops.recurrent.reading import READS, read
from graphkit.ops.recurrent.samples import LIMITS, SINGLE, mx_cases, onnx_cases, step_cases
from graphkit.ops.recurrent.writing import write
from graphkit.ops.spec import Case, MxForm, Op, arr
from graphkit.ops.work import recurrent

_X, _WEIGHT, _BOTH = arr(4, 2, 3), arr(1, 3, 3), arr(2, 3, 3)

OP = Op(
    "RNN",
    mx=(
        MxForm("RNN", pin={"mode": "rnn_tanh"}, read=read, reads=READS, write=write, cases=mx_cases("rnn_tanh")),
        MxForm("RNN", pin={"mode": "rnn_relu"}, read=read, reads=READS, direction="read", cases=mx_cases("rnn_relu")),
    ),
    torch=as_torch,
    macs=recurrent(1),
    cases=(
        *onnx_cases("rnn_tanh"),
        *step_cases("rnn_tanh"),
        Case("relu", (_X, _WEIGHT, _WEIGHT), {"hidden_size": 3, "activations": ["Relu"]}, const=(1, 2), tol=SINGLE),
        Case(
            "two activations",
            (_X, _BOTH, _BOTH),
            {"hidden_size": 3, "activations": ["Tanh", "Relu"], "direction": "bidirectional"},
            const=(1, 2),
            outputs=2,
            tol=SINGLE,
        ),
    ),
    limits=LIMITS,
    gradient=gradient,
)
