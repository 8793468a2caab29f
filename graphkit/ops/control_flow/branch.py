"""If, and MXNet's ``_cond``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from graphkit.ops.codec import ints
from graphkit.ops.control_flow.conditions import truth
from graphkit.ops.spec import MxForm, Op, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.torchprogram import Arg

__all__ = ["OP"]


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    then, otherwise = (b.body(node.attributes[name].as_graph()) for name in ("then_branch", "else_branch"))
    return b.branch(x[0], then, otherwise)


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    values = [value for value in x if value is not None]
    places = [ints(node.attrs[f"{name}_input_locs"]) for name in ("cond", "then", "else")]
    held = [[values[place] for place in own] for own in places]
    given = [len(list(body.variables())) for body in node.subgraphs]
    count = int(node.attrs["num_outputs"])
    if given != [len(own) for own in held] or [len(body.heads) for body in node.subgraphs] != [1, count, count]:
        return Refusal("its bodies have other inputs and outputs than its parameters say")
    predicate, *branches = node.subgraphs
    then, otherwise = (b.body([], partial(b.inline, body, own)) for body, own in zip(branches, held[1:], strict=True))
    condition = truth(b, b.inline(predicate, held[0])[0])
    return b.ops("If", count, condition, then_branch=then, else_branch=otherwise)


OP = Op(
    "If",
    mx=(
        MxForm(
            "_cond",
            read=_read,
            reads=("num_args", "num_outputs", "cond_input_locs", "then_input_locs", "else_input_locs"),
            direction="read",
        ),
    ),
    torch=_torch,
)
