"""Emitting nodes from code: what bodies of functions and gradients are made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx_ir as ir

from graphkit.errors import ShapeNeededError
from graphkit.ir.dims import dims_of
from graphkit.ir.shapes import infer_node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import Again, Dim, Operand, Step

__all__ = ["Emitter", "as_stored"]


def as_stored(array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> npt.NDArray[np.generic]:
    """A contiguous array; Python's integers become int64."""
    data = np.asarray(array)
    data = data.astype(dtype) if dtype is not None else data
    if not isinstance(array, np.ndarray | np.generic) and data.dtype == np.int_:
        data = data.astype(np.int64)
    return np.ascontiguousarray(data).reshape(data.shape)


class Emitter:
    """What :class:`graphkit.ops.builders.BodyBuilder` asks for, but for constants.

    Attributes:
        nodes: What was emitted so far into the graph that is being emitted, in order.
    """

    def __init__(self) -> None:
        self.nodes: list[ir.Node] = []
        self._count = 0

    def name(self, stem: str) -> str:
        """A new name for a node or a value."""
        self._count += 1
        return f"{stem.lower()}_{self._count}"

    def name_outputs(self, node: ir.Node) -> None:
        """Give the outputs of a new node names."""
        for output in node.outputs:
            output.name = self.name(node.op_type)

    def emit(self, node: ir.Node) -> Sequence[ir.Value]:
        """Add a node, and give what stands for its outputs."""
        self.nodes.append(node)
        return node.outputs

    def op(self, op_type: str, *inputs: Operand, domain: str = "", **attrs: Any) -> ir.Value:
        """Emit a node; see :class:`~graphkit.ops.builders.BodyBuilder`."""
        return self.ops(op_type, 1, *inputs, domain=domain, **attrs)[0]

    def ops(self, op_type: str, outputs: int, *inputs: Operand, domain: str = "", **attrs: Any) -> tuple[ir.Value, ...]:
        """Emit a node of several outputs."""
        operands = [x if x is None or isinstance(x, ir.Value) else self.const(x) for x in inputs]
        given = {name: value for name, value in attrs.items() if value is not None}
        node = ir.node(op_type, operands, given, domain=domain, num_outputs=outputs, name=self.name(op_type))
        self.name_outputs(node)
        infer_node(node)
        return tuple(self.emit(node))

    def const(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> ir.Value:
        """A constant; ``dtype`` defaults to the array's own."""
        raise NotImplementedError

    def scalar(self, number: float, like: ir.Value) -> ir.Value:
        """A 0-d constant of the dtype of another value."""
        return self.const(np.asarray(number).astype(self.dtype(like)))

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value."""
        assert value.dtype is not None, value.name
        return np.dtype(value.dtype.numpy())

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        """Shape of a value."""
        dims = dims_of(value)
        if dims is None:
            raise ShapeNeededError(f"the shape of its {value.name} is not known; give the model's inputs shapes")
        return dims

    def rank(self, value: ir.Value) -> int:
        """Rank of a value."""
        return len(self.shape(value))

    def size(self, value: ir.Value, axis: int) -> int:
        """Size of one axis."""
        found = self.shape(value)[axis]
        if not isinstance(found, int):
            raise ShapeNeededError(f"the size of axis {axis} of its {value.name} is free; give the inputs fixed sizes")
        return found

    def scan(
        self, step: Step, states: Sequence[ir.Value], scanned: Sequence[Operand], *, backward: bool = False
    ) -> tuple[ir.Value, ...]:
        """Repeat a step over the first axis of what is scanned."""
        sources = [x if isinstance(x, ir.Value) else self.const(cast("Any", x)) for x in scanned]
        inner = [self.inner(state) for state in states]
        parts = [self.inner(each) for each in sources]
        for part in parts:
            part.shape = None if part.shape is None else ir.Shape(part.shape[1:])

        def results() -> list[ir.Value]:
            after, stacked = step(tuple(inner), tuple(parts))
            return [*after, *stacked]

        body, count = self.graph([*inner, *parts], results)
        return self.ops(
            "Scan",
            count,
            *states,
            *sources,
            body=body,
            num_scan_inputs=len(parts),
            scan_input_directions=[1] * len(parts) if backward else None,
            scan_output_directions=[1] * (count - len(states)) if backward else None,
        )

    def repeat(self, step: Again, states: Sequence[ir.Value], most: int) -> tuple[ir.Value, ...]:
        """Repeat a step while it asks for it."""
        inner = [self.inner(state) for state in states]
        turn = ir.val(self.name("turn"), ir.DataType.INT64, ())
        going = ir.val(self.name("going"), ir.DataType.BOOL, ())

        def results() -> list[ir.Value]:
            again, after = step(tuple(inner))
            return [again, *after]

        body, count = self.graph([turn, going, *inner], results)
        limit, start = self.const(np.asarray(most)), self.const(np.asarray(True))
        return self.ops("Loop", count - 1, limit, start, *states, body=body)

    def inner(self, value: ir.Value) -> ir.Value:
        """An input of a nested graph, of the type and shape of a value outside."""
        return ir.val(self.name("inner"), shape=value.shape, type=value.type)

    def graph(self, inputs: Sequence[ir.Value], emit: Callable[[], Sequence[ir.Value]]) -> tuple[ir.Graph, int]:
        """A nested graph of what a function emits, and the number of its outputs, each a node's of its own."""
        outer, self.nodes = self.nodes, []
        outputs: list[ir.Value] = []
        for value in emit():
            fresh = value.producer() in self.nodes and value not in outputs
            outputs.append(value if fresh else self.op("Identity", value))
        graph = ir.Graph(inputs, outputs, nodes=self.nodes, name=self.name("body"))
        self.nodes = outer
        return graph, len(outputs)
