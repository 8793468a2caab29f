"""What MXNet's ``_cond`` and ``_while_loop`` need so that gradients pass them.

A branch that does not read what the other one reads leaves the gradient in that as it was in memory, and MXNet refuses
to go back through a branch that gives something which depends on none of its inputs. So both branches read the same,
and all that they give depends on something, by zeros whose gradients are zeros whatever the numbers are.

``_while_loop`` computes no gradient in what is carried, on any turn, if nothing asks for the one in what it is at first
(a constant, or an input whose ``grad_req`` is ``null``), and goes on from what was in memory. So what floats are at
first depends, by such zeros, on all that the loop is given: where any gradient is asked for, all are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphkit.ops.codec import show
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxNode, MxRef
from graphkit.ops.spec import is_float

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder

__all__ = ["ask_alike", "link", "linked", "read_alike"]

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


def ask_alike(b: MxBuilder, carried: Mapping[ir.Value, MxRef], others: Sequence[MxRef]) -> list[MxRef]:
    """Have a gradient in what each float that a loop carries is at first asked for if any in what it reads is.

    Args:
        b: The builder.
        carried: What holds each value that it carries at first.
        others: What else it reads; arrays of integers among them do no harm.

    Returns:
        What holds each of ``carried`` now.
    """
    floats = [ref for value, ref in carried.items() if is_float(b.dtype(value))]
    sources = [ref for ref in dict.fromkeys((*floats, *others)) if _depends(ref, trained=True)]
    if not floats or not sources or {*floats, *sources} == {floats[0]}:
        return list(carried.values())
    zeros: dict[np.dtype[Any], MxRef] = {}

    def asked(value: ir.Value, ref: MxRef) -> MxRef:
        dtype = b.dtype(value)
        if not is_float(dtype):
            return ref
        if dtype not in zeros:
            zeros[dtype] = _zero_of(b, sources, dtype)
        return _plus(b, ref, zeros[dtype], b.rank(value))

    return [asked(value, ref) for value, ref in carried.items()]


def linked(b: MxBuilder, ref: MxRef, rank: int, dtype: np.dtype[Any], source: MxRef) -> MxRef:
    """What depends on an array, if it depended on nothing that gradients reach.

    Args:
        b: The builder.
        ref: What it is.
        rank: Of it.
        dtype: In which MXNet holds it.
        source: The array.
    """
    if is_float(dtype) and _depends(ref):
        return ref
    return _plus(b, ref, _zero_of(b, [source], dtype), rank)


def _plus(b: MxBuilder, ref: MxRef, zero: MxRef, rank: int) -> MxRef:
    if rank > 1:
        zero = b.op("Reshape", zero, shape=(1,) * rank, name="zeros")
    return b.op("broadcast_add", ref, zero, name="linked")


def _zero_of(b: MxBuilder, sources: Sequence[MxRef], dtype: np.dtype[Any]) -> MxRef:
    """A zero that depends on some arrays, of shape (1,); MXNet's backward pass fails at ``where`` beside a loop."""
    parts = [b.op("_zeros", shape=(1,), dtype=dtype.name)]
    for source in sources:
        first = b.op("slice_axis", source, axis=0, begin=0, end=1, name="first")
        parts.append(b.op("sum", b.op("Cast", first, dtype=dtype.name, name="first"), name="first"))
    every = b.op("Concat", *parts, dim=0, num_args=len(parts), name="every")
    return b.op("slice_axis", every, axis=0, begin=0, end=1, name="none")


def _depends(head: MxRef, *, trained: bool = False) -> bool:
    """Whether gradients reach a variable; with ``trained``, one that optimizers do not leave alone."""
    stack, seen = [head.node], set[int]()
    while stack:
        node = stack.pop()
        if node.is_variable and not (trained and node.hidden.get("__lr_mult__") == "0.0"):
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
