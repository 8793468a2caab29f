"""Long short-term memory."""

from __future__ import annotations

from graphkit.ops.recurrent.reading import READS, read
from graphkit.ops.recurrent.samples import mx_cases, onnx_cases
from graphkit.ops.recurrent.writing import write
from graphkit.ops.spec import Limit, MxForm, Op

OP = Op(
    "LSTM",
    mx=(MxForm("RNN", pin={"mode": "lstm"}, read=read, reads=READS, write=write, cases=mx_cases("lstm")),),
    cases=onnx_cases("lstm"),
    limits=(Limit("onnxruntime", "ONNX Runtime has no recurrent layers with the batch first", "batch first"),),
)
