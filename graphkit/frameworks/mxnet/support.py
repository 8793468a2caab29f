"""What graphkit makes of each operator of MXNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.support import UNKNOWN, Support, told
from graphkit.ir.own import is_own
from graphkit.ops import ledger
from graphkit.ops.index import index

if TYPE_CHECKING:
    from graphkit.ops.spec import Op

__all__ = ["operators"]


def operators() -> list[Support]:
    """Every operator of MXNet 1.9.1 that a symbol can hold, sorted by name."""
    return [_support(name) for name in schema.operators()]


def _support(name: str) -> Support:
    known = schema.operator(name)
    aliases = known.aliases if known is not None else ()
    forms = index().by_mx.get(name, ())
    ops = list({id(op): op for op, _ in forms}.values())
    if not forms:
        return Support("mxnet", name, reason=ledger.MXNET.get(name, UNKNOWN), aliases=aliases)
    cases = {case.name for _, form in forms for case in form.cases}
    concerning = {"*", *cases, *(f"{name}>{case}" for case in cases)}
    names = tuple(dict.fromkeys(map(_label, ops)))
    to_onnx = not any(_is_nameless_in_onnx(op) for op in ops)
    return Support(
        "mxnet",
        name,
        becomes={"onnx": names, "torch": names} if to_onnx else {"torch": names},
        reason="" if to_onnx else ledger.MXNET.get(name, UNKNOWN),
        limits=told(limit for op in ops for limit in op.limits if limit.case in concerning),
        aliases=aliases,
        room=", ".join(dict.fromkeys(map(index().room_of, ops))),
    )


def _label(op: Op) -> str:
    return (f"{op.domain}:{op.onnx}" if op.domain else op.onnx) or "several"


def _is_nameless_in_onnx(op: Op) -> bool:
    """Whether it is one of graphkit's own operators that ONNX cannot say."""
    return is_own(op.onnx, op.domain) and op.body is None
