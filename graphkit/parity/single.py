"""Where MXNet computes in float32 although everything it is given is float64.

The rooms know the operators: their cases carry a wider float64 bound, with the reason, and the tests hold them to it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.ir.origin import origin_of
from graphkit.parity.tolerance import DOUBLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

__all__ = ["single_outputs"]

_HOLDERS: Final[Mapping[str, float | None]] = {"Clip": None, "Elu": 1.0, "LeakyRelu": 0.01}
"""Operators in which nothing but a number is held in float32, with the number's default: exact if float32 has it."""


def single_outputs(model: ir.Model) -> frozenset[str]:
    """Names of the outputs that depend on an operator inside which MXNet computes in float32.

    A gradient depends on the operators between its tensor and the outputs as well as on those before it: where any
    output is named, take every gradient to be concerned.

    Args:
        model: A canonical model in float64, so that its constants are the numbers that were meant.
    """
    return frozenset(
        output.name or "" for output in model.graph.outputs if any(_is_single(node) for node in _behind(output))
    )


def _behind(output: ir.Value) -> Iterator[ir.Node]:
    """Every node that an output depends on."""
    seen: set[ir.Node] = set()
    stack = [output]
    while stack:
        node = stack.pop().producer()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            stack.extend(value for value in node.inputs if value is not None)


def _is_single(node: ir.Node) -> bool:
    onnx, mxnet = _operators()
    origin = origin_of(node)
    if origin.framework == "mxnet" and origin.op in mxnet:
        return True
    return (node.domain, node.op_type) in onnx and not _holds_exactly(node)


def _holds_exactly(node: ir.Node) -> bool:
    """Whether float32 has the very numbers that the operator holds."""
    if node.op_type not in _HOLDERS:
        return False
    if (default := _HOLDERS[node.op_type]) is not None:
        alpha = node.attributes.get("alpha")
        # An attribute is float32 itself; the shortest decimal that rounds to it is the number that was meant.
        numbers = [default if alpha is None else float(str(np.float32(alpha.as_float())))]
    else:
        bounds = [value for value in node.inputs[1:] if value is not None]
        if any(value.const_value is None for value in bounds):
            return False
        numbers = [float(value.const_value.numpy().item()) for value in bounds if value.const_value is not None]
    return all(float(np.float32(number)) == number for number in numbers)


@cache
def _operators() -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """ONNX operators by domain and type, and MXNet operators without an ONNX one of their own."""
    from graphkit.ops.index import index

    onnx: set[tuple[str, str]] = set()
    mxnet: set[str] = set()
    for _, op in index().ops:
        if any(case.tol.float64 > DOUBLE for cases in (op.cases, *(form.cases for form in op.mx)) for case in cases):
            if op.onnx:
                onnx.add((op.domain, op.onnx))
            else:
                mxnet.update(form.op for form in op.mx)
    return frozenset(onnx), frozenset(mxnet)
