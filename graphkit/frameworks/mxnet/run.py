"""MXNet as a runtime: the real one, in a process of its own."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import math
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from graphkit.errors import ExecutionError, FeedError, InputError, MissingError
from graphkit.frameworks.base import EXECUTION, Adam, Step
from graphkit.frameworks.feeds import (
    check_feeds,
    check_gradient_taps,
    check_seeds,
    check_taps,
    check_targets,
    inner_tensors,
)
from graphkit.frameworks.mxnet.answers import as_declared, is_scalar
from graphkit.frameworks.mxnet.carried import fed
from graphkit.ir import params
from graphkit.ir.training import losses
from graphkit.ops.layout import restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Ability, Arrays, Batch, Execution, Mode, Rule, Setting
    from graphkit.frameworks.mxnet.form import Form
    from graphkit.frameworks.mxnet.worker.client import Worker
    from graphkit.ops.mxgraph import MxRef

__all__ = ["RUNTIME", "MxRuntime", "MxSession"]

PYTHON_VARIABLE = "GRAPHKIT_MXNET_PYTHON"
LIMIT_VARIABLE = "GRAPHKIT_MXNET_TIMEOUT"
_LIMIT = 600.0
_DISTRIBUTIONS = ("mxnet", "mxnet-mkl", "mxnet-native")


@dataclass(frozen=True, slots=True)
class MxRuntime:
    """MXNet 1.x on the CPU.

    Attributes:
        fast: Whether MXNet keeps its default settings, for timing; its numbers are then not always right.
        fuses: Whether it fuses graphs where it is fast. Symbols of integers are run fast, which they need, and unfused.
        threads: Threads that one operator may use; None for as many as MXNet takes.
    """

    name: ClassVar[str] = "mxnet"
    label: ClassVar[str] = "MXNet"
    can: ClassVar[frozenset[Ability]] = frozenset({"forward", "taps", "backward", "train"})
    native: ClassVar[str] = "mxnet"
    follows: ClassVar[frozenset[Setting]] = frozenset({"threads", "fast"})
    fast: bool = False
    fuses: bool = True
    threads: int | None = None

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and the command that installs it."""
        try:
            self.worker()
        except (MissingError, ExecutionError, InputError) as error:
            return str(error).rstrip(".")
        return None

    def version(self) -> str:
        """Version of MXNet and of the Python that runs it.

        Raises:
            MissingError: MXNet is not installed.
            ExecutionError: It does not start.
        """
        if interpreter() == sys.executable:
            for name in _DISTRIBUTIONS:
                with suppress(importlib.metadata.PackageNotFoundError):
                    return f"mxnet {importlib.metadata.version(name)} (Python {sys.version.split()[0]})"
        info = self.worker().info
        return f"mxnet {info['mxnet']} (Python {info['python']}, {interpreter()})"

    def worker(self) -> Worker:
        """The process that runs MXNet, started when there is none.

        Raises:
            MissingError: MXNet is not installed.
            ExecutionError: It does not start.
        """
        from graphkit.frameworks.mxnet.worker.client import worker

        return worker(interpreter(), fast=self.fast, fuses=self.fuses, threads=self.threads)

    def open(
        self, model: ir.Model, *, mode: Mode = "eval", native: bool = True, execution: Execution = EXECUTION
    ) -> MxSession:
        """Open a canonical model.

        Raises:
            UnsupportedError: Nodes that MXNet cannot express.
            MissingError: MXNet is not installed, or does not start.
            ExecutionError: MXNet refuses the symbol.
        """
        if (problem := self.missing()) is not None:
            raise MissingError(f"MXNet is not available: {problem}.")
        from graphkit.frameworks.mxnet.form import form_of

        form = form_of(model, native, dropout=mode != "train-no-dropout")
        fast = self.fast or execution.fast
        runtime = MxRuntime(fast or form.quantized, fast if form.quantized else self.fuses, execution.threads)
        return MxSession(runtime, model, form, train=mode != "eval")


class MxSession:
    """A model opened in MXNet. After a crash the next use opens it again in a new process."""

    def __init__(self, runtime: MxRuntime, model: ir.Model, form: Form, *, train: bool) -> None:
        self._runtime = runtime
        self._model = model
        self._form = form
        self._train = train
        self._limit = time_limit()
        self._worker: Worker | None = None
        self._number = 0
        self._states: dict[str, npt.NDArray[np.generic]] = {}
        self._connected()

    @property
    def tappable(self) -> frozenset[str]:
        """Names of the values that are, in MXNet's form of the model, each an output of an operator of its own."""
        return frozenset(name for name in inner_tensors(self._model) if name in self._form.inner)

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Outputs of the graph, and the values named in ``taps``.

        The symbol of a model in training form gives no losses: MXNet's output layers compute their gradients only.

        Raises:
            FeedError: A feed is missing, unknown, or of the wrong shape or dtype, or MXNet has no such arrays; a tap
                names no value, or one that MXNet's form of the model does not have.
            ExecutionError: MXNet refused, crashed or took too long.
        """
        checked, given = self._feeds(feeds)
        tapped = check_taps(self._model, taps)
        known: dict[str, npt.NDArray[np.generic]] = dict(checked)
        known.update({v.name or "": np.asarray(v.const_value.numpy()) for v in tapped if v.const_value is not None})
        outputs = {value.name or "": value for value in self._outputs()}
        inner = {v.name or "": v for v in tapped if v.name not in known and v.name not in outputs}
        for name in inner:
            if name not in self._form.values:
                raise FeedError(
                    f"MXNet's form of the model does not compute {name!r}, so it cannot be tapped there; tap "
                    "another value."
                )
        heads = self._form.running(list(inner), train=self._train)
        _, found = self._ask("forward", heads, given)
        values = [*outputs.values(), *inner.values()]
        known.update({value.name or "": as_declared(value, found[str(number)]) for number, value in enumerate(values)})
        return {name: known[name] for name in dict.fromkeys([*outputs, *taps])}

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Gradients of Σ⟨seed, output⟩ in every float input and every parameter, by IR value name.

        In training mode :meth:`states` then gives the auxiliary states after the step; the session itself keeps its
        own, so that equal calls give equal answers.

        Raises:
            FeedError: As :meth:`forward`, also for the seeds; a tap is not :attr:`tappable`, or no float.
            ExecutionError: MXNet refused, crashed or took too long.
        """
        checked, given = self._feeds(feeds)
        tapped = {value.name or "": value for value in check_gradient_taps(self._model, taps, self.tappable)}
        given.update(self._cotangents(seeds))
        wanted = {value.name or "": self._variable(value.name or "") for value in self._differentiable()}
        fields: dict[str, Any] = {"wrt": list(wanted.values())}
        marks: dict[str, str] = {}
        if tapped:
            fields["symbol"], marks = self._form.marked(list(tapped))
            fields["measure"] = self._form.symbol([self._form.inner[name] for name in marks])
            fields["marks"] = list(marks.values())
        _, found = self._ask("backward", self._form.slopes, given, **fields)
        self._states = {key.partition(":")[2]: array for key, array in found.items() if key.startswith("state:")}
        gradients = self._gradients(checked, found)
        for name, mark in marks.items():
            gradient = found[f"grad:{mark}"]
            gradients[name] = gradient.reshape(()) if is_scalar(tapped[name], gradient) else gradient
        return gradients

    def train(self, batches: Iterable[Batch], rule: Rule) -> Iterator[Step]:
        """Train with MXNet's own optimizer from the model's arrays, a step for each batch; the session does not change.

        Raises:
            FeedError: A feed or a target is missing, unknown, or of the wrong shape or dtype.
            ExecutionError: MXNet refused, crashed or took too long.
        """
        worker = self._connected()
        header, _ = worker.request(
            "begin",
            limit=self._limit,
            model=self._number,
            symbol=self._form.symbol(self._form.slopes),
            wrt=[self._variable(value.name or "") for value in self._parameters()],
            frozen=[
                self._variable(value.name or "") for value in params.of_kind(self._model, "buffer") if _is_float(value)
            ],
            optimizer="adam" if isinstance(rule, Adam) else "sgd",
            rule=dataclasses.asdict(rule),
        )
        try:
            for number, batch in enumerate(batches, 1):
                yield self._step(worker, header["trainer"], batch, _settings(rule, number))
        finally:
            if worker.alive:
                with suppress(ExecutionError):
                    worker.request("end", limit=self._limit, trainer=header["trainer"])

    def _step(self, worker: Worker, trainer: int, batch: Batch, settings: Mapping[str, float]) -> Step:
        _, given = self._feeds(batch.feeds)
        outputs = self._outputs()
        order = [value.name or "" for value in outputs]
        targets = check_targets(self._model, batch.targets, batch.loss)
        given.update({f"target:{order.index(name)}": target for name, target in targets.items()})
        ends = {name: 1.0 for name in losses(self._model) if name in order}
        if self._form.lacking:
            ends = {name: float(number in self._form.injecting) for number, name in enumerate(order)}
        _, found = worker.request(
            "step",
            given,
            limit=self._limit,
            trainer=trainer,
            fill=[name for name in self._form.labels if name not in given],
            settings=settings,
            loss=batch.loss,
            weight=batch.weight,
            scales={str(order.index(name)): batch.scales[name] for name in targets},
            cotangents={str(order.index(name)): number for name, number in ends.items()},
        )
        computed = {v.name or "": as_declared(v, found[str(number)]) for number, v in enumerate(outputs)}
        loss = found["loss"].reshape(()) if "loss" in found else None
        if loss is None and not self._form.lacking:
            loss = np.sum([computed[name] for name in ends], axis=0)
        values = {key.partition(":")[2]: array for key, array in found.items() if key.startswith("value:")}
        parameters: dict[str, npt.NDArray[np.generic]] = {}
        for value in self._parameters():
            name, stored = value.name or "", value.const_value
            assert stored is not None
            held = values.get(self._variable(name))
            parameters[name] = stored.numpy() if held is None else self._restored(name, held, stored.shape.numpy())
        buffers = {v.name or "": self._variable(v.name or "") for v in params.of_kind(self._model, "buffer")}
        statistics = {name: values[variable] for name, variable in buffers.items() if variable in values}
        return Step(computed, loss, parameters, statistics, unbiased=False)

    def _restored(self, name: str, array: npt.NDArray[np.generic], shape: Sequence[int]) -> npt.NDArray[np.generic]:
        """What MXNet has of an input or parameter in the model's own layout."""
        try:
            return restore(array, self._form.derived.get(self._variable(name), ()), shape)
        except ValueError as error:
            ours, theirs = ("×".join(map(str, sizes)) or "scalar" for sizes in (shape, array.shape))
            raise ExecutionError(
                f"MXNet has {name!r} as {theirs}, which is no layout of the model's {ours}: its symbol and the model "
                f"are not of the same parameters. Give the parameters that were saved with the symbol."
            ) from error

    def states(self) -> dict[str, npt.NDArray[np.generic]]:
        """BatchNorm's moving statistics after the last backward pass in training mode, by IR value name."""
        names = {value.name or "": self._variable(value.name or "") for value in params.of_kind(self._model, "buffer")}
        return {name: self._states[variable] for name, variable in names.items() if variable in self._states}

    def _cotangents(self, seeds: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """The checked cotangents, as MXNet's process calls them."""
        cotangents = check_seeds(self._model, seeds)
        for name in self._form.lacking:
            if not (cotangents.pop(name) == 1).all():
                raise FeedError(
                    f"MXNet's output layers give the gradient of loss {name!r} for the cotangent 1 only; give ones "
                    "for it."
                )
        order = [value.name for value in self._outputs()]
        return {f"seed:{order.index(name)}": seed for name, seed in cotangents.items()}

    def _gradients(self, feeds: Arrays, found: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """The gradients among what MXNet's process answered, by IR value name."""
        gradients: dict[str, npt.NDArray[np.generic]] = {}
        for value in self._differentiable():
            name = value.name or ""
            stored = value.const_value
            shape = feeds[name].shape if stored is None else stored.shape.numpy()
            gradient = found.get(f"grad:{self._variable(name)}")
            if gradient is None:  # nothing that the outputs need reads it
                gradients[name] = np.zeros(shape, feeds[name].dtype if stored is None else stored.dtype.numpy())
            else:
                gradients[name] = self._restored(name, gradient, tuple(shape))
        return gradients

    def close(self) -> None:
        """Free what MXNet's process holds."""
        if self._worker is not None and self._worker.alive:
            with suppress(ExecutionError):
                self._worker.request("close", limit=self._limit, model=self._number)
        self._worker = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _connected(self) -> Worker:
        if self._worker is None or not self._worker.alive:
            self._worker = self._runtime.worker()
            header, _ = self._worker.request(
                "open",
                self._form.arrays,
                limit=self._limit,
                symbol=self._form.symbol(self._form.heads),
                written=self._form.written,
                np_shape=self._form.np_shape,
            )
            self._number = header["model"]
        return self._worker

    def _ask(
        self, command: str, heads: Sequence[MxRef], arrays: Mapping[str, npt.NDArray[np.generic]], **fields: Any
    ) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.generic]]]:
        worker = self._connected()
        return worker.request(
            command,
            arrays,
            limit=self._limit,
            model=self._number,
            fill=[name for name in self._form.labels if name not in arrays],
            train=self._train,
            seed=0,
            **{"symbol": self._form.symbol(heads), **fields},
        )

    def _feeds(self, feeds: Arrays) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, npt.NDArray[np.generic]]]:
        """The checked feeds by IR name, and what MXNet is given, by variable; labels may be fed, too."""
        labels = {name: np.asarray(array) for name, array in feeds.items() if name in self._form.labels}
        checked = check_feeds(self._model, {name: array for name, array in feeds.items() if name not in labels})
        given = {self._variable(name): fed(name, array) for name, array in checked.items()}
        if self._form.numbers_for_truths:
            given = {name: array.astype(np.float32) if array.dtype == bool else array for name, array in given.items()}
        return checked, {**labels, **given}

    def _variable(self, name: str) -> str:
        return self._form.variables.get(name, name)

    def _outputs(self) -> list[ir.Value]:
        """The outputs that MXNet computes."""
        return [value for value in self._model.graph.outputs if value.name not in self._form.lacking]

    def _differentiable(self) -> list[ir.Value]:
        """Float inputs and parameters."""
        inputs = [v for v in self._model.graph.inputs if v.dtype is None or v.dtype.is_floating_point()]
        return [*inputs, *self._parameters()]

    def _parameters(self) -> list[ir.Value]:
        """Float parameters."""
        return [value for value in params.of_kind(self._model, "parameter") if _is_float(value)]


def _is_float(value: ir.Value) -> bool:
    return value.const_value is not None and value.const_value.dtype.is_floating_point()


def interpreter() -> str:
    """The Python that runs MXNet: that of ``GRAPHKIT_MXNET_PYTHON``, else this one.

    Raises:
        MissingError: There is no such program, or this Python has no MXNet.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        found = shutil.which(str(Path(named).expanduser()))
        if found is None:
            raise MissingError(
                f"{PYTHON_VARIABLE} is {named!r}, which is no program; set it to a Python that has MXNet."
            )
        return found
    spec = importlib.util.find_spec("mxnet")
    if spec is None or spec.origin is None:
        raise MissingError(
            f"MXNet is not installed in this Python; run: pip install 'graphkit[mxnet]' (on Linux x86-64 with Python "
            f"3.11 or 3.12), or set {PYTHON_VARIABLE} to a Python that has MXNet 1.x."
        )
    return sys.executable


def time_limit() -> float:
    """Seconds that one request to MXNet may take: ``GRAPHKIT_MXNET_TIMEOUT``, else 600.

    Raises:
        InputError: The variable is not a positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(text) if text else _LIMIT
    except ValueError:
        limit = -1.0
    if not limit > 0:
        raise InputError(f"{LIMIT_VARIABLE} is {text!r}; it must be a positive number of seconds.")
    return limit


def _settings(rule: Rule, step: int) -> dict[str, float]:
    """What MXNet's optimizer is set to for a step, counted from 1: its Adam adds ε to √v instead of √v̂."""
    if not isinstance(rule, Adam):
        return {}
    rate, epsilon = rule.at(step)
    return {"lr": rate, "epsilon": epsilon * math.sqrt(1 - rule.beta2**step)}


RUNTIME = MxRuntime()
