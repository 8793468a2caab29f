"""Making ONNX nodes from rows of operators, without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.frameworks.torch.aten.emit import UNTRANSLATED, Emit
from graphkit.ir.opset import OPSET
from graphkit.ir.params import set_exact, set_kind
from graphkit.ir.shapes import infer_node
from graphkit.ir.training import stop_gradient

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy.typing as npt

__all__ = ["Constants", "Recorder", "UnfitError"]

_SHARED: Final = 1024
"""Elements up to which equal constants are one."""

_SIZED: Final = frozenset({"ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Tile"})
"""Operators whose results can be of any size, which the file must tell rightly."""


class UnfitError(Exception):
    """A node has no equal in the operators that a row emits; the message is a clause."""


class Constants:
    """The constants of a model: equal small ones are one initializer."""

    def __init__(self) -> None:
        self.values: list[ir.Value] = []
        self._known: dict[Hashable, ir.Value] = {}

    def value(self, array: npt.NDArray[np.generic], exact: npt.NDArray[np.float64] | None = None) -> ir.Value:
        """An initializer of an array."""
        key = (str(array.dtype), array.shape, array.tobytes()) if array.size <= _SHARED else None
        if key is not None and key in self._known:
            return self._known[key]
        tensor = ir.tensor(array)
        value = ir.Value(name=f"constant_{len(self.values)}", const_value=tensor, type=ir.TensorType(tensor.dtype))
        value.shape = ir.Shape(array.shape)
        set_kind(value, "constant")
        if exact is not None:
            set_exact(value, exact)
        self.values.append(value)
        if key is not None:
            self._known[key] = value
        return value


class Recorder(Emit):
    """Keeps the nodes that one row emits.

    Attributes:
        nodes: The nodes, in order.
        stand_ins: Values that stand for results without a translation, and what they are.
        results: Element type and shape of each result, as the file says; None for one that is no tensor.
    """

    def __init__(self, constants: Constants, results: Sequence[ir.Value | None]) -> None:
        self.nodes: list[ir.Node] = []
        self.stand_ins: dict[ir.Value, str] = {}
        self.results = results
        self._constants = constants

    @property
    def dtype(self) -> ir.DataType:
        """Element type of the first result."""
        first = self.results[0] if self.results else None
        if first is None or first.dtype is None:
            raise UnfitError("it gives nothing of an element type that ONNX has")
        return first.dtype

    @property
    def sizes(self) -> list[int | None]:
        """Shape of the first result, None for symbolic sizes."""
        first = self.results[0] if self.results else None
        if first is None or first.shape is None:
            raise UnfitError("it gives no tensor")
        return [size if isinstance(size, int) else None for size in first.shape]

    def _node(
        self, op_type: str, outputs: int, inputs: Sequence[ir.Value | None], attrs: dict[str, Any], domain: str
    ) -> list[ir.Value]:
        if domain == UNTRANSLATED:
            made = [ir.Value() for _ in range(outputs)]
            self.stand_ins.update(dict.fromkeys(made, op_type))
            return made
        if any(value in self.stand_ins for value in inputs if value is not None):
            raise UnfitError(next(iter(self.stand_ins.values())))
        if op_type == "Identity" and not domain and inputs[0] is not None:
            return [inputs[0]]
        attributes = [
            ir.convenience.convert_attribute(name, value) for name, value in attrs.items() if value is not None
        ]
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        node = ir.Node(domain, op_type, inputs, attributes, num_outputs=outputs, version=OPSET if not domain else 1)
        self.nodes.append(node)
        return list(node.outputs)

    def array(self, array: npt.NDArray[np.generic], exact: npt.NDArray[np.float64] | None = None) -> ir.Value:
        """A constant; ``exact`` are the doubles it was rounded from."""
        return self._constants.value(np.asarray(array), exact)

    def operand(self, given: ir.Value | float, dtype: ir.DataType) -> ir.Value:
        """A tensor, or a number, in an element type."""
        if isinstance(given, ir.Value):
            if given.dtype == dtype:
                return given
            cast = self.op("Cast", given, to=dtype)
            cast.type, cast.shape = ir.TensorType(dtype), given.shape
            return cast
        if dtype.is_floating_point():
            return self.floats(given, ir.Value(type=ir.TensorType(dtype)))
        if isinstance(given, float) and given != int(given):
            raise UnfitError(f"it takes {given} for {dtype.name.lower()}")
        return self.array(np.asarray(given).astype(dtype.numpy()))

    def detached(self, x: ir.Value) -> ir.Value:
        """A tensor through which no gradient flows back; itself where none would, or where it is stored."""
        if x.dtype is None or not x.dtype.is_floating_point() or x.const_value is not None:
            return x
        keeper = ir.Node("", "Identity", [x], num_outputs=1, version=OPSET)
        keeper.outputs[0].type, keeper.outputs[0].shape = x.type, x.shape
        stop_gradient(keeper)
        self.nodes.append(keeper)
        return keeper.outputs[0]

    def size_list(self, sizes: Sequence[int | ir.Value]) -> ir.Value:
        """Sizes as a 1-d int64 tensor."""
        numbers = [size for size in sizes if isinstance(size, int)]
        if len(numbers) == len(sizes):
            return self.ints(*numbers)
        parts = [self.ints(size) if isinstance(size, int) else self.op("Reshape", size, self.ints(1)) for size in sizes]
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)

    def infer(self) -> None:
        """Give the values between the nodes an element type and a shape."""
        for node in self.nodes:
            if any(value.type is None or value.shape is None for value in node.outputs):
                try:
                    infer_node(node)
                except FormatError as error:
                    raise UnfitError(str(error)) from error

    def check_sizes(self) -> None:
        """Refuse results whose size is another than the file tells.

        Raises:
            UnfitError: One is.
        """
        for node in self.nodes:
            told = node.outputs[0].shape
            if node.op_type not in _SIZED or node.domain or told is None:
                continue
            found = _inferred(node)
            if found is not None and (len(found) != len(told) or not all(map(_agree, found, told))):
                raise UnfitError("its result is of another size than the file tells")


def _agree(one: int | ir.SymbolicDim, other: int | ir.SymbolicDim) -> bool:
    return not (isinstance(one, int) and isinstance(other, int)) or one == other


def _inferred(node: ir.Node) -> ir.Shape | None:
    """The shape that a node's first result has by ONNX's rules."""
    result = node.outputs[0]
    told = result.shape
    result.shape = None
    infer_node(node)
    found: ir.Shape | None = result.shape
    result.shape = told
    return found
