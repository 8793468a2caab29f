"""Gradients of one MXNet operator beside those of what is read from it.

For operators whose gradients are not the derivatives of what they compute, or that MXNet has for float32 only, so that
``test_ops.py`` cannot take finite differences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.codec import show
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    import onnx_ir as ir

    Arrays = dict[str, Any]

__all__ = ["assert_gradients_are_mxnets", "read_node"]


def read_node(op: str, feeds: Arrays, attrs: dict[str, Any], *, outputs: int = 1) -> ir.Model:
    """The model of a symbol of one node that reads what is fed, in its order, as float32 where it is not int32."""
    variables = [MxNode(VARIABLE, name) for name in feeds]
    node = MxNode(op, "node", {name: show(value) for name, value in attrs.items()}, [MxRef(v) for v in variables])
    mx = MxModel(MxGraph([*variables, node], [MxRef(node, number) for number in range(outputs)]))
    inputs = tuple(
        InputSpec(name, array.shape, array.dtype.name if array.dtype == np.int32 else "float32")
        for name, array in feeds.items()
    )
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=False), "net"))
    set_source(model, Source("mxnet", "net", mx))
    return model


def assert_gradients_are_mxnets(
    op: str, feeds: Arrays, attrs: dict[str, Any], *, outputs: int = 1, dtype: str = "float64", tol: float = 1e-12
) -> None:
    """MXNet's operator, torch source, the symbol written back and the gradient graph give the same values and slopes.

    Args:
        op: MXNet operator.
        feeds: Its inputs in order.
        attrs: Its parameters.
        outputs: How many outputs it has.
        dtype: What it computes in.
        tol: Largest difference beside the largest magnitude.
    """
    model = cast_floats(read_node(op, feeds, attrs, outputs=outputs), dtype)
    kept = [value.name for value in model.graph.inputs]
    given = {name: array.astype(dtype) for name, array in feeds.items()}
    results: dict[tuple[str, bool], Arrays] = {}
    for name, native in (("mxnet", True), ("mxnet", False), ("torch", False), ("reference", False)):
        fed = given if native else {key: array for key, array in given.items() if key in kept}
        with runtimes()[name].open(model, native=native) as session:
            found = session.forward(fed)
            rng = np.random.default_rng(5)
            seeds = {key: rng.standard_normal(array.shape).astype(dtype) for key, array in found.items()}
            results[name, native] = {**found, **session.backward(fed, seeds)}
    expected = results["mxnet", True]
    for (name, native), found in results.items():
        for key in found:
            scale = max(float(np.abs(expected[key]).max(initial=0.0)), 1e-30)
            worst = float(np.abs(found[key] - expected[key]).max(initial=0.0)) / scale
            assert worst <= tol, f"{key} of {name}{' itself' if native else ''} differs by {worst:.3g}"
