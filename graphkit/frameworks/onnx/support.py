"""What graphkit makes of each operator of ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx

from graphkit.frameworks.support import Support, told
from graphkit.ops import ledger
from graphkit.ops.index import index

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["operators"]

_UNKNOWN: Final = "graphkit does not know it"


def operators() -> list[Support]:
    """Every operator of the ONNX standard, its own domain first, each sorted by name."""
    return [_support(domain, name) for domain, name in sorted(set(_standard()))]


def _standard() -> Iterator[tuple[str, str]]:
    for schema in onnx.defs.get_all_schemas():
        if not schema.deprecated:
            yield schema.domain, schema.name


def _support(domain: str, name: str) -> Support:
    label = f"{domain}:{name}" if domain else name
    op = index().by_onnx.get((domain, name))
    if op is None:
        return Support("onnx", label, reason=ledger.ONNX.get((domain, name), _UNKNOWN))
    becomes: dict[str, tuple[str, ...]] = {}
    if written := tuple(dict.fromkeys(form.op for form in op.mx if form.direction != "read")):
        becomes["mxnet"] = written
    if op.torch is not None:
        becomes["torch"] = ("yes",)
    return Support(
        "onnx",
        label,
        becomes=becomes,
        reason="" if len(becomes) == 2 else ledger.ONNX.get((domain, name), _UNKNOWN),
        limits=told(op.limits),
        room=index().room_of(op),
    )
