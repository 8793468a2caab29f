"""What rooms may ask about the graph that is being written, the same for every target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.errors import ShapeNeededError, UnsupportedNode
from graphkit.ir import params
from graphkit.ir.dims import dims_of, how_to_give
from graphkit.ir.shapes import CONTRADICTIONS
from graphkit.ops.spec import Refusal
from graphkit.passes.fix_inputs import inputs_behind, inputs_of_shape
from graphkit.passes.free_axes import free_axes, how_to_fix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import Dim

__all__ = ["CONTRADICTIONS", "Asking", "contradiction"]


def contradiction(error: Exception) -> Refusal:
    """Why such a node is refused."""
    return Refusal(f"its attributes and the shapes of what it reads do not fit together: {error}")


class Asking:
    """The questions of :class:`~graphkit.ops.builders.MxBuilder` and :class:`~graphkit.ops.builders.TorchBuilder`."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._node: ir.Node | None = None

    def number(self, value: ir.Value | None) -> float | int | bool | None:
        """The one element of a constant."""
        array = self.value(value)
        if value is None or array is None or array.size != 1:
            return None
        double = params.exact(value)
        number: float | int | bool = (array if double is None else double).reshape(()).item()
        return number

    def value(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The array of a constant."""
        if value is None or value.const_value is None or params.kind_of(value) != "constant":
            return None
        return value.const_value.numpy()

    def is_initializer(self, value: ir.Value | None) -> bool:
        """Whether the value is stored with the model."""
        return value is not None and value.const_value is not None

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value."""
        dtype = value.const_value.dtype if value.const_value is not None else value.dtype
        if dtype is None:
            raise ShapeNeededError(
                f"The element type of {value.name!r} is not known, and {self._where()} needs it: give the types of "
                f"the model's inputs with --input NAME:SHAPE:DTYPE."
            )
        return np.dtype(dtype.numpy())

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        """Shape of a value."""
        dims = dims_of(value)
        if dims is None:
            fix = inputs_of_shape(value)
            other = f", or fix what it is computed from with {_fixes(fix)}" if fix else ""
            raise ShapeNeededError(
                f"The shape of {value.name!r} is not known, and {self._where()} needs it. Give {how_to_give(value)}"
                f"{other}.",
                fix,
            )
        return dims

    def rank(self, value: ir.Value) -> int:
        """Rank of a value."""
        return len(self.shape(value))

    def warn(self, message: str) -> None:
        """Pass on a deviation with the name of the node."""
        self._warn(f"{self._where()}: {message}")

    @staticmethod
    def refused(node: ir.Node, refusal: Refusal, inputs: Sequence[ir.Value]) -> UnsupportedNode:
        """A refused node, with the inputs of the model that would have to be fixed for it, or sizes of them.

        Args:
            node: The node.
            refusal: Why it is refused.
            inputs: The model's inputs.
        """
        needs = [value for value in refusal.needs if value is not None and value.const_value is None]
        fix = inputs_behind(needs)
        if fix:
            reason = f"{refusal.reason}; fix what it is computed from with {_fixes(fix)}"
            return UnsupportedNode(node.op_type, node.name or "", reason, fix)
        free = free_axes(inputs, needs, [value for value in refusal.sizes if value is not None])
        reason = f"{refusal.reason}; {how_to_fix(inputs, free)}" if free else refusal.reason
        return UnsupportedNode(node.op_type, node.name or "", reason, sizes=free)

    def _where(self) -> str:
        node = self._node
        return "the model" if node is None else f"node {node.name!r} ({node.op_type})"


def _fixes(names: tuple[str, ...]) -> str:
    """How to fix some inputs on the command line."""
    return " and ".join(f"--fix {name}=VALUE" for name in names)
