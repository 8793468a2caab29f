"""A model run on one runtime."""

from __future__ import annotations

import statistics
import time
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from graphkit.errors import InputError, MissingError
from graphkit.files import whole
from graphkit.frameworks.base import EXECUTION, Execution, Mode, runtime_named, runtimes
from graphkit.frameworks.convert import loaded
from graphkit.frameworks.given import input_specs
from graphkit.parity.data import given_data
from graphkit.parity.inputs import draw_inputs, guessed
from graphkit.provenance import recording
from graphkit.running.feeds import read_feeds
from graphkit.stamps import in_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Arrays, InputSpec, Optimization, Runtime, Setting
    from graphkit.frameworks.given import Inputs

__all__ = ["Run", "check_execution", "check_output", "drawn", "execute", "run", "save_outputs"]

_SAID: Final[dict[Setting, str]] = {
    "threads": "number of threads (--threads)",
    "fast": "faster settings (--fast)",
    "optimization": "levels of optimisation (--optimization)",
    "provider_options": "provider options (--provider-option)",
    "binding": "IO binding (--io-binding)",
}


@dataclass(frozen=True, slots=True)
class Run:
    """What running a model gave.

    Attributes:
        outputs: Outputs and tapped values by name; a sequence is a list of arrays, an absent optional value None.
        opened: Seconds that opening took.
        first: Seconds of the first call.
        again: Seconds of each further call.
        notes: What users must know of how it was executed.
    """

    outputs: dict[str, Any]
    opened: float
    first: float
    again: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def median(self) -> float | None:
        """Median of the further calls in seconds; None where there were none."""
        return statistics.median(self.again) if self.again else None


def run(
    source: Any,
    feeds: Any = None,
    *,
    on: str | Runtime = "ort",
    mode: Mode = "eval",
    taps: Sequence[str] = (),
    seed: int = 0,
    batch: int | None = None,
    inputs: Inputs = (),
    threads: int | None = None,
    fast: bool = False,
    optimization: Optimization = "all",
    provider_options: Mapping[str, str] | None = None,
    io_binding: bool = False,
    warn: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run a model once and give its outputs.

    Args:
        source: A model as :func:`graphkit.load` gives it, or anything that it reads.
        feeds: One sample, as :func:`graphkit.parity.data.given_data` takes it: a mapping of arrays by input name, a
            tuple of them in order, an array for a sole input; or what ``--feed`` takes, as a text or a list of texts.
            None for inputs drawn from ``seed``.
        on: The runtime, by name (``"torch"``, ``"mxnet"``, ``"ort"``, ``"ort-cuda"``, ``"reference"``) or as an object.
        mode: How BatchNorm and Dropout behave.
        taps: Values between nodes that are given too.
        seed: Seed of drawn inputs.
        batch: Size of a free batch dimension of drawn inputs; None for 2.
        inputs: Shapes of inputs that the source leaves open, as :func:`graphkit.load` takes them.
        threads: Threads that one operator may use; None for as many as the runtime takes by itself.
        fast: The runtime's own settings, for speed, rather than those in which runtimes are compared.
        optimization: How far ONNX Runtime optimises the graph: ``"none"``, ``"basic"``, ``"extended"`` or ``"all"``.
        provider_options: Options of ONNX Runtime's execution provider.
        io_binding: Whether ONNX Runtime's feeds and outputs are bound to the device.
        warn: Receives what the user must know; None for Python's :mod:`warnings`.

    Returns:
        An array for each output, and each tapped value, by name; a list of them for a sequence, None for an absent
        optional value.

    Raises:
        InputError: There is no such runtime or source, the runtime has no such setting, or there is not one sample.
        FeedError: A feed is missing, unknown, or does not fit its input.
        MissingError: The runtime, or its provider, is not installed.
        UnsupportedError: The runtime cannot express nodes of the model.
        ExecutionError: The runtime refused or crashed.
    """
    if mode not in get_args(Mode):
        raise InputError(f"A model has no mode {mode!r}; there are {', '.join(get_args(Mode))}.")
    if seed < 0 or (batch is not None and batch < 1):
        raise InputError("Inputs are drawn from a seed of 0 or more, for a batch of 1 or more.")
    runtime = runtime_named(on) if isinstance(on, str) else on
    given = tuple((provider_options or {}).items())
    execution = Execution(threads, fast, optimization, given, io_binding)
    check_execution(runtime, execution)
    tell = warn or _warn
    model = loaded(source, inputs=inputs, warn=tell)
    arrays: Arrays
    if feeds is None:
        arrays = drawn(model, seed, batch, input_specs(inputs), tell)
    elif texts := _texts(feeds):
        arrays, _ = read_feeds(texts, model, tell)
    else:
        samples = list(given_data(feeds, model, tell))
        if len(samples) != 1:
            raise InputError(f"A run is fed one sample, {len(samples)} were given; run the model on each of them.")
        arrays = samples[0].feeds
    done = execute(model, arrays, runtime, mode=mode, taps=taps, execution=execution)
    for note in done.notes:
        tell(note)
    return done.outputs


def _texts(feeds: Any) -> list[str]:
    """What names files to feed; empty where something else is given."""
    texts = [feeds] if isinstance(feeds, str | Path) else feeds if isinstance(feeds, list | tuple) else []
    return list(map(str, texts)) if all(isinstance(text, str | Path) for text in texts) else []


def check_execution(runtime: Runtime, execution: Execution) -> None:
    """Refuse settings that a runtime would not look at.

    Raises:
        InputError: The runtime has no such setting; the message says which have.
        MissingError: The runtime is not installed.
    """
    if (problem := runtime.missing()) is not None:
        raise MissingError(f"{runtime.label} is not available: {problem}.")
    for setting, said in _SAID.items():
        if setting not in runtime.follows and getattr(execution, setting) != getattr(EXECUTION, setting):
            able = [name for name, other in runtimes().items() if setting in other.follows]
            raise InputError(f"{runtime.label} has no {said}; {', '.join(able)} have. Leave it out.")


def drawn(
    model: ir.Model, seed: int, batch: int | None, inputs: Sequence[InputSpec], warn: Callable[[str], None]
) -> dict[str, npt.NDArray[np.generic]]:
    """Inputs drawn as for a comparison, with a warning where a size was guessed."""
    found = draw_inputs(model, seed, batch, inputs)
    if told := guessed(model, inputs):
        warn(told)
    return found


def execute(
    model: ir.Model,
    feeds: Arrays,
    runtime: Runtime,
    *,
    mode: Mode = "eval",
    taps: Sequence[str] = (),
    execution: Execution = EXECUTION,
    repeat: int = 0,
) -> Run:
    """Open a model on a runtime, call it, and call it again as often as is asked for.

    Args:
        model: A canonical model; its source is run where the runtime is native to it.
        feeds: An array for each input.
        runtime: The runtime.
        mode: How BatchNorm and Dropout behave.
        taps: Values between nodes that are given too.
        execution: Threads, optimisation, provider options.
        repeat: Number of further calls.

    Raises:
        FeedError: A feed does not fit, or a tap names no value.
        UnsupportedError: The runtime cannot express nodes of the model.
        ExecutionError: The runtime refused or crashed.
    """
    start = time.perf_counter()
    with runtime.open(model, mode=mode, execution=execution) as session:
        opened = time.perf_counter() - start
        start = time.perf_counter()
        outputs = session.forward(feeds, taps)
        first = time.perf_counter() - start
        again = []
        for _ in range(repeat):
            start = time.perf_counter()
            session.forward(feeds, taps)
            again.append(time.perf_counter() - start)
        return Run(outputs, opened, first, tuple(again), session.notes)


def check_output(path: Path) -> None:
    """Refuse a file whose suffix says that it is something else than what is written, before anything is run.

    Raises:
        InputError: It does not end in ``.npz``, or its folder is not there.
    """
    if path.suffix.lower() != ".npz":
        raise InputError(f"Outputs are written as .npz, and {path} is called otherwise; give it that suffix.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path} cannot be written because its folder does not exist; create {path.parent} first.")


def save_outputs(outputs: Mapping[str, Any], path: Path, model: ir.Model | None = None, **options: object) -> list[str]:
    """Write outputs as a file that ``numpy.load`` reads, whole or not at all, the same bytes for the same outputs.

    A member of a sequence is called by the output's name and its place, ``boxes.0``; absent values are left out.
    Element types that numpy lacks are stored as raw bytes, as ``numpy.save`` does.

    Args:
        outputs: An array for each output.
        path: The file.
        model: What gave them, whose record the archive's comment is.
        **options: Options that change them, for the record.

    Returns:
        Names of the arrays in it.

    Raises:
        InputError: The file cannot be written, or its name does not end in ``.npz``.
    """
    check_output(path)
    members = dict(_members(outputs.items()))
    with (
        recording(model, **options) as record,
        whole(path) as (draft,),
        zipfile.ZipFile(draft, "w") as archive,
    ):
        for name, array in members.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _storable(array), allow_pickle=False)  # type: ignore[no-untyped-call]  # numpy says no types of it
        archive.comment = in_zip(record.record())
    return list(members)


def _members(outputs: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, npt.NDArray[np.generic]]]:
    for name, output in outputs:
        if isinstance(output, list):
            yield from _members((f"{name}.{place}", member) for place, member in enumerate(output))
        elif output is not None:
            yield name, output


def _storable(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    if array.dtype.kind == "O":
        return array.astype(str)
    return array if array.dtype.isbuiltin == 1 or array.dtype.kind in "US" else array.view(f"V{array.itemsize}")


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)
