"""If, and MXNet's ``_cond``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.spec import Op

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["OP"]


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    then, otherwise = (b.body(node.attributes[name].as_graph()) for name in ("then_branch", "else_branch"))
    return b.branch(x[0], then, otherwise)


OP = Op("If", torch=_torch)
