"""Whether the weights of a model have the shapes that their operators ask for.

ONNX's inference rules check some operators and let others pass, whose mistakes then show in a runtime or, where
shapes broadcast, in the numbers alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from graphkit.errors import ParameterError
from graphkit.ir.dims import dims_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir

    Dim: TypeAlias = int | str | None
    Dims: TypeAlias = tuple[Dim, ...]
    Rule: TypeAlias = Callable[[ir.Node, Dims | None, Dims], dict[int, Dims]]

__all__ = ["check_weights"]


def check_weights(model: ir.Model) -> None:
    """Refuse a model in which a stored weight does not fit its operator.

    Args:
        model: A canonical model.

    Raises:
        ParameterError: A weight has another shape than its operator asks for.
    """
    for node in model.graph.all_nodes():
        rule = None if node.domain else _RULES.get(node.op_type)
        if rule is None or len(node.inputs) < 2 or node.inputs[0] is None or node.inputs[1] is None:
            continue
        weight = dims_of(node.inputs[1])
        if weight is None:
            continue
        for position, wanted in rule(node, dims_of(node.inputs[0]), weight).items():
            value = node.inputs[position] if position < len(node.inputs) else None
            if value is not None and value.const_value is not None:
                _check(node, value, wanted)


def _check(node: ir.Node, value: ir.Value, wanted: Dims) -> None:
    found = dims_of(value) or ()
    if len(found) == len(wanted) and all(
        want == size or not isinstance(want, int) for size, want in zip(found, wanted, strict=True)
    ):
        return
    known = [dim if isinstance(dim, int) else None for dim in wanted]
    raise ParameterError(
        f"{value.name!r} has shape {shown(found)}, but node {node.name!r} ({node.op_type}) asks for {shown(known)}. "
        f"The parameters are not those of this graph; give the file that belongs to it."
    )


def _times(dim: Dim, factor: int) -> Dim:
    return dim * factor if isinstance(dim, int) else None


def _channels(data: Dims | None) -> Dim:
    return data[1] if data is not None and len(data) > 1 else None


def _conv(node: ir.Node, data: Dims | None, weight: Dims) -> dict[int, Dims]:
    channels = _channels(data)
    group = node.attributes.get_int("group", 1)
    own = channels // group if isinstance(channels, int) and channels % group == 0 else None
    kernel = tuple(node.attributes.get_ints("kernel_shape", ())) or weight[2:]
    return {1: (None, own, *kernel), 2: weight[:1]}


def _conv_transpose(node: ir.Node, data: Dims | None, weight: Dims) -> dict[int, Dims]:
    kernel = tuple(node.attributes.get_ints("kernel_shape", ())) or weight[2:]
    bias = _times(weight[1], node.attributes.get_int("group", 1)) if len(weight) > 1 else None
    return {1: (_channels(data), None, *kernel), 2: (bias,)}


def _gemm(node: ir.Node, data: Dims | None, weight: Dims) -> dict[int, Dims]:
    if len(weight) != 2:
        return {1: (None, None)}
    columns = weight[0] if node.attributes.get_int("transB", 0) else weight[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    dims = dims_of(bias) if bias is not None else None
    if dims is None or not dims or dims[-1] == 1:
        return {}
    rows: Dim = None
    if data is not None and len(data) == 2:
        rows = data[1] if node.attributes.get_int("transA", 0) else data[0]
    return {2: (columns,) if len(dims) == 1 else (1 if dims[0] == 1 else rows, columns)}


def _norm(_node: ir.Node, data: Dims | None, weight: Dims) -> dict[int, Dims]:
    channels = _channels(data)
    size = channels if isinstance(channels, int) else (weight[0] if len(weight) == 1 else None)
    return dict.fromkeys(range(1, 5), (size,))


_RULES: Final[Mapping[str, Rule]] = {
    "BatchNormalization": _norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "GroupNormalization": _norm,
    "InstanceNormalization": _norm,
}
"""(node, shape of the data, shape of its weight) -> the shape that each weight must have, by input position."""
