"""What the graphs of a model share while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.frameworks.torch.program.expressions import infix
from graphkit.frameworks.torch.program.recorder import Constants

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Shared"]


@dataclass(slots=True)
class Shared:
    """What the graphs of a model share.

    Attributes:
        raw: Whether all nodes stay as the file has them.
        dims: Names of symbols.
        constants: The constants.
        sizes: What symbolic sizes are, by the values that hold them.
        kept: Nodes that stay though nothing reads what they give.
        symbols: Symbolic dimensions by text.
        types: Types of tensors by element type.
    """

    raw: bool
    dims: Mapping[str, str]
    constants: Constants = field(default_factory=Constants)
    sizes: dict[ir.Value, str] = field(default_factory=dict)
    kept: set[ir.Node] = field(default_factory=set)
    symbols: dict[str, ir.SymbolicDim] = field(default_factory=dict)
    types: dict[ir.DataType, ir.TensorType] = field(default_factory=dict)

    def type_of(self, dtype: ir.DataType | None) -> ir.TensorType | None:
        """The type of tensors of an element type."""
        if dtype is None:
            return None
        if dtype not in self.types:
            self.types[dtype] = ir.TensorType(dtype)
        return self.types[dtype]

    def shape_of(self, sizes: Iterable[int | str]) -> ir.Shape:
        """A shape, its symbols named."""
        return ir.Shape([self.dim(one) for one in sizes])

    def dim(self, given: int | str) -> int | ir.SymbolicDim:
        """A dimension of a shape."""
        if isinstance(given, int):
            return given
        found = self.symbols.get(given)
        if found is None:
            found = self.symbols[given] = ir.SymbolicDim(infix(given, self.dims))
        return found
