"""What MXNet's files say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.base import About
from graphkit.frameworks.mxnet.checkpoint import newest_params
from graphkit.frameworks.mxnet.upgrade import UNSTATED
from graphkit.ir.origin import source_of
from graphkit.ops.mxgraph import MxModel

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.base import ReadOptions

__all__ = ["about"]


def about(source: Any, options: ReadOptions, model: ir.Model) -> About:
    """Tell which MXNet wrote a symbol, and which parameters belong to it."""
    facts: dict[str, str] = {}
    found = source_of(model)
    if found is not None and isinstance(found.handle, MxModel):
        facts["MXNet version"] = version(found.handle.graph.version)
    if not isinstance(source, str | Path):
        return About(f"MXNet {type(source).__name__}", facts, ())
    path = Path(source)
    params = options.params or newest_params(path)
    facts["parameters"] = "none" if params is None else params.name
    return About("MXNet symbol", facts, (path,) if params is None else (path, params))


def version(number: int) -> str:
    """MXNet's number of a version, 10901, as people write it."""
    if number == UNSTATED:
        return "not stated (0.8 or older)"
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
