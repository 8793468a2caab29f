"""Making ONNX nodes from within a translation of torch.onnx; the one place that knows how its tracer works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.opset import OPSET
from graphkit.ir.own import DOMAIN
from graphkit.ir.params import set_exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["FREE", "UNTRANSLATED", "Emit", "integers", "known", "origin", "rank"]

UNTRANSLATED: Final = "graphkit.untranslated"
"""Domain of the nodes that stand for what has no translation, until it is known which of them are used."""
FREE: Final = "ONNX has no operator that takes it for any size; give the input a number there, with --input"
"""Why what depends on a free size is refused, and what to do."""


class Emit:
    """Emits nodes of the canonical opset into the graph that torch.onnx is building."""

    def op(self, op_type: str, *inputs: ir.Value | None, **attrs: Any) -> ir.Value:
        """Emit a node of one output; attributes of value None are left out."""
        return self.ops(op_type, 1, *inputs, **attrs)[0]

    def ops(self, op_type: str, outputs: int, *inputs: ir.Value | None, **attrs: Any) -> list[ir.Value]:
        """Emit a node of several outputs."""
        return self._node(op_type, outputs, inputs, attrs, "")

    def own(self, op_type: str, outputs: int, *inputs: ir.Value | None, **attrs: Any) -> list[ir.Value]:
        """Emit one of graphkit's own operators (:mod:`graphkit.ir.own`)."""
        return self._node(op_type, outputs, inputs, attrs, DOMAIN)

    def untranslated(self, what: str, outputs: int, *inputs: ir.Value | None, why: str | None = None) -> list[ir.Value]:
        """Emit a stand-in for results that have no translation, which is an error only where they are used.

        Args:
            what: What is not translated.
            outputs: The number of results.
            inputs: What it was given.
            why: The reason and what to do, as a clause; None for a gap of torch.onnx.
        """
        return self._node(what, outputs, inputs, {"why": why}, UNTRANSLATED)

    def call(self, function: ir.Function, inputs: Sequence[ir.Value]) -> list[ir.Value]:
        """Emit a call of a function of the model."""
        return self._node(function.name, len(function.outputs), inputs, {}, function.domain)

    def _node(
        self, op_type: str, outputs: int, inputs: Sequence[ir.Value | None], attrs: dict[str, Any], domain: str
    ) -> list[ir.Value]:
        from onnxscript import evaluator
        from torch.onnx._internal.exporter._tensors import SymbolicTensor

        recorder: Any = evaluator.default()
        made: list[ir.Value] = [SymbolicTensor(recorder.opset) for _ in range(outputs)]
        given = {name: value for name, value in attrs.items() if value is not None}
        version = OPSET if domain == "" else 1
        attributes = ir.convenience.convert_attributes(given)
        recorder.nodes.append(ir.Node(domain, op_type, inputs, attributes, outputs=made, version=version))
        return made

    def ints(self, *numbers: int) -> ir.Value:
        """A 1-d int64 constant."""
        return self.array(np.array(numbers, np.int64))

    def array(self, array: npt.NDArray[np.generic], exact: npt.NDArray[np.float64] | None = None) -> ir.Value:
        """A constant; ``exact`` are the doubles it was rounded from."""
        tensor = ir.tensor(array)
        value = self.op("Constant", value=tensor)
        value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(array.shape)
        if exact is not None:
            set_exact(value, exact)
        return value

    def floats(self, doubles: npt.ArrayLike, like: ir.Value) -> ir.Value:
        """A constant of the element type of ``like``; a float32 one keeps the doubles it is rounded from."""
        assert like.dtype is not None
        exact = np.asarray(doubles, np.float64)
        dtype = like.dtype.numpy()
        return self.array(exact.astype(dtype), exact if dtype == np.float32 else None)


def known(value: ir.Value) -> list[int | None]:
    """The dimensions of a value, None for symbolic ones."""
    assert value.shape is not None
    return [size if isinstance(size, int) else None for size in value.shape]


def rank(value: ir.Value) -> int:
    """The number of dimensions of a value."""
    assert value.shape is not None
    return len(value.shape)


def origin(value: ir.Value) -> ir.Value:
    """What a value is a copy of."""
    node = value.producer()
    while node is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def integers(value: ir.Value | None) -> list[int] | None:
    """The elements of a constant of integers, None for anything else."""
    node = None if value is None else origin(value).producer()
    while node is not None and node.op_type == "Cast" and node.attributes.get_int("to", 0) == ir.DataType.INT64:
        node = None if node.inputs[0] is None else origin(node.inputs[0]).producer()
    if node is None or node.op_type != "Constant":
        return None
    if (tensor := node.attributes.get("value")) is not None:
        array = tensor.as_tensor().numpy()
        return [int(number) for number in array.reshape(-1)] if array.dtype.kind == "i" else None
    if (number := node.attributes.get("value_int")) is not None:
        return [number.as_int()]
    numbers = node.attributes.get("value_ints")
    return None if numbers is None else list(numbers.as_ints())
