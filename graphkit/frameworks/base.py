"""What a framework and a runtime are to the rest of graphkit."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self, TypeAlias, get_args

import graphkit.frameworks
from graphkit.errors import InputError
from graphkit.passes.gradient.optimizers import Adam, Sgd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.support import Support
    from graphkit.frameworks.timing import Timer
    from graphkit.provenance import Recording

    Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]

__all__ = [
    "EXECUTION",
    "About",
    "Adam",
    "Batch",
    "Constant",
    "Execution",
    "Framework",
    "InputSpec",
    "Loss",
    "Mode",
    "ReadOptions",
    "Rule",
    "Runtime",
    "Session",
    "Setting",
    "Sgd",
    "Step",
    "TrainableSession",
    "WriteOptions",
    "frameworks",
    "runtime_named",
    "runtimes",
    "timers",
]

Mode: TypeAlias = Literal["eval", "train", "train-no-dropout"]
"""How BatchNorm and Dropout behave: as in inference, as in training, or in training that draws nothing at random."""
Optimization: TypeAlias = Literal["none", "basic", "extended", "all"]
"""How far ONNX Runtime optimises graphs; its own names of the levels."""
Ability: TypeAlias = Literal["forward", "taps", "backward", "train"]
Setting: TypeAlias = Literal["threads", "fast", "optimization", "provider_options", "binding"]
"""A field of :class:`Execution`."""


Rule: TypeAlias = Sgd | Adam
"""How a step of training follows from gradients."""
Loss: TypeAlias = Literal["mse", "cross-entropy"]
"""What is made smaller where a model has no losses of its own; see :class:`Batch`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step of training is made on.

    Its loss is the sum of the model's own losses (:func:`graphkit.ir.training.losses`), whose gradients are taken times
    ``weight``. With targets it is summed over the outputs that have one, and itself taken times ``weight``: for
    ``"mse"`` half the mean squared distance of ``scale · output`` from its target; for ``"cross-entropy"`` the mean of
    -log softmax(scale · output)[target] along axis 1, targets being classes.

    Attributes:
        feeds: Inputs.
        targets: Target of each float output, of its shape and dtype; for cross-entropy an int64 class for each place,
            that is of the output's shape without axis 1, and none for outputs of fewer than two axes. Empty for a model
            with losses.
        scales: Scale of each output that has a target.
        weight: Weight of the sum, or of the gradients of the model's own losses.
        loss: What the targets are for.
    """

    feeds: Arrays
    targets: Arrays = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0
    loss: Loss = "mse"


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of training gave.

    Attributes:
        outputs: Outputs before the step; without the losses that a runtime knows the gradients of only.
        loss: What was made smaller, a 0-d array; None where the runtime knows its gradient only.
        parameters: Every float parameter after the step.
        buffers: BatchNorm's running statistics after the step, as far as the runtime has them.
        unbiased: Whether running variances were moved towards the batch's unbiased variance, which is n / (n - 1) of
            the biased one for n numbers.
    """

    outputs: Arrays
    loss: npt.NDArray[np.generic] | None
    parameters: Arrays
    buffers: Arrays
    unbiased: bool


@dataclass(frozen=True, slots=True)
class Execution:
    """How a runtime is to execute a model, as far as it has such a setting.

    Attributes:
        threads: Threads that one operator may use; None for as many as the runtime takes by itself (ONNX Runtime: one
            per processor).
        fast: The runtime's own settings, for speed, rather than those that give the same numbers again and are compared
            in parity: MXNet's oneDNN and graph fusion, ONNX Runtime's kernels that are not deterministic.
        optimization: How far ONNX Runtime optimises the graph.
        provider_options: Options of ONNX Runtime's execution provider, by name.
        binding: Whether feeds are copied to the device, and outputs from it, apart from the run (ONNX Runtime's IO
            binding).

    Raises:
        InputError: There are no such threads, or no such level.
    """

    threads: int | None = None
    fast: bool = False
    optimization: Optimization = "all"
    provider_options: tuple[tuple[str, str], ...] = ()
    binding: bool = False

    def __post_init__(self) -> None:
        """Refuse what no runtime can follow."""
        if self.threads is not None and self.threads < 1:
            raise InputError(f"A runtime cannot execute on {self.threads} threads; give 1 or more.")
        if self.optimization not in get_args(Optimization):
            known = ", ".join(get_args(Optimization))
            raise InputError(f"ONNX Runtime has no optimisation level {self.optimization!r}; its levels are {known}.")


EXECUTION: Final = Execution()
"""How runtimes execute models where nothing else is said, which is how they are compared."""


class Session(Protocol):
    """A model opened on a runtime. All arrays are keyed by IR value name; a context manager that frees it."""

    @property
    def tappable(self) -> frozenset[str]:
        """Names of the values between nodes that can be tapped: tensors of the main graph that the runtime computes."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What users must know of how the model is executed, as sentences: what runs elsewhere than was asked for."""
        ...

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Outputs of the graph, and the values named in ``taps``.

        A sequence is a list of arrays, an optional value that is absent is None.

        Raises:
            FeedError: A feed is missing, unknown, or of the wrong shape or dtype.
            ExecutionError: The runtime refused or crashed.
        """
        ...

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Gradients of Σ⟨seed, output⟩ in every float input and every parameter, by IR value name.

        Args:
            feeds: Inputs.
            seeds: Cotangent of each float output, of the output's shape and dtype.
            taps: Float values between nodes, of :attr:`tappable`, in which gradients are given too: those through all
                that reads a value; zeros where the outputs do not depend on it.
        """
        ...

    def close(self) -> None:
        """Free what the session holds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class TrainableSession(Session, Protocol):
    """What a runtime that can ``"train"`` opens."""

    def train(self, batches: Iterable[Batch], rule: Rule) -> Iterator[Step]:
        """Train from the model's own arrays, one step for each batch; the session itself does not change.

        Parameters that the loss does not depend on have a gradient of
        zero, and are decayed.

        Raises:
            FeedError: A feed or a target is missing, unknown, or of the wrong shape or dtype.
            ExecutionError: The runtime refused or crashed.
        """
        ...


class Runtime(Protocol):
    """Something that executes models."""

    @property
    def name(self) -> str:
        """How the command line calls it, e.g. ``"ort-cuda"``."""
        ...

    @property
    def label(self) -> str:
        """How people call it, e.g. ``"ONNX Runtime (CUDA)"``."""
        ...

    @property
    def can(self) -> frozenset[Ability]:
        """What its sessions are able to do."""
        ...

    @property
    def native(self) -> str:
        """The framework whose sources it runs as they are, without conversion; empty for none."""
        ...

    @property
    def follows(self) -> frozenset[Setting]:
        """The settings of :class:`Execution` that it has; it does not look at the others."""
        ...

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and the command that installs it."""
        ...

    def version(self) -> str:
        """Version of the runtime, and its provider or interpreter where that matters."""
        ...

    def open(
        self, model: ir.Model, *, mode: Mode = "eval", native: bool = True, execution: Execution = EXECUTION
    ) -> Session:
        """Open a canonical model.

        Args:
            model: The model; its float dtype (float32, float64, …) is the one computed in.
            mode: How BatchNorm and Dropout behave.
            native: Run the model's own source where this runtime is native to it, rather than the converted form.
            execution: Threads, optimisation and what else the runtime has settings for.

        Raises:
            InputError: The provider has no such option.
            UnsupportedError: Nodes that it cannot run.
            MissingError: The runtime is not installed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """A Python constant that an argument is: True, 3, None.

    Attributes:
        value: The constant.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What ``--input NAME:2x3x224x224[:dtype]`` says.

    Attributes:
        name: Name of the input; empty means "the next one in order". A tensor within an argument is called by the steps
            that lead to it: ``features.0``, ``pair.left``, ``past_key_values.0.key``.
        shape: Dimensions; None is a free dimension.
        dtype: Element type as numpy names it, empty where not given.
        constant: What the argument is where it is no tensor, which only a function of Python's can have; it has no
            shape then.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = ""
    constant: Constant | None = None

    def __str__(self) -> str:
        """The specification as the command line spells it; of a constant that is no number or text, its type."""
        if self.constant is not None:
            value = self.constant.value
            plain = value is None or isinstance(value, bool | int | float | str)
            return f"{self.name}={value!r}" if plain else f"{self.name}={type(value).__name__}"
        shape = "x".join("?" if size is None else str(size) for size in self.shape)
        return ":".join(filter(None, (self.name, shape or "scalar", self.dtype)))


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a source.

    Attributes:
        inputs: Given inputs.
        params: Parameter file of an MXNet symbol, where it is not the newest beside it; or weights of a module that a
            callable makes.
        trust_pickle: Whether pickled modules may be loaded, which executes code from the file.
        trust_code: Whether the source of a folder may do more than compute with torch.
        dynamic_batch: Whether the first dimension of the inputs is left free.
        train: Whether MXNet's output layers are read in their training form, with labels and losses.
        fixed: Inputs that become constants, with their values.
        shared: Whether the model may hold the weights of an object itself, which must not change as long as it is used,
            rather than copies.
        warn: Receives deviations that the user must know of.
    """

    inputs: tuple[InputSpec, ...] = ()
    params: Path | None = None
    trust_pickle: bool = False
    trust_code: bool = False
    dynamic_batch: bool = True
    train: bool = False
    fixed: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    shared: bool = False
    warn: Callable[[str], None] = field(default=lambda _message: None)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write a target.

    Attributes:
        opset: ONNX opset; None is the canonical one.
        shard_size: Bytes that a safetensors file has at most, where one tensor is not more; None for a single file.
        record: The record that the files are to carry; None for none.
        warn: Receives deviations that the user must know of.
    """

    opset: int | None = None
    shard_size: int | None = None
    record: Recording | None = None
    warn: Callable[[str], None] = field(default=lambda _message: None)


@dataclass(frozen=True, slots=True)
class About:
    """What a source says of itself, apart from its graph.

    Attributes:
        kind: What it is, e.g. ``"ONNX model"``.
        facts: What it says, by what it is called: ``{"opset": "ai.onnx 17", "producer": "pytorch"}``.
        files: The files that it is made of; those that it names may not be there.
    """

    kind: str
    facts: Mapping[str, str]
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Framework:
    """One framework: how its files are recognised, read, written and run.

    Attributes:
        name: ``"torch"``, ``"mxnet"`` or ``"onnx"``.
        label: How people call it.
        recognises: Whether a source argument (a path or ``package.module:callable``) looks like one of its own, or an
            object is.
        read: (source, options) -> canonical model.
        look: (source, options, raw) -> a model to be looked at only: what has a canonical form is in it, other nodes
            stay what they are and say why (:mod:`graphkit.ir.untranslated`); where raw, all nodes stay what they are.
            It imports neither torch nor MXNet for a file of theirs that holds a graph.
        about: (source, options, model looked at) -> what the source says of itself.
        write: (model, output, options) -> the files written, whole or not at all; None where it cannot write yet.
        check: (model, options): raises what ``write`` would raise of the model, and writes nothing; None where it
            cannot write yet.
        runtimes: What runs models for it.
        operators: All operators of it, with what they are converted to.
        timers: What is timed for it.
    """

    name: str
    label: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any, ReadOptions], ir.Model]
    look: Callable[[Any, ReadOptions, bool], ir.Model]
    about: Callable[[Any, ReadOptions, ir.Model], About]
    write: Callable[[ir.Model, Path, WriteOptions], list[Path]] | None
    check: Callable[[ir.Model, WriteOptions], None] | None
    runtimes: tuple[Runtime, ...]
    operators: Callable[[], list[Support]]
    timers: Callable[[], tuple[Timer, ...]]


@cache
def frameworks() -> dict[str, Framework]:
    """Every framework, by name: each package beside this module that defines ``FRAMEWORK``."""
    found: dict[str, Framework] = {}
    for module in pkgutil.iter_modules(graphkit.frameworks.__path__, "graphkit.frameworks."):
        if module.ispkg:
            framework: Framework = importlib.import_module(module.name).FRAMEWORK
            found[framework.name] = framework
    return found


def timers() -> dict[str, Timer]:
    """Everything that can be timed, by the name the command line gives it."""
    return {timer.name: timer for framework in frameworks().values() for timer in framework.timers()}


def runtimes() -> dict[str, Runtime]:
    """Every runtime, by the name the command line gives it."""
    return {runtime.name: runtime for framework in frameworks().values() for runtime in framework.runtimes}


def runtime_named(name: str) -> Runtime:
    """The runtime that the command line calls so.

    Raises:
        InputError: There is none; the message lists them, and says which name is nearest.
    """
    known = runtimes()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    hint = f" Is it meant to be {near[0]!r}?" if near else ""
    raise InputError(f"No runtime is called {name!r}; there are {', '.join(sorted(known))}.{hint}")
