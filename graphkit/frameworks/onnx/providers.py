"""ONNX Runtime's execution providers and session options: what is there, what may be set, what runs where."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.frameworks.base import Execution

__all__ = ["CPU", "Placement", "absent", "check_options", "inference_session", "placement", "said", "session_options"]

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
_NEEDS: Final = {
    CUDA: "; it needs an NVIDIA GPU with its driver (nvidia-smi shows it), and the CUDA and cuDNN libraries: "
    "pip install 'graphkit[ort-cuda]'"
}
_WRONG: Final = ["MatMulScaleFusion", "Pad_Fusion"]
"""Optimisations of ONNX Runtime (1.31) that change results: it rounds factors of float64 products to float32, and takes
zeros around a max pooling for absent elements."""
_DEADLY: Final = ["NchwcTransformer"]
"""Optimisations that end the process of ONNX Runtime (1.31) on the CPU, where a product of transposed float16 numbers
follows what has no kernel for them."""
_QUIET: Final = 4
"""ONNX Runtime's log level that prints fatal errors only; its other errors arrive as exceptions."""
_RECORD: Final = "session.record_ep_graph_assignment_info"
_LEVELS: Final = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_SHOWN: Final = 5
"""Names that a sentence lists."""


def session_options(execution: Execution, *, backward: bool = False) -> Any:
    """Session options for an execution: unless it is to be fast, the same feeds give the same numbers again.

    Args:
        execution: The execution.
        backward: Whether the model computes gradients. ONNX Runtime (1.31) then plans its memory anew for each call: a
            plan kept for the next ones takes more memory, of which gradients need much, and is no faster.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = execution.threads or os.cpu_count() or 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, _LEVELS[execution.optimization])
    options.use_deterministic_compute = not execution.fast
    options.enable_mem_pattern = not backward
    # Else signed quantized numbers are made unsigned, and ONNX Runtime (1.31) contradicts itself about their type.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return options


def inference_session(
    model: str | bytes,
    options: Any,
    provider: str,
    settings: Mapping[str, str],
    *,
    exact: bool = True,
    halves: bool = False,
) -> Any:
    """A session on a provider that never falls back to another one by itself, at its start or in a run.

    Args:
        model: Path of a file, or a serialized protobuf.
        options: Session options.
        provider: ONNX Runtime's name of the provider.
        settings: Options of the provider.
        exact: Whether optimisations that change results are left out.
        halves: Whether the model has tensors of float16 (:func:`graphkit.frameworks.onnx.signature.has_halves`).

    Raises:
        Exception: Whatever ONNX Runtime raises where it refuses the model.
    """
    import onnxruntime

    providers: list[Any] = [provider]
    if provider != CPU:
        options.add_session_config_entry(_RECORD, "1")
        providers = [(provider, dict(settings)), CPU]
    left_out = [*(_WRONG if exact else ()), *(_DEADLY if halves else ())]
    return onnxruntime.InferenceSession(
        model, options, providers=providers, disabled_optimizers=left_out, enable_fallback=0
    )


def absent(provider: str) -> str | None:
    """Why a provider that is installed does not start, tried once on a one-node model; None where it does."""
    return _probe(provider)[0]


def check_options(label: str, provider: str, given: Sequence[tuple[str, str]]) -> None:
    """Refuse provider options that the provider does not have, which it may leave unread, and values it cannot read.

    Args:
        label: How people call the runtime.
        provider: A provider that is there.
        given: Names and values.

    Raises:
        InputError: The provider has no such option or does not start with them, or one is given twice.
    """
    names = [name for name, _ in given]
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise InputError(f"Provider option {twice[0]!r} is given twice; keep one of them.")
    if not names:
        return
    _, known = _probe(provider)
    for name in names:
        if not known:
            raise InputError(f"{label} has no provider options, so {name!r} says nothing to it; leave it out.")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Is it meant to be {near[0]!r}? " if near else ""
            raise InputError(f"{label} has no provider option {name!r}. {hint}Its options are {', '.join(known)}.")
    problem, _ = _probe(provider, tuple(given))
    if problem is not None:
        told = ", ".join(f"{name}={value}" for name, value in given)
        raise InputError(f"{label} does not take the provider options {told}: {problem}.")


@cache
def _probe(provider: str, settings: tuple[tuple[str, str], ...] = ()) -> tuple[str | None, tuple[str, ...]]:
    """Why a provider does not start with some options, and the names of all of them as it tells them itself."""
    from onnx import TensorProto, helper

    from graphkit.frameworks.base import EXECUTION
    from graphkit.ir.opset import OPSET

    if provider == CUDA:
        _preload()
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "probe", ends[:1], ends[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    try:
        session = inference_session(proto.SerializeToString(), session_options(EXECUTION), provider, dict(settings))
        if provider not in session.get_providers():
            return f"{provider} does not start{_NEEDS.get(provider, '')}", ()
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception as error:
        return f"{provider} does not start: {said(error)}{_NEEDS.get(provider, '')}", ()
    return None, tuple(sorted(session.get_provider_options().get(provider, {})))


def _preload() -> None:
    """Load the CUDA libraries that are installed as Python packages, which ONNX Runtime does not look for itself."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()


@dataclass(frozen=True, slots=True)
class Placement:
    """Which nodes a session runs elsewhere than on the provider that it was opened for.

    Attributes:
        provider: ONNX Runtime's name of the provider.
        total: Number of nodes, those in bodies of loops and branches included.
        elsewhere: Provider, operator and name of each node that runs on another one; a name may be empty.
    """

    provider: str
    total: int
    elsewhere: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        """A sentence; empty where every node runs where it was to."""
        if not self.elsewhere:
            return ""
        operators = Counter(operator for _, operator, _ in self.elsewhere)
        told = ", ".join(f"{operator} × {number}" for operator, number in operators.most_common())
        names = [name for *_, name in self.elsewhere if name]
        listed = f" ({', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''})" if names else ""
        on = " and ".join(sorted({provider for provider, *_ in self.elsewhere}))
        return (
            f"{len(self.elsewhere)} of {self.total} nodes run on {on} instead of {self.provider}: {told}{listed}. "
            f"{self.provider} has no kernels for them, or ONNX Runtime computes sizes there on purpose."
        )


def placement(session: Any, provider: str) -> Placement | None:
    """Where the nodes of a session run that :func:`inference_session` opened on another provider than the CPU's.

    Nodes are those of the graph that ONNX Runtime shares out, after its first round of optimisations.

    Returns:
        None where this version of ONNX Runtime does not tell.
    """
    read = getattr(session, "get_provider_graph_assignment_info", None)
    if read is None:
        return None
    found = _nodes(read())
    return Placement(provider, len(found), tuple(node for node in found if node[0] != provider))


def _nodes(parts: Sequence[Any]) -> list[tuple[str, str, str]]:
    """Provider, operator and name of the nodes that ONNX Runtime tells, a node once."""
    return [(part.ep_name, node.op_type, node.name) for part in parts for node in part.get_nodes()]


def said(error: Exception) -> str:
    """What ONNX Runtime says of an error, without its codes and places in its source, as a clause."""
    text = " ".join(str(error).split()).rstrip(".")
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    return re.sub(r": ?/\S+\.(?:cc|h):\d+ [\w:~]+\([^()]*\) ", ": ", text)
