"""Trying every runtime, and what else parts of graphkit need, rather than believing that what is installed works."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import onnx_ir as ir

from graphkit.errors import ExecutionError, GraphkitError, InputError, MissingError
from graphkit.frameworks.base import runtimes, timers
from graphkit.frameworks.convert import load
from graphkit.ir.opset import OPSET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.base import Runtime

__all__ = ["TOOLS", "Finding", "Tool", "examine"]


_OWN: Final = {"torch": "torch.nn:ReLU"}
"""For frameworks whose runtimes run their own sources only: one that is always there."""
_SOURCES: Final = {"torch": "reading PyTorch's programs and --on torch"}
"""What runtimes are for that do more than run models."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one runtime or tool.

    Attributes:
        name: What the command line calls it.
        label: What people call it.
        version: Its version, empty where it is missing.
        state: ``"works"`` if it did what it was tried with (a small model gave the right numbers, a picture was drawn),
            else ``"fails"``, or ``"missing"`` if it is not there.
        purpose: What graphkit needs it for.
        note: What is missing and the command that installs it, or what failed.
    """

    name: str
    label: str
    version: str
    state: Literal["works", "fails", "missing"]
    purpose: str
    note: str = ""

    @property
    def works(self) -> bool:
        """Whether it works."""
        return self.state == "works"


@dataclass(frozen=True, slots=True)
class Tool:
    """What a part of graphkit needs, besides runtimes.

    Attributes:
        name: What the command line calls it; the extra that installs it, if one does.
        label: What people call it.
        purpose: What graphkit needs it for.
        attempt: Uses it, and returns its version; raises what is wrong, ModuleNotFoundError or MissingError if it is
            missing.
        install: The command that installs it.
    """

    name: str
    label: str
    purpose: str
    attempt: Callable[[], str]
    install: str


def examine(names: Sequence[str] = ()) -> list[Finding]:
    """Look for runtimes and tools, and try those that are there: a small model, a picture, a compilation.

    Args:
        names: Which ones; all of them if none is named.

    Returns:
        What was found, in the order of the names.

    Raises:
        InputError: There is none of a name; the message lists those that there are.
    """
    known = runtimes()
    for name in names:
        if name not in known and name not in TOOLS:
            there = [*known, *TOOLS]
            near = difflib.get_close_matches(name, there, 1)
            hint = f" Is it meant to be {near[0]!r}?" if near else ""
            raise InputError(f"There is nothing called {name!r} to examine; there are {', '.join(there)}.{hint}")
    wanted = list(dict.fromkeys(names)) or [*known, *TOOLS]
    return [_runtime(known[name]) if name in known else _tool(TOOLS[name]) for name in wanted]


def _runtime(runtime: Runtime) -> Finding:
    purpose = _SOURCES.get(runtime.name, f"--on {runtime.name}")
    if (problem := runtime.missing()) is not None:
        return Finding(runtime.name, runtime.label, "", "missing", purpose, problem)
    version = runtime.version()
    try:
        _run(runtime)
    except Exception as error:  # a broken installation fails as it likes
        return Finding(runtime.name, runtime.label, version, "fails", purpose, _told(error))
    return Finding(runtime.name, runtime.label, version, "works", purpose)


def _tool(tool: Tool) -> Finding:
    try:
        version = tool.attempt()
    except (MissingError, ModuleNotFoundError) as error:
        install = f"; run: {tool.install}" if isinstance(error, ModuleNotFoundError) else ""
        return Finding(tool.name, tool.label, "", "missing", tool.purpose, str(error).rstrip(".") + install)
    except Exception as error:  # a broken installation fails as it likes
        return Finding(tool.name, tool.label, "", "fails", tool.purpose, _told(error))
    return Finding(tool.name, tool.label, version, "works", tool.purpose)


def _told(error: Exception) -> str:
    return str(error).rstrip(".") if isinstance(error, GraphkitError) else f"{type(error).__name__}: {error}"


def _run(runtime: Runtime) -> None:
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


def _matplotlib() -> str:
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))
    figure.add_subplot().bar(["x"], [1])
    figure.savefig(io.BytesIO(), format="svg")
    return f"matplotlib {mpl.__version__}"


def _pillow() -> str:
    import io

    import PIL
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (2, 3)).save(file, "png")
    with Image.open(io.BytesIO(file.getvalue())) as read:
        read.load()
    return f"Pillow {PIL.__version__}"


def _tensorboard() -> str:
    from tensorboard import version
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    GraphDef.FromString(GraphDef().SerializeToString())
    return f"tensorboard {version.VERSION}"


def _graphviz() -> str:
    import importlib.metadata

    from graphkit.render.engine import lay_out

    lay_out("digraph { a -> b }", "png")
    return f"pygraphviz {importlib.metadata.version('pygraphviz')}"


def _compiler() -> str:
    """Compile a file of the kind that inductor writes, which takes a second; a first module would take half a minute.

    Raises:
        MissingError: There is no PyTorch, or no compiler.
        ExecutionError: The compiler refused.
    """
    import os
    import subprocess
    import sysconfig
    import tempfile

    timer = timers()["torch-compile"]
    if (problem := timer.missing()) is not None:
        raise MissingError(problem)
    compiler = os.environ.get("CXX") or "g++"
    include = sysconfig.get_path("include")
    with tempfile.TemporaryDirectory(prefix="graphkit-") as folder:
        done = subprocess.run(
            [compiler, "-shared", "-fPIC", f"-I{include}", "-x", "c++", "-", "-o", f"{folder}/module.so"],
            input="#include <cmath>\n#include <Python.h>\nint main() { return 0; }\n",
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), f"status {done.returncode}")
        raise ExecutionError(
            f"{compiler} does not compile C++ with Python's headers in {include} ({first.strip()}); install what it "
            "lacks (apt-get install g++ python3-dev)."
        )
    return timer.version()


TOOLS: Final = {
    tool.name: tool
    for tool in (
        Tool("torch-compile", "torch.compile", "graphkit bench --on torch-compile", _compiler, ""),
        Tool("graphviz", "Graphviz", "pictures of graphs", _graphviz, "pip install 'pygraphviz>=2'"),
        Tool("bench", "Matplotlib", "charts of graphkit bench", _matplotlib, "pip install 'graphkit[bench]'"),
        Tool("image", "Pillow", "pictures as inputs", _pillow, "pip install 'graphkit[image]'"),
        Tool(
            "tensorboard",
            "TensorBoard",
            "graphkit render -o runs/",
            _tensorboard,
            "pip install 'graphkit[tensorboard]'",
        ),
    )
}
"""What parts of graphkit need besides runtimes, by the names that ``graphkit doctor`` takes."""
