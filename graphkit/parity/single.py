"""Where a runtime computes with float32 numbers although everything it is given is float64.

For MXNet the rooms know the operators: their cases carry a wider float64 bound, with the reason, and the tests hold
them to it. ONNX Runtime has no double attributes, and makes attributes of the factors that it fuses.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnx_ir as ir

from graphkit.ir.canonical import OPSET
from graphkit.ir.origin import origin_of
from graphkit.parity.tolerance import DOUBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy.typing as npt

    from graphkit.ops.spec import Case

__all__ = ["single_outputs", "single_values"]

_HOLDERS: Final[Mapping[str, float | None]] = {"Clip": None, "Elu": 1.0, "LeakyRelu": 0.01}
"""Operators in which nothing but a number is held in float32, with the number's default: exact if float32 has it."""


def single_outputs(model: ir.Model, runtime: str) -> frozenset[str]:
    """Names of the outputs among :func:`single_values`."""
    return single_values(model, runtime) & {output.name or "" for output in model.graph.outputs}


def single_values(model: ir.Model, runtime: str) -> frozenset[str]:
    """Names of the values that depend on an operator inside which a runtime computes with float32 numbers.

    A gradient depends on the operators between its tensor and the outputs as well as on those before it: where any
    output is named, take every gradient to be concerned.

    Args:
        model: A canonical model in float64, so that its constants are the numbers that were meant.
        runtime: Name of the runtime, e.g. ``"mxnet"``; one that is not known to do so concerns no value.
    """
    is_single = _RULES.get(runtime)
    if is_single is None:
        return frozenset()
    found: set[ir.Value | None] = set()
    for node in model.graph:
        if is_single(node) or not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return frozenset(value.name or "" for value in found if value is not None)


def _in_mxnet(node: ir.Node) -> bool:
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
        numbers = [default if alpha is None else _meant(alpha.as_float())]
    else:
        bounds = [value for value in node.inputs[1:] if value is not None]
        if any(value.const_value is None for value in bounds):
            return False
        numbers = [float(value.const_value.numpy().item()) for value in bounds if value.const_value is not None]
    return all(map(_fits, numbers))


def _fits(number: float) -> bool:
    return float(np.float32(number)) == number


def _meant(attribute: float) -> float:
    """The number that an attribute, which is float32, stands for: the shortest decimal that rounds to it."""
    return float(str(np.float32(attribute)))


@cache
def _operators() -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """ONNX operators by domain and type, and MXNet operators without an ONNX one of their own."""
    from graphkit.ops.index import index

    onnx: set[tuple[str, str]] = set()
    mxnet: set[str] = set()
    for _, op in index().ops:
        forms = [form for form in op.mx if _are_single(op.cases) or _are_single(form.cases)]
        single = [name for form in forms for name in (form.op, *form.also)]
        if not op.onnx:
            mxnet.update(single)
        elif single or _are_single(op.cases):
            onnx.add((op.domain, op.onnx))
    return frozenset(onnx), frozenset(mxnet)


def _are_single(cases: Iterable[Case]) -> bool:
    return any(case.tol.float64 > DOUBLE for case in cases)


def _in_onnxruntime(node: ir.Node) -> bool:
    if node.op_type == "BatchNormalization":
        return _matters(node)
    if node.op_type in ("Attention", "Gelu", "HardSwish"):  # functions of which have attributes
        return True
    return not all(map(_fits, _attributes(node))) or _is_fused_scale(node)


def _attributes(node: ir.Node) -> Iterator[float]:
    """The numbers that the float attributes of an operator stand for, defaults too."""
    if onnx.defs.has(node.op_type, OPSET, node.domain):
        for name, attribute in onnx.defs.get_schema(node.op_type, OPSET, node.domain).attributes.items():
            if name not in node.attributes and attribute.default_value.type == onnx.AttributeProto.FLOAT:
                yield _meant(attribute.default_value.f)
    for attr in node.attributes.values():
        if attr.type == ir.AttributeType.FLOAT:
            yield _meant(attr.as_float())
        elif attr.type == ir.AttributeType.FLOATS:
            yield from map(_meant, attr.as_floats())


def _matters(node: ir.Node) -> bool:
    """Whether the rounding of a batch normalisation's epsilon shows in float64, beside the variances added to it."""
    stored = node.attributes.get_float("epsilon", 1e-5)
    variances = None if node.inputs[4] is None else node.inputs[4].const_value
    if variances is None:
        return not _fits(_meant(stored))
    smallest = float(variances.numpy().min(initial=np.inf))
    return abs(float(np.float32(stored)) - _meant(stored)) > DOUBLE / 10 * abs(smallest + stored)


def _is_fused_scale(node: ir.Node) -> bool:
    """Whether a node multiplies what a matrix product reads or gives by a number: one node for ONNX Runtime."""
    if node.op_type not in ("Div", "Mul"):
        return False
    factors = [value for value in node.inputs if value is not None and _scalar(value) is not None]
    if all(_fits(number) for value in factors if (number := _scalar(value)) is not None):
        return False
    before = [value.producer() for value in node.inputs if value is not None]
    after = [user for user, _ in node.outputs[0].uses()]
    return any(_is_product(other) for other in (*before, *after) if other is not None)


def _is_product(node: ir.Node) -> bool:
    if node.op_type == "Transpose":  # fused as well
        source = None if node.inputs[0] is None else node.inputs[0].producer()
        around = [source, *(user for user, _ in node.outputs[0].uses())]
        return any(other is not None and other.op_type == "MatMul" for other in around)
    return node.op_type == "MatMul"


def _scalar(value: ir.Value) -> float | None:
    tensor = value.const_value
    if tensor is None or tensor.size != 1:
        return None
    array: npt.NDArray[np.generic] = tensor.numpy()
    return float(array.item())


_RULES: Final[Mapping[str, Callable[[ir.Node], bool]]] = {
    "mxnet": _in_mxnet,
    "ort": _in_onnxruntime,
    "ort-cuda": _in_onnxruntime,
}
"""Runtime -> whether it computes an operator with float32 numbers."""
