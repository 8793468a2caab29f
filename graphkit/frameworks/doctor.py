"""Trying every runtime, rather than believing that what is installed works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx_ir as ir

from graphkit.errors import ExecutionError, GraphkitError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.convert import load
from graphkit.ir.opset import OPSET

if TYPE_CHECKING:
    from graphkit.frameworks.base import Runtime

__all__ = ["Finding", "examine"]


_OWN: Final = {"torch": "torch.nn:ReLU"}
"""For frameworks whose runtimes run their own sources only: one that is always there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one runtime.

    Attributes:
        name: What the command line calls it.
        label: What people call it.
        version: Its version, empty where it is missing.
        works: Whether a small model ran on it and gave the right numbers.
        note: What is missing and the command that installs it, or what failed.
    """

    name: str
    label: str
    version: str
    works: bool
    note: str = ""


def examine() -> list[Finding]:
    """Look for every runtime and run a small model on those that are there."""
    return [_examine(runtime) for runtime in runtimes().values()]


def _examine(runtime: Runtime) -> Finding:
    if (problem := runtime.missing()) is not None:
        return Finding(runtime.name, runtime.label, "", False, problem)
    version = runtime.version()
    try:
        _try(runtime)
    except GraphkitError as error:
        return Finding(runtime.name, runtime.label, version, False, str(error))
    return Finding(runtime.name, runtime.label, version, True)


def _try(runtime: Runtime) -> None:
    """Run a rectifier.

    Raises:
        GraphkitError: The runtime refused, crashed, or gave other numbers.
    """
    own = _OWN.get(runtime.native)
    model = _rectifier() if own is None else load(own, inputs=["2x3"], warn=lambda _message: None)
    array = np.array([[-1, 0, 1], [2, -3, 4]], np.float32)
    name = model.graph.inputs[0].name or ""
    with runtime.open(model) as session:
        (found,) = session.forward({name: array}).values()
    if not np.array_equal(found, np.maximum(array, 0)):
        raise ExecutionError(f"{runtime.label} runs, but max(x, 0) of {array.tolist()} is {found.tolist()} there.")


def _rectifier() -> ir.Model:
    kind, shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([2, 3])
    x = ir.Value(name="x", type=kind, shape=shape)
    node = ir.Node("", "Relu", [x], name="rectifier")
    y = node.outputs[0]
    y.name, y.type, y.shape = "y", kind, shape
    graph = ir.Graph([x], [y], nodes=[node], opset_imports={"": OPSET}, name="rectifier")
    return ir.Model(graph, ir_version=10)
