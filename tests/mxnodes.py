"""Symbols of one node, read into canonical form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.frameworks.base import InputSpec, ReadOptions
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir


def read_node(
    op: str, shapes: Sequence[tuple[int | None, ...]], attrs: Mapping[str, str], dtype: str = "float32"
) -> ir.Model:
    """A node named ``node`` of an MXNet operator whose inputs have shapes; a size of None is free."""
    variables = [MxNode(VARIABLE, f"x{number}") for number in range(len(shapes))]
    node = MxNode(op, "node", dict(attrs), [MxRef(variable) for variable in variables])
    heads = [MxRef(node, number) for number in range(schema.outputs(op, node.attrs)[0] or 1)]
    mx = MxModel(MxGraph([*variables, node], heads, np_shape=op.startswith("_np")), {}, {})
    specs = tuple(InputSpec(variable.name, shape, dtype) for variable, shape in zip(variables, shapes, strict=True))
    return canonical(from_symbol(mx, ReadOptions(inputs=specs, dynamic_batch=False), "case"))
