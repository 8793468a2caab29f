"""What graphkit makes of each operator of ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from graphkit.frameworks.support import UNKNOWN, Support, told
from graphkit.ir.canonical.contrib import contrib_operators
from graphkit.ir.own import DOMAIN
from graphkit.ops import ledger
from graphkit.ops.index import index

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["operators"]


def operators() -> list[Support]:
    """Every operator of ONNX and those of other domains that are read, domain by domain, sorted by name."""
    return [_support(domain, name) for domain, name in sorted(set(_all()))]


def _all() -> Iterator[tuple[str, str]]:
    for schema in onnx.defs.get_all_schemas():
        if not schema.deprecated and schema.domain != DOMAIN:
            yield schema.domain, schema.name
    yield from contrib_operators()
    yield from ledger.ONNX


def _support(domain: str, name: str) -> Support:
    label = f"{domain}:{name}" if domain else name
    op = index().by_onnx.get((domain, name))
    if op is None:
        means = _expansion(domain, name)
        reason = "" if means else ledger.ONNX.get((domain, name), UNKNOWN)
        return Support("onnx", label, becomes={"mxnet": (means,), "torch": (means,)} if means else {}, reason=reason)
    becomes: dict[str, tuple[str, ...]] = {}
    if written := tuple(dict.fromkeys(form.op for form in op.mx if form.direction != "read")):
        becomes["mxnet"] = written
    if op.torch is not None:
        becomes["torch"] = ("yes",)
    return Support(
        "onnx",
        label,
        becomes=becomes,
        reason="" if len(becomes) == 2 else ledger.ONNX.get((domain, name), UNKNOWN),
        limits=told(op.limits),
        room=index().room_of(op),
        differentiable=op.gradient is not None or bool(_body(domain, name)),
    )


def _expansion(domain: str, name: str) -> str:
    """How an operator without a room is read, empty where it is not."""
    if (domain, name) in contrib_operators():
        return "other operators"
    if (domain, name) == ("", "Constant"):
        return "a stored tensor"
    return "" if (domain, name) in ledger.ONNX else _body(domain, name)


def _body(domain: str, name: str) -> str:
    """Told of an operator that ONNX defines by others."""
    if not onnx.defs.has(name, domain):
        return ""
    schema = onnx.defs.get_schema(name, domain)
    has_body = schema.has_function or schema.has_context_dependent_function  # type: ignore[attr-defined]  # its stub lacks it
    return "its function body" if has_body else ""
