"""What MXNet's ``_cond`` needs so that gradients pass it.

A branch that does not read what the other one reads leaves the gradient in that as it was in memory, and MXNet refuses
to go back through a branch that gives something which depends on none of its inputs. So both branches read the same,
and all that they give depends on something, by zeros whose gradients are zeros whatever the numbers are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphkit.ops.codec import show
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["link", "read_alike"]

_NO_GRADIENT: Final = frozenset(
    {"BlockGrad", "argmax", "argmin", "argsort", "ceil", "fix", "floor", "one_hot", "ones_like", "rint", "round"}
    | {"shape_array", "sign", "size_array", "trunc", "zeros_like", "_contrib_arange_like", "logical_not"}
    | {f"{kind}{name}" for kind in ("broadcast_", "_") for name in ("equal", "not_equal", "greater", "lesser")}
    | {f"{kind}{name}_equal" for kind in ("broadcast_", "_") for name in ("greater", "lesser")}
    | {f"_{name}_scalar" for name in ("equal", "not_equal", "greater", "lesser", "greater_equal", "lesser_equal")}
)
"""Operators that no gradient passes."""


def read_alike(name: str, branches: Sequence[MxGraph], places: Sequence[list[int]]) -> int:
    """Have two branches read the same inputs, in place.

    Args:
        name: Of the node that they are for.
        branches: Their graphs; both get another output for each input that one of them alone reads.
        places: Which inputs of the node the variables of each stand for; both get what they lack.

    Returns:
        The number of outputs that they got.
    """
    alone = [place for place in dict.fromkeys((*places[0], *places[1])) if (place in places[0]) != (place in places[1])]
    for branch, own in zip(branches, places, strict=True):
        variables = dict(zip(own, branch.variables(), strict=True))
        for place in alone:
            if place not in variables:
                variables[place] = MxNode(VARIABLE, f"{name}_input{place}")
            branch.heads.append(_zero(branch, variables[place]))
        number = {id(node): place for place, node in variables.items()}
        branch.arrange()
        own[:] = [number[id(node)] for node in branch.variables()]
    return len(alone)


def link(branch: MxGraph, places: list[int], number: int, rank: int, dtype: np.dtype[Any]) -> None:
    """Have an output of a branch depend on one of its inputs if it depends on none, in place.

    Args:
        branch: The graph.
        places: Which inputs of the node its variables stand for.
        number: Of the output.
        rank: Of the output.
        dtype: In which MXNet holds it.
    """
    head = branch.heads[number]
    variables = list(branch.variables())
    if not variables or (dtype.kind == "f" and _depends(head)):
        return
    place = {id(node): place for place, node in zip(places, variables, strict=True)}
    zero = _node(branch, "Cast", f"{head.node.name}_zero", _zero(branch, variables[0]), dtype=dtype.name)
    if rank > 1:
        zero = _node(branch, "Reshape", f"{head.node.name}_zeros", zero, shape=(1,) * rank)
    branch.heads[number] = _node(branch, "broadcast_add", f"{head.node.name}_linked", head, zero)
    branch.arrange()
    places[:] = [place[id(node)] for node in branch.variables()]


def _depends(head: MxRef) -> bool:
    """Whether gradients reach a variable."""
    stack, seen = [head.node], set[int]()
    while stack:
        node = stack.pop()
        if node.is_variable:
            return True
        if id(node) not in seen and node.op not in _NO_GRADIENT:
            seen.add(id(node))
            stack += [ref.node for ref in node.inputs]
    return False


def _zero(branch: MxGraph, variable: MxNode) -> MxRef:
    """A zero that depends on a variable, of shape (1,): its first element where zero is not zero."""
    flat = _node(branch, "Reshape", f"{variable.name}_flat", MxRef(variable), shape=(-1,))
    first = _node(branch, "slice_axis", f"{variable.name}_first", flat, axis=0, begin=0, end=1)
    never = _node(branch, "zeros_like", f"{variable.name}_never", first)
    return _node(branch, "where", f"{variable.name}_none", never, first, never)


def _node(branch: MxGraph, op: str, name: str, *inputs: MxRef, **attrs: Any) -> MxRef:
    taken = {node.name for node in branch.nodes}
    free = next(free for number in range(len(taken) + 1) if (free := f"{name}{number or ''}") not in taken)
    node = MxNode(op, free, {key: show(value) for key, value in attrs.items()}, list(inputs))
    branch.nodes.append(node)
    return MxRef(node)
