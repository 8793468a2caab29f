"""Where the elements of a rearranged array come from.

Weights reach a recurrent layer sliced from a packed vector, joined, and with their gates in another order. What such an
array is made of is found by numbering the elements of its sources and moving the numbers instead: not one by one, but
as runs of consecutive ones, of which even a layer of a billion weights has a few.
"""

from __future__ import annotations

from math import gcd, prod
from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.params import kind_of
from graphkit.ops.runs import Runs
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

    def of(self, value: ir.Value) -> Runs:
        """The numbers of the elements of a value of known shape; no run is of two sources."""
        moved = self._moved(value)
        if moved is not None:
            return moved
        size = prod(some(self._shape(value)))
        if value not in self._starts:
            self._starts[value] = self._next
            self._next += size + 1  # the number between keeps runs of two sources apart
        return Runs.of([self._starts[value]], [size])

    def _shape(self, value: ir.Value) -> tuple[int, ...] | None:
        dims = self._b.shape(value)
        known = tuple(dim for dim in dims if isinstance(dim, int))
        return known if len(known) == len(dims) else None

    def _moved(self, value: ir.Value) -> Runs | None:
        """The numbers of a value that another is rearranged to; None for one that is not, or not in a known way."""
        node = value.producer()
        if node is None or node.domain or self._shape(value) is None:
            return None
        if node.op_type == "Concat":
            return self._joined(node)
        if node.op_type not in _RESHAPING | {"Gather", "Slice", "Split"}:
            return None
        data = some(node.inputs[0])
        shape = self._shape(data)
        if shape is None:
            return None
        if node.op_type in _RESHAPING:
            return self.of(data)
        if node.op_type == "Gather":
            indices = self._b.value(node.inputs[1])
            axis = node.attributes.get_int("axis", 0)
            return None if indices is None else self._taken(data, axis, indices.astype(np.int64).reshape(-1))
        if node.op_type == "Split":
            return self._split(node, value, data)
        return self._sliced(node, data)

    def _joined(self, node: ir.Node) -> Runs | None:
        parts = [some(operand) for operand in node.inputs]
        shapes = [self._shape(part) for part in parts]
        if any(shape is None for shape in shapes):
            return None
        axis = node.attributes.get_int("axis")
        outer = prod(some(shapes[0])[: axis % len(some(shapes[0]))])
        runs = [self.of(part) for part in parts]
        lengths = np.array([part.size // outer for part in runs]) if outer else np.zeros(len(parts), np.int64)
        offsets = np.cumsum(lengths * outer) - lengths * outer
        begins = offsets + np.arange(outer)[:, None] * lengths
        return Runs.joined(runs).cut(begins, begins + lengths)

    def _taken(self, data: ir.Value, axis: int, indices: Numbers) -> Runs:
        shape = some(self._shape(data))
        axis %= len(shape)
        places = np.where(indices < 0, indices + shape[axis], indices)
        return self.of(data).taken(shape, axis, places)

    def _split(self, node: ir.Node, value: ir.Value, data: ir.Value) -> Runs | None:
        axis = node.attributes.get_int("axis", 0) or 0
        shapes = [self._shape(output) for output in node.outputs]
        if any(shape is None for shape in shapes):
            return None
        ends = np.cumsum([some(shape)[axis] for shape in shapes])
        place = list(node.outputs).index(value)
        first = int(ends[place - 1]) if place else 0
        return self.of(data).part(some(self._shape(data)), axis, first, int(ends[place]))

    def _sliced(self, node: ir.Node, data: ir.Value) -> Runs | None:
        bounds = [self._b.value(operand) for operand in node.inputs[1:]]
        if any(bound is None for bound in bounds):
            return None
        starts, ends, *rest = [[int(number) for number in some(bound).reshape(-1)] for bound in bounds]
        axes = rest[0] if rest else list(range(len(starts)))
        steps = rest[1] if len(rest) > 1 else [1] * len(starts)
        if any(step != 1 for step in steps):
            return None
        shape = list(some(self._shape(data)))
        found = self.of(data)
        for axis, given, stop in zip(axes, starts, ends, strict=True):
            first, last, _ = slice(given, stop).indices(shape[axis])
            found = found.part(shape, axis, first, last)
            shape[axis] = max(last - first, 0)
        return found


def arrangement(order: Runs, source: Sequence[int], shape: Sequence[int]) -> Layout:
    """The steps that lead from an array to some of its elements in an order.

    Args:
        order: Which element of the flattened array each element of the result is, in the result's order.
        source: Shape of the array.
        shape: Shape of the result.
    """
    size = prod(source)
    low, high = int(order.starts.min()), int((order.starts + order.sizes).max())
    if len(order.starts) == 1 and order.size == size:
        return () if tuple(shape) == tuple(source) else (("reshape", tuple(shape)),)
    steps: Layout = ()
    if high - low < size:
        flat: Layout = () if len(source) == 1 else (("reshape", (size,)),)
        steps = (*flat, ("slice", (0, low, high)))
    if len(order.starts) == 1:
        return steps if len(shape) == 1 else (*steps, ("reshape", tuple(shape)))
    block = gcd(high - low, *(order.starts - low).tolist(), *order.sizes.tolist())
    rows = Runs((order.starts - low) // block, order.sizes // block).numbers()
    return (
        *steps,
        ("reshape", ((high - low) // block, block)),
        ("take", (0, *rows.tolist())),
        ("reshape", tuple(shape)),
    )


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
