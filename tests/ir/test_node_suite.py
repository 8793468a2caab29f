"""ONNX's own suite of single nodes computes the same in canonical form."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
from nodesuite import node_cases

from graphkit.errors import ExecutionError, UnsupportedError
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import OPSET, canonical

ORT = FRAMEWORK.runtimes[0]
LEAST = 1300
"""Cases that have to be compared; ONNX Runtime runs that many of the suite."""


def _original(proto, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, feeds)
    except Exception:  # the case is not one that ONNX Runtime runs
        return None


def _same(left, right):
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind != "f":
        return np.array_equal(left, right)
    loose = left.dtype == np.float16
    wide = left.astype(np.float64), right.astype(np.float64)
    return np.allclose(*wide, rtol=1e-2 if loose else 1e-5, atol=1e-3 if loose else 1e-6, equal_nan=True)


def test_every_case_computes_the_same_or_is_refused():
    compared = 0
    wrong = []
    for case in node_cases():
        expected = _original(case.model, case.feeds)
        if expected is None:
            continue
        try:
            model = canonical(ir.serde.deserialize_model(case.model))
        except UnsupportedError:
            if case.opset <= OPSET and "training_mode" not in case.name and case.name != "test_scan_sum":
                wrong.append(f"{case.name}: refused")
            continue
        try:
            with ORT.open(model) as session:
                found = session.forward(case.feeds)
        except ExecutionError as error:
            wrong.append(f"{case.name}: {error}")
            continue
        compared += 1
        if list(found) != case.outputs or not all(map(_same, found.values(), map(np.asarray, expected))):
            wrong.append(f"{case.name}: other numbers")
    assert wrong == []
    assert compared > LEAST
