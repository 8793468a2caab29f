"""ONNX Runtime as a runtime, on the CPU and on CUDA."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from graphkit.errors import ExecutionError, MissingError
from graphkit.frameworks.feeds import check_feeds, check_taps, inner_tensors
from graphkit.frameworks.onnx.gradients import Gradients
from graphkit.frameworks.onnx.mode import refuse_training
from graphkit.ir.dims import dims_of
from graphkit.ir.origin import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Ability, Arrays, Mode

__all__ = ["OrtRuntime", "OrtSession"]

_OLDER = 21
"""Opset to fall back to: opset 22 widened types of operators whose kernels ONNX Runtime did not register anew."""
_WRONG = ["MatMulScaleFusion", "Pad_Fusion"]
"""Optimisations of ONNX Runtime (1.31) that change results: it rounds factors of float64 products to float32, and takes
zeros around a max pooling for absent elements."""
_QUIET = 4
"""ONNX Runtime's log level that prints fatal errors only; its other errors arrive as exceptions."""


@dataclass(frozen=True, slots=True)
class OrtRuntime:
    """ONNX Runtime with one execution provider.

    Attributes:
        name: ``"ort"`` or ``"ort-cuda"``.
        label: How people call it.
        provider: ONNX Runtime's name of the provider.
        settings: Provider options.
    """

    name: str
    label: str
    provider: str
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def can(self) -> frozenset[Ability]:
        """Outputs, taps and gradients."""
        return frozenset({"forward", "taps", "backward"})

    @property
    def native(self) -> str:
        """ONNX files run on it as they are, in the opset and with the operators that they have."""
        return "onnx"

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and the command that installs it."""
        cuda = self.provider != "CPUExecutionProvider"
        extra = "ort-cuda" if cuda else "ort"
        try:
            import onnxruntime
        except ImportError:
            return f"ONNX Runtime is not installed; run: pip install 'graphkit[{extra}]'"
        if self.provider not in onnxruntime.get_available_providers():
            return (
                f"the installed ONNX Runtime {onnxruntime.__version__} has no {self.provider}; "
                f"run: pip uninstall -y onnxruntime && pip install 'graphkit[{extra}]'"
            )
        return _cuda_problem(self.provider, self.settings) if cuda else None

    def version(self) -> str:
        """Version of ONNX Runtime and its provider."""
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__} ({self.provider})"

    def open(self, model: ir.Model, *, mode: Mode = "eval", native: bool = True) -> OrtSession:
        """Open a canonical model; the file it was read from, if ``native`` and the two still have the same inputs.

        Raises:
            MissingError: ONNX Runtime or the provider is not installed, or has no device.
            UnsupportedError: The session is to follow training mode, and that would make a difference.
            ExecutionError: ONNX Runtime refuses the model, e.g. for want of a float64 kernel.
        """
        if (problem := self.missing()) is not None:
            raise MissingError(f"{self.label} is not available: {problem}.")
        refuse_training(self.label, model, mode)
        source = source_of(model) if native else None
        file = source.handle if source is not None and source.framework == self.native else None
        return OrtSession(self, model, file)


class OrtSession:
    """A model opened in ONNX Runtime; one inference session per set of taps.

    Args:
        runtime: The runtime.
        model: The canonical model.
        file: The file it was read from, which is run in its place where no taps are asked for, unless the model was
            cast or its inputs were given other shapes since.
    """

    def __init__(self, runtime: OrtRuntime, model: ir.Model, file: Path | None = None) -> None:
        self._runtime = runtime
        self._model = model
        self._file = file
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._weights: dict[str, Any] = {}
        self._gradients = Gradients(model, lambda backward: OrtSession(runtime, backward))
        self._session(())

    @property
    def tappable(self) -> frozenset[str]:
        """Names of all tensors that nodes compute."""
        return frozenset(inner_tensors(self._model))

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Outputs of the graph, and the values named in ``taps``.

        Raises:
            FeedError: A feed is missing, unknown, or of the wrong shape or dtype; a tap names no value.
            ExecutionError: ONNX Runtime refused or crashed.
        """
        checked = check_feeds(self._model, feeds)
        known: dict[str, npt.NDArray[np.generic]] = dict(checked)
        inner: list[str] = []
        for tap in check_taps(self._model, taps):
            name = tap.name or ""
            if tap.const_value is not None:
                known[name] = np.asarray(tap.const_value.numpy())
            elif tap.producer() is not None:
                inner.append(name)
        outputs = [value.name or "" for value in self._model.graph.outputs]
        wanted = list(dict.fromkeys([*outputs, *inner]))
        found = self._run(self._session(tuple(inner)), checked, wanted)
        return {name: found[name] if name in found else known[name] for name in dict.fromkeys([*outputs, *taps])}

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Gradients of Σ⟨seed, output⟩ in every float input and every parameter, by a graph of ONNX operators.

        Raises:
            FeedError: A feed or a seed is missing, unknown, or of the wrong shape or dtype; a tap is no float.
            UnsupportedError: Nodes through which no gradient can be expressed.
            ExecutionError: ONNX Runtime refused or crashed.
        """
        return self._gradients.run(feeds, seeds, taps)

    def close(self) -> None:
        """Free the sessions."""
        self._sessions.clear()
        self._weights.clear()
        self._gradients.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _session(self, taps: tuple[str, ...]) -> Any:
        if taps not in self._sessions:
            self._sessions[taps] = self._open(taps)
        return self._sessions[taps]

    def _open(self, taps: tuple[str, ...]) -> Any:
        try:
            session = (None if taps else self._start_file()) or self._start(taps)
        except Exception as error:
            session = self._start_lowered(taps) if "implementation" in str(error) else None
            if session is None:
                raise ExecutionError(
                    f"{self._runtime.label} refuses the model: {_said(error)}. "
                    f"{_float64_hint(self._model, error)}Nodes are named as in the converted graph."
                ) from error
        provider = self._runtime.provider
        if provider not in session.get_providers():
            raise ExecutionError(
                f"{self._runtime.label} was asked for, but ONNX Runtime fell back to "
                f"{', '.join(session.get_providers())}; run `graphkit doctor` to see what is missing."
            )
        return session

    def _start_file(self) -> Any:
        """A session of the file itself; None where there is none, or the model has other inputs than it."""
        if self._file is None:
            return None
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(self._file),
            session_options(),
            providers=_providers(self._runtime.provider, self._runtime.settings),
            disabled_optimizers=_WRONG,
        )
        theirs = {value.name: _signature(value.shape, value.type) for value in session.get_inputs()}
        ours = {
            value.name: _signature(dims_of(value), "" if value.dtype is None else _type_name(value.dtype))
            for value in self._model.graph.inputs
            if not value.is_initializer()
        }
        return session if ours == theirs else None

    def _start_lowered(self, taps: tuple[str, ...]) -> Any:
        """A session in an older opset, whose kernels ONNX Runtime has where it lacks the newest; None for none."""
        try:
            return self._start(taps, _OLDER)
        except Exception:
            return None

    def _start(self, taps: tuple[str, ...], opset: int | None = None) -> Any:
        import onnxruntime

        from graphkit.frameworks.onnx.proto import weightless_proto

        proto, weights = weightless_proto(self._model, taps, opset)
        options = session_options()
        for name, tensor in weights.items():
            if name not in self._weights:
                self._weights[name] = _ort_value(np.asarray(tensor.numpy()), int(tensor.dtype))
        if weights:
            options.add_external_initializers(list(weights), [self._weights[name] for name in weights])
        return onnxruntime.InferenceSession(
            proto.SerializeToString(),
            options,
            providers=_providers(self._runtime.provider, self._runtime.settings),
            disabled_optimizers=_WRONG,
        )

    def _run(
        self, session: Any, feeds: Mapping[str, npt.NDArray[np.generic]], wanted: list[str]
    ) -> dict[str, npt.NDArray[np.generic]]:
        dtypes = {value.name: value.dtype for value in self._model.graph.inputs}
        try:
            if all(_is_plain(array) for array in feeds.values()):
                results = session.run(wanted, dict(feeds))
            else:
                values = {name: _ort_value(array, int(dtypes[name] or 0)) for name, array in feeds.items()}
                results = [value.numpy() for value in session.run_with_ort_values(wanted, values)]
        except Exception as error:
            raise ExecutionError(f"{self._runtime.label} failed: {_said(error)}.") from error
        return dict(zip(wanted, results, strict=True))


def _is_plain(fed: Any) -> bool:
    """Whether ONNX Runtime takes what is fed as numpy has it."""
    if fed is None or isinstance(fed, list):
        return True
    return bool(fed.dtype.kind in "OUS" or fed.dtype.isbuiltin == 1)


def _signature(dims: Sequence[int | str | None] | None, kind: str) -> tuple[object, ...]:
    """What two descriptions of an input have to agree in; free dimensions are alike whatever they are called."""
    return (kind, *(dim if isinstance(dim, int) else None for dim in dims or ()))


def _type_name(dtype: ir.DataType) -> str:
    """ONNX Runtime's name of a tensor type, e.g. ``tensor(int64)``."""
    return f"tensor({dtype.name.lower()})"


def session_options() -> Any:
    """Session options under which the same feeds give the same numbers again."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = os.cpu_count() or 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    # Else signed quantized numbers are made unsigned, and ONNX Runtime (1.31) contradicts itself about their type.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return options


def _providers(provider: str, settings: tuple[tuple[str, str], ...]) -> list[Any]:
    if provider == "CPUExecutionProvider":
        return [provider]
    return [(provider, dict(settings)), "CPUExecutionProvider"]


@cache
def _cuda_problem(provider: str, settings: tuple[tuple[str, str], ...]) -> str | None:
    """Why a provider that is installed does not start, tried once on a one-node model."""
    import onnxruntime
    from onnx import TensorProto, helper

    from graphkit.ir.opset import OPSET

    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "probe",
        [info],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), session_options(), providers=_providers(provider, settings)
        )
        if provider not in session.get_providers():
            return (
                f"{provider} does not start; it needs an NVIDIA GPU with its driver, and the CUDA and cuDNN libraries"
            )
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception as error:
        return f"{provider} does not start: {_said(error)}"
    return None


def _ort_value(array: npt.NDArray[np.generic], dtype: int) -> Any:
    from onnxruntime import OrtValue

    contiguous = np.ascontiguousarray(array).reshape(array.shape)
    if contiguous.dtype.isbuiltin == 1:
        return OrtValue.ortvalue_from_numpy(contiguous)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous.view(f"u{contiguous.itemsize}"), dtype)


def _said(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)


def _float64_hint(model: ir.Model, error: Exception) -> str:
    doubles = any(value.dtype is not None and value.dtype.name == "DOUBLE" for value in model.graph.inputs)
    if doubles and "implementation" in str(error):
        return "It has no float64 kernel for that operator; run it in float32. "
    return ""
