"""Convert models between PyTorch, MXNet and ONNX, and prove that they compute and train the same.

    import graphkit

    model = graphkit.load("net.pt2")                    # a canonical onnx_ir.Model
    report = graphkit.verify(model, backward=True)      # torch, MXNet and ONNX Runtime, outputs and gradients
    graphkit.save(model, "net", to="mxnet")             # net-symbol.json and net-0000.params
    graphkit.render(model, "net.svg")

Importing graphkit imports no framework; each is imported when it is first needed.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from graphkit._version import __version__
from graphkit.errors import (
    ExecutionError,
    FeedError,
    FormatError,
    GraphkitError,
    InputError,
    LimitError,
    MissingError,
    ParameterError,
    ShapeNeededError,
    UnsupportedError,
    UnsupportedNode,
)
from graphkit.render import render  # it has the name of its package, so it must be bound after that is imported

if TYPE_CHECKING:
    from graphkit.frameworks.convert import convert, load, look, save
    from graphkit.frameworks.grad import grad
    from graphkit.inspecting.difference.diff import diff
    from graphkit.inspecting.summary import inspect
    from graphkit.limits import Limits, limited
    from graphkit.parity.bisect import bisect
    from graphkit.parity.verify import verify
    from graphkit.report.summary import summary
    from graphkit.running.run import run

__all__ = [
    "ExecutionError",
    "FeedError",
    "FormatError",
    "GraphkitError",
    "InputError",
    "LimitError",
    "Limits",
    "MissingError",
    "ParameterError",
    "ShapeNeededError",
    "UnsupportedError",
    "UnsupportedNode",
    "__version__",
    "bisect",
    "convert",
    "diff",
    "grad",
    "inspect",
    "limited",
    "load",
    "look",
    "render",
    "run",
    "save",
    "summary",
    "verify",
]

_HOMES = {
    "Limits": "graphkit.limits",
    "bisect": "graphkit.parity.bisect",
    "convert": "graphkit.frameworks.convert",
    "diff": "graphkit.inspecting.difference.diff",
    "grad": "graphkit.frameworks.grad",
    "inspect": "graphkit.inspecting.summary",
    "limited": "graphkit.limits",
    "load": "graphkit.frameworks.convert",
    "look": "graphkit.frameworks.convert",
    "run": "graphkit.running.run",
    "save": "graphkit.frameworks.convert",
    "summary": "graphkit.report.summary",
    "verify": "graphkit.parity.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'graphkit' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: Any) -> None:
    """Show models as pictures in a notebook: ``%load_ext graphkit``, for one that imported graphkit elsewhere."""
    from graphkit.render.notebook import register

    register(shell)


if "IPython" in sys.modules:
    from graphkit.render.notebook import register_here

    register_here()
