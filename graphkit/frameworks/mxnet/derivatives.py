"""Operators whose backward pass in MXNet is wrong or absent, and others that compute the same and have a right one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ops.codec import ints, show
from graphkit.ops.mxgraph import MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["with_derivative"]

_WITH_ARRAYS: Final = {
    "_npi_copysign_scalar": ("_npi_copysign", 1),
    "_npi_rarctan2_scalar": ("_npi_arctan2", 0),
    "_npi_rcopysign_scalar": ("_npi_copysign", 0),
    "_npi_where_lscalar": ("_npi_where", 1),
    "_npi_where_rscalar": ("_npi_where", 2),
}
"""Operators with a scalar, the same with an array, and where that stands."""
_SELU: Final = (1.67326319217681884765625, 1.05070102214813232421875)
"""Slope and scale, as MXNet has them."""


def with_derivative(node: MxNode, name: str, inputs: Sequence[MxRef]) -> list[MxNode]:
    """Nodes that compute what a node does, the last one its output; none where its own backward pass is right.

    Args:
        node: The node.
        name: Name for the last of the new nodes, and beginning of the names of the others.
        inputs: What they read.
    """
    if node.op in _WITH_ARRAYS:
        return _with_array(node, name, inputs)
    if node.op in ("_npi_std", "_npi_var"):
        return _spread(node, name, inputs[0])
    if node.op == "_npi_rot90":
        return _turned(node, name, inputs[0])
    if node.op == "LeakyReLU" and node.attrs.get("act_type") == "selu":
        slope, scale = map(show, _SELU)
        curve = MxNode("LeakyReLU", f"{name}_elu", {"act_type": "elu", "slope": slope}, [inputs[0]])
        return [curve, MxNode("_mul_scalar", name, {"scalar": scale}, [MxRef(curve)])]
    return []


def _with_array(node: MxNode, name: str, inputs: Sequence[MxRef]) -> list[MxNode]:
    op, place = _WITH_ARRAYS[node.op]
    number = {"fill_value": node.attrs.get("scalar", "0" if op == "_npi_where" else "1")}
    full = MxNode("_npi_full_like", f"{name}_scalar", number, [inputs[-1]])
    return [full, MxNode(op, name, {}, [*inputs[:place], MxRef(full), *inputs[place:]])]


def _spread(node: MxNode, name: str, data: MxRef) -> list[MxNode]:
    """The sum of squared distances from the mean, over their number less the degrees of freedom that are taken off."""
    axes = {key: value for key, value in node.attrs.items() if key in ("axis", "keepdims")}
    made: list[MxNode] = []

    def add(op: str, part: str, *inputs: MxRef, **attrs: str) -> MxRef:
        made.append(MxNode(op, f"{name}_{part}" if part else name, attrs, list(inputs)))
        return MxRef(made[-1])

    dtype = node.attrs.get("dtype", "None")
    if dtype != "None":
        data = add("Cast", "cast", data, dtype=dtype)
    mean = add("_npi_mean", "mean", data, **{**axes, "keepdims": "True"})
    distance = add("_npi_subtract", "distance", data, mean)
    total = add("_np_sum", "total", add("_npi_square", "square", distance), **axes)
    count = add("_np_sum", "count", add("ones_like", "ones", data), **axes)
    freedom = add("_npi_subtract_scalar", "freedom", count, scalar=node.attrs.get("ddof", "0"))
    root = node.op == "_npi_std"
    spread = add("_npi_true_divide", "variance" if root else "", total, freedom)
    if root:
        add("_npi_sqrt", "", spread)
    return made


def _turned(node: MxNode, name: str, data: MxRef) -> list[MxNode]:
    """By quarters from the first axis towards the second."""
    quarters = int(node.attrs.get("k", "1")) % 4
    first, second = ints(node.attrs.get("axes", "(0, 1)"))
    flip = {0: (), 1: (second,), 2: (first, second), 3: (first,)}[quarters]
    made = [MxNode("_npi_flip", f"{name}_flip" if quarters % 2 else name, {"axis": show(flip)}, [data])] if flip else []
    if quarters % 2:
        made.append(MxNode("SwapAxis", name, {"dim1": str(first), "dim2": str(second)}, [MxRef(made[-1])]))
    return made
