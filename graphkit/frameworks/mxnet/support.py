"""What graphkit makes of each operator of MXNet."""

from __future__ import annotations

from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.support import Support, told
from graphkit.ops import ledger
from graphkit.ops.index import index

__all__ = ["operators"]

_UNKNOWN = "graphkit does not know it"


def operators() -> list[Support]:
    """Every operator of MXNet 1.9.1 that a symbol can hold, sorted by name."""
    return [_support(name) for name in schema.operators()]


def _support(name: str) -> Support:
    known = schema.operator(name)
    aliases = known.aliases if known is not None else ()
    forms = index().by_mx.get(name, ())
    if not forms:
        return Support("mxnet", name, reason=ledger.MXNET.get(name, _UNKNOWN), aliases=aliases)
    cases = {case.name for _, form in forms if form.op == name for case in form.cases}
    limits = (limit for op, _ in forms for limit in op.limits if limit.case in cases)
    becomes = tuple(dict.fromkeys(op.onnx or "several" for op, _ in forms))
    return Support(
        "mxnet",
        name,
        becomes={"onnx": becomes, "torch": becomes},
        limits=told(limits),
        aliases=aliases,
        room=", ".join(dict.fromkeys(index().room_of(op) for op, _ in forms)),
    )
