"""One node of a domain of ONNX Runtime's, run by its own kernel and as graphkit expands it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.opset import OPSET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Arrays", "assert_expanded_alike", "contrib_model", "expanded", "kernel", "run_expanded"]

Arrays = dict[str, np.ndarray]
RNG = np.random.default_rng


def contrib_model(
    op: str,
    inputs: Sequence[np.ndarray | None],
    attrs: Mapping[str, Any] | None = None,
    *,
    outputs: Sequence[type | None] = (np.float32,),
    const: Sequence[int] = (),
    domain: str = "com.microsoft",
    opset: int = 17,
) -> tuple[ir.Model, Arrays]:
    """A model of one node and its feeds; ``outputs`` are element types, None for an output that is absent."""
    feeds: Arrays = {}
    operands: list[ir.Value | None] = []
    stored: list[ir.Value] = []
    for number, array in enumerate(inputs):
        name = f"x{number}"
        if array is None:
            operands.append(None)
            continue
        value = ir.Value(name=name)
        value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
        if number in const:
            value.const_value = ir.tensor(array, name=name)
            stored.append(value)
        else:
            feeds[name] = array
        operands.append(value)
    results = [ir.Value(name="" if dtype is None else f"y{number}") for number, dtype in enumerate(outputs)]
    for value, dtype in zip(results, outputs, strict=True):
        if dtype is not None:
            value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype)))
    node = ir.node(op, operands, dict(attrs or {}), domain=domain, outputs=results, name="node")
    given = [value for value in operands if value is not None and value.name in feeds]
    imports = {"": opset} if not domain else {"": opset, domain: 3 if domain == "ai.onnx.ml" else 1}
    graph = ir.Graph(
        given,
        [value for value in results if value.name],
        nodes=[node],
        initializers=stored,
        opset_imports=imports,
        name="contrib",
    )
    return ir.Model(graph, ir_version=8), feeds


def kernel(model: ir.Model, feeds: Arrays) -> Arrays:
    """What ONNX Runtime's own kernel computes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))


def expanded(model: ir.Model) -> ir.Model:
    """The canonical model, in which no operator of another domain is left."""
    canonical(model)
    assert [node.op_type for node in model.graph if node.domain not in ("", "graphkit")] == []
    assert model.opset_imports[""] == OPSET
    return model


def run_expanded(model: ir.Model, feeds: Arrays, runtime: str) -> Arrays:
    """What a runtime computes of an expanded model."""
    with runtimes()[runtime].open(model, native=False) as session:
        return session.forward(feeds)


def assert_expanded_alike(
    op: str,
    inputs: Sequence[np.ndarray | None],
    attrs: Mapping[str, Any] | None = None,
    *,
    tol: float = 2e-6,
    steps: int = 0,
    on: Sequence[str] = ("ort", "torch", "mxnet"),
    **how: Any,
) -> None:
    """The kernel's numbers, from the expanded model, on some runtimes.

    Args:
        op: Operator.
        inputs: Its operands.
        attrs: Its attributes.
        tol: Largest difference of floats, as part of the largest magnitude.
        steps: Largest difference of integers.
        on: Runtimes of the expanded model.
        how: Further arguments of :func:`contrib_model`.
    """
    model, feeds = contrib_model(op, inputs, attrs, **how)
    right = kernel(model, feeds)
    expanded(model)
    for runtime in on:
        left = run_expanded(model, feeds, runtime)
        assert list(left) == list(right)
        for name, expected in right.items():
            found = left[name]
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype), (runtime, name)
            if expected.dtype.kind == "f":
                assert np.isfinite(expected).all()
                scale = max(float(np.abs(expected).max(initial=0.0)), 1e-30)
                worst = float(np.abs(found.astype(np.float64) - expected).max(initial=0.0)) / scale
                assert worst <= tol, f"{runtime}: {name} is off by {worst:.2g}"
            else:
                apart = np.abs(found.astype(np.int64) - expected.astype(np.int64)).max(initial=0)
                assert apart <= steps, f"{runtime}: {name} is {apart} steps off"
