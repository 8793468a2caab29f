"""ONNX Runtime as a runtime, on the CPU and on CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from graphkit.errors import ExecutionError, MissingError
from graphkit.frameworks.base import EXECUTION
from graphkit.frameworks.feeds import check_feeds, check_taps, inner_tensors
from graphkit.frameworks.onnx.providers import (
    CPU,
    absent,
    check_options,
    inference_session,
    placement,
    said,
    session_options,
)
from graphkit.frameworks.onnx.signature import has_halves, of_model, of_session
from graphkit.frameworks.onnx.values import is_plain, ort_value
from graphkit.ir.origin import source_of
from graphkit.ir.training import is_backward

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Ability, Arrays, Batch, Execution, Mode, Rule, Setting, Step
    from graphkit.frameworks.onnx.binding import Binding

__all__ = ["OLDER", "OrtRuntime", "OrtSession"]

OLDER: Final = 21
"""Opset to fall back to: opset 22 widened types of operators whose kernels ONNX Runtime did not register anew."""


@dataclass(frozen=True, slots=True)
class OrtRuntime:
    """ONNX Runtime with one execution provider.

    Attributes:
        name: ``"ort"`` or ``"ort-cuda"``.
        label: How people call it.
        provider: ONNX Runtime's name of the provider.
        settings: Provider options under which the same feeds give the same numbers again.
        device: ONNX Runtime's name of the device.
    """

    name: str
    label: str
    provider: str
    settings: tuple[tuple[str, str], ...] = ()
    device: str = "cpu"

    @property
    def can(self) -> frozenset[Ability]:
        """All that there is."""
        return frozenset({"forward", "taps", "backward", "train"})

    @property
    def native(self) -> str:
        """ONNX files run on it as they are, in the opset and with the operators that they have."""
        return "onnx"

    @property
    def follows(self) -> frozenset[Setting]:
        """All settings there are."""
        return frozenset({"threads", "fast", "optimization", "provider_options", "binding"})

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and the command that installs it."""
        cuda = self.provider != CPU
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
        return absent(self.provider) if cuda else None

    def version(self) -> str:
        """Version of ONNX Runtime and its provider."""
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__} ({self.provider})"

    def open(
        self, model: ir.Model, *, mode: Mode = "eval", native: bool = True, execution: Execution = EXECUTION
    ) -> OrtSession:
        """Open a canonical model; the file it was read from, if ``native`` and both have the same inputs and precision.

        Raises:
            InputError: The provider has no such option.
            MissingError: ONNX Runtime or the provider is not installed, or has no device.
            UnsupportedError: The session is to follow training mode, and nodes have no training form.
            ExecutionError: ONNX Runtime refuses the model, e.g. for want of a float64 kernel.
        """
        if (problem := self.missing()) is not None:
            raise MissingError(f"{self.label} is not available: {problem}.")
        check_options(self.label, self.provider, execution.provider_options)
        source = source_of(model) if native else None
        own = source is not None and source.framework == self.native and not source.recast
        file = source.handle if source is not None and own else None
        return OrtSession(self, model, file, mode, execution)

    def options(self, execution: Execution) -> dict[str, str]:
        """Options that the provider is given: those of parity unless it is to be fast, and the user's."""
        return {**dict(() if execution.fast else self.settings), **dict(execution.provider_options)}


class OrtSession:
    """A model opened in ONNX Runtime; one inference session per set of taps.

    Args:
        runtime: The runtime.
        model: The canonical model.
        file: The file it was read from, which is run in its place where no taps are asked for, unless the model was
            cast or its inputs were given other shapes since.
        mode: How BatchNorm and Dropout behave.
        execution: Threads, optimisation, options of the provider.
    """

    def __init__(
        self,
        runtime: OrtRuntime,
        model: ir.Model,
        file: Path | None = None,
        mode: Mode = "eval",
        execution: Execution = EXECUTION,
    ) -> None:
        from graphkit.frameworks.onnx.gradients import Gradients
        from graphkit.frameworks.onnx.mode import in_mode

        self._runtime = runtime
        self._neutral, self._mode = model, mode
        self._model = in_mode(model, mode)
        self._file = file if self._model is model else None
        self._execution = execution
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._bindings: dict[tuple[str, ...], Binding] = {}
        self._weights: dict[str, Any] = {}
        self._gradients = Gradients(self._model, self._another)
        self._session(())

    @property
    def tappable(self) -> frozenset[str]:
        """Names of all tensors that nodes compute."""
        return frozenset(inner_tensors(self._neutral)) & frozenset(inner_tensors(self._model))

    @property
    def notes(self) -> tuple[str, ...]:
        """Which nodes run elsewhere than on the provider asked for, as far as sessions are open."""
        if self._runtime.provider == CPU:
            return ()
        places = [placement(session, self._runtime.provider) for session in self._sessions.values()]
        told = [f"{self._runtime.label}: {place}" for place in places if place is not None and place.elsewhere]
        if None in places:
            told.append(
                f"{self._runtime.version()} does not tell whether nodes run on the CPU instead; a later one does."
            )
        return tuple(dict.fromkeys([*told, *self._gradients.notes]))

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
        found = self._run(tuple(inner), checked, wanted)
        return {name: found[name] if name in found else known[name] for name in dict.fromkeys([*outputs, *taps])}

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Gradients of Σ⟨seed, output⟩ in every float input and every parameter, by a graph of ONNX operators.

        Raises:
            FeedError: A feed or a seed is missing, unknown, or of the wrong shape or dtype; a tap is no float.
            UnsupportedError: Nodes through which no gradient can be expressed.
            ExecutionError: ONNX Runtime refused or crashed.
        """
        return self._gradients.run(feeds, seeds, taps)

    def train(self, batches: Iterable[Batch], rule: Rule) -> Iterator[Step]:
        """Train by a graph that makes a step, from the model's weights; the session does not change.

        Raises:
            FeedError: A feed or a target is missing, unknown, or of the wrong shape or dtype.
            UnsupportedError: Nodes through which no gradient can be expressed.
            ExecutionError: ONNX Runtime refused or crashed.
        """
        from graphkit.frameworks.onnx.training import steps

        return steps(self._neutral, self._mode, self._another, batches, rule)

    def close(self) -> None:
        """Free the sessions."""
        self._bindings.clear()
        self._sessions.clear()
        self._weights.clear()
        self._gradients.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _another(self, model: ir.Model) -> OrtSession:
        """A session of a graph made from the model's, executed in the same way."""
        return OrtSession(self._runtime, model, execution=self._execution)

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
                    f"{self._runtime.label} refuses the model: {said(error)}. "
                    f"{_hint(self._model, str(error))}Nodes are named as in the converted graph."
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
        session = self._session_of(str(self._file), session_options(self._execution))
        return session if of_session(session) == of_model(self._model) else None

    def _start_lowered(self, taps: tuple[str, ...]) -> Any:
        """A session in an older opset, whose kernels ONNX Runtime has where it lacks the newest; None for none."""
        try:
            return self._start(taps, OLDER)
        except Exception:
            return None

    def _start(self, taps: tuple[str, ...], opset: int | None = None) -> Any:
        from graphkit.frameworks.onnx.proto import weightless_proto

        proto, weights = weightless_proto(self._model, taps, opset)
        options = session_options(self._execution, backward=any(map(is_backward, self._model.graph)))
        for name, tensor in weights.items():
            if name not in self._weights:
                self._weights[name] = ort_value(np.asarray(tensor.numpy()), int(tensor.dtype))
        if weights:
            options.add_external_initializers(list(weights), [self._weights[name] for name in weights])
        return self._session_of(proto.SerializeToString(), options)

    def _session_of(self, model: str | bytes, options: Any) -> Any:
        settings = self._runtime.options(self._execution)
        return inference_session(model, options, self._runtime.provider, settings, halves=has_halves(self._model))

    def _run(
        self, taps: tuple[str, ...], feeds: Mapping[str, npt.NDArray[np.generic]], wanted: list[str]
    ) -> dict[str, npt.NDArray[np.generic]]:
        try:
            session = self._session(taps)
            if self._execution.binding:
                results = self._bound(taps, feeds, wanted)
            elif all(map(is_plain, feeds.values())):
                results = session.run(wanted, feeds)
            else:
                values = {name: ort_value(array, self._dtypes[name]) for name, array in feeds.items()}
                results = [value.numpy() for value in session.run_with_ort_values(wanted, values)]
        except ExecutionError:
            raise
        except Exception as error:
            raise ExecutionError(f"{self._runtime.label} failed: {said(error)}.") from error
        return dict(zip(wanted, results, strict=True))

    def _bound(
        self, taps: tuple[str, ...], feeds: Mapping[str, npt.NDArray[np.generic]], wanted: list[str]
    ) -> list[npt.NDArray[np.generic]]:
        """The results of a run whose feeds and outputs are on the device."""
        if taps not in self._bindings:
            from graphkit.frameworks.onnx.binding import Binding

            number = int(self._runtime.options(self._execution).get("device_id", 0))
            self._bindings[taps] = Binding(self._session(taps), wanted, self._runtime.device, number)
        binding = self._bindings[taps]
        binding.feed(feeds, self._dtypes)
        binding.run()
        return binding.outputs()

    @cached_property
    def _dtypes(self) -> dict[str, int]:
        return {value.name or "": int(value.dtype or 0) for value in self._model.graph.inputs}


def _hint(model: ir.Model, error: str) -> str:
    if "IR version" in error:
        return "Older releases take what `graphkit convert --to onnx` writes of the file. "
    doubles = any(value.dtype is not None and value.dtype.name == "DOUBLE" for value in model.graph.inputs)
    if doubles and "implementation" in error:
        return "It has no float64 kernel for that operator; run it in float32. "
    return ""
