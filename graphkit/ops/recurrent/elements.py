"""Where the elements of a rearranged array come from.

Weights reach a recurrent layer sliced from a packed vector, joined, and with their gates in another order. What such an
array is made of is found by numbering the elements of its sources and moving the numbers instead.
"""

from __future__ import annotations

from math import gcd, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.params import kind_of
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.layout import Layout

    Numbers = npt.NDArray[np.int64]

__all__ = ["Elements", "arrangement", "is_zero"]

_SPREADING = frozenset({"Cast", "Expand", "Gather", "Slice", "Tile", "Transpose"})
_RESHAPING = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


class Elements:
    """Numbers the elements of all arrays that others are made of, one array after the other."""

    def __init__(self, b: MxBuilder | TorchBuilder) -> None:
        self._b = b
        self._starts: dict[ir.Value, int] = {}
        self._next = 0

    @property
    def sources(self) -> Sequence[ir.Value]:
        """The arrays that others were found to be made of."""
        return list(self._starts)

    def span(self, source: ir.Value) -> tuple[int, int]:
        """Numbers of the first element of a source, and of the first beyond it."""
        start = self._starts[source]
        return start, start + prod(self._shape(source) or ())

    def of(self, value: ir.Value) -> Numbers:
        """The number of each element of a value of known shape."""
        moved = self._moved(value)
        if moved is not None:
            return moved
        shape = some(self._shape(value))
        if value not in self._starts:
            self._starts[value] = self._next
            self._next += prod(shape)
        start = self._starts[value]
        return np.arange(start, start + prod(shape), dtype=np.int64).reshape(shape)

    def _shape(self, value: ir.Value) -> tuple[int, ...] | None:
        dims = self._b.shape(value)
        known = tuple(dim for dim in dims if isinstance(dim, int))
        return known if len(known) == len(dims) else None

    def _moved(self, value: ir.Value) -> Numbers | None:
        """The numbers of a value that another is rearranged to; None for one that is not, or not in a known way."""
        node = value.producer()
        if node is None or node.domain or self._shape(value) is None:
            return None
        if node.op_type == "Concat":
            parts = [some(operand) for operand in node.inputs]
            if any(self._shape(part) is None for part in parts):
                return None
            return np.concatenate([self.of(part) for part in parts], axis=node.attributes.get_int("axis"))
        if node.op_type not in _RESHAPING | {"Gather", "Slice", "Split"}:
            return None
        data = some(node.inputs[0])
        if self._shape(data) is None:
            return None
        if node.op_type in _RESHAPING:
            return self.of(data).reshape(some(self._shape(value)))
        if node.op_type == "Gather":
            indices = self._b.value(node.inputs[1])
            axis = node.attributes.get_int("axis", 0)
            return None if indices is None else np.take(self.of(data), indices.astype(np.int64), axis=axis)
        if node.op_type == "Split":
            return self._split(node, value, data)
        return self._sliced(node, data)

    def _split(self, node: ir.Node, value: ir.Value, data: ir.Value) -> Numbers | None:
        axis = node.attributes.get_int("axis", 0) or 0
        shapes = [self._shape(output) for output in node.outputs]
        if any(shape is None for shape in shapes):
            return None
        ends = np.cumsum([some(shape)[axis] for shape in shapes])
        return np.split(self.of(data), ends[:-1], axis=axis)[list(node.outputs).index(value)]

    def _sliced(self, node: ir.Node, data: ir.Value) -> Numbers | None:
        bounds = [self._b.value(operand) for operand in node.inputs[1:]]
        if any(bound is None for bound in bounds):
            return None
        starts, ends, *rest = [[int(number) for number in some(bound).reshape(-1)] for bound in bounds]
        axes = rest[0] if rest else list(range(len(starts)))
        steps = rest[1] if len(rest) > 1 else [1] * len(starts)
        index: list[Any] = [slice(None)] * self._b.rank(data)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            if step != 1:
                return None
            index[axis] = slice(start, end)
        found: Numbers = self.of(data)[tuple(index)]
        return found


def arrangement(order: Numbers, source: Sequence[int], shape: Sequence[int]) -> Layout:
    """The steps that lead from an array to some of its elements in an order.

    Args:
        order: Which element of the flattened array each element of the result is, in the result's order.
        source: Shape of the array.
        shape: Shape of the result.
    """
    order, size = order.reshape(-1), prod(source)
    if np.array_equal(order, np.arange(order[0], order[0] + order.size)):
        if order.size == size:
            return () if tuple(shape) == tuple(source) else (("reshape", tuple(shape)),)
        flat: Layout = () if len(source) == 1 else (("reshape", (size,)),)
        cut: Layout = (*flat, ("slice", (0, int(order[0]), int(order[-1]) + 1)))
        return cut if len(shape) == 1 else (*cut, ("reshape", tuple(shape)))
    breaks = np.flatnonzero(np.diff(order) != 1) + 1
    block = gcd(size, order.size, *breaks.tolist(), int(order[0]), *order[breaks].tolist())
    rows = tuple((order[::block] // block).tolist())
    return (("reshape", (size // block, block)), ("take", (0, *rows)), ("reshape", tuple(shape)))


def is_zero(value: ir.Value) -> bool:
    """Whether a value can be seen to be zeros: as one that layers start from is, however its shape is put together."""
    if value.const_value is not None:
        return kind_of(value) == "constant" and not value.const_value.numpy().any()
    node = value.producer()
    if node is None or node.domain:
        return False
    if node.op_type == "ConstantOfShape":
        filling = node.attributes.get("value")
        return filling is None or not filling.as_tensor().numpy().any()
    if node.op_type == "Concat":
        return all(is_zero(some(operand)) for operand in node.inputs)
    return node.op_type in _SPREADING | _RESHAPING and is_zero(some(node.inputs[0]))
