"""Parity in tests: an assertion that runs anywhere. In pytest, :mod:`graphkit.pytest_plugin` adds to it.

from graphkit.testing import assert_parity

def test_the_exported_model_computes_and_trains_as_the_module_does():
    assert_parity(Net(), "net.onnx", torch.randn(4, 3, 32, 32), backward=True)
"""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import InputSpec, Rule, Runtime
    from graphkit.parity.tolerances import Tolerances
    from graphkit.report.report import Report

    Observer = Callable[[Report, ir.Model], None]

__all__ = ["assert_parity", "observed", "shapes_and_samples"]

_FAILURES: Final = 12
"""Failed checks that a message shows."""
_NEAREST: Final = 3
"""Passed checks of each group that it shows."""
_WIDTH: Final = 100
_DESCRIBED: Final = (".onnx", ".pt2")
"""Suffixes of files that say themselves what inputs they have."""
_SHAPE_TYPES: Final = (int, type(None))

_observers: list[Observer] = []


def assert_parity(
    model_a: Any,
    model_b: Any = None,
    inputs: Any = None,
    *,
    on: str | Sequence[str | Runtime] = (),
    backward: bool | None = None,
    mode: str | None = None,
    train_steps: int | None = None,
    rule: Rule | None = None,
    loss: str = "",
    dtype: str | None = None,
    batches: Sequence[int] = (),
    seeds: Sequence[int] | None = None,
    taps: bool | None = None,
    tolerances: Tolerances = (),
    baseline: str | Path | None = None,
) -> Report:
    """Assert that two models, or one on several runtimes, compute the same; with ``backward``, the same gradients.

    Options are those of :func:`graphkit.verify`, which says what is compared, what counts as equal, and what holds
    where an option is None.

    Args:
        model_a: The reference: what :func:`graphkit.load` takes (a file, ``"package.module:callable"``, an
            ``nn.Module``, a Gluon block, …) or an :class:`onnx_ir.Model`.
        model_b: What is to compute the same; None for the runtimes of graphkit's conversions of ``model_a``.
        inputs: What the models are fed. Arrays (of numpy, torch or MXNet), in a tuple or list in the order of the
            inputs or in a dict by their names, a single one as it is; a list of dicts is compared one after another.
            They are the example inputs that modules are captured with, too. Or the inputs' shapes, as
            ``graphkit.load`` takes them (``"ids:1x16:int64"``, ``(1, 3, 224, 224)`` in a list), which are filled with
            seeded numbers. None where the models say themselves what inputs they have.
        on: Runtimes, in a list or separated by commas.
        backward: Whether the gradients of every input and parameter are compared too.
        mode: ``"eval"`` or ``"train"``: how BatchNorm and Dropout behave.
        train_steps: How many steps of training are made and compared too.
        rule: How they are made; None for SGD.
        loss: What they make smaller: ``"given"``, ``"mse"`` or ``"cross-entropy"``; empty for what the model has.
        dtype: Precision, ``"float32"`` or ``"float64"``.
        batches: Sizes of a free batch dimension, each compared.
        seeds: Seeds of inputs and cotangents, each compared.
        taps: Whether every value between two nodes is compared too.
        tolerances: Bounds instead of the measured ones: ``{"gradient": "8x", "layer4.*": 1e-3}``, or what else
            :func:`graphkit.parity.tolerances.parse_tolerances` takes.
        baseline: File of recorded numbers that ``graphkit verify --save-baseline`` wrote, to compare with.

    Returns:
        What was found.

    Raises:
        AssertionError: They are not in parity; the message shows what is farthest off.
        GraphkitError: The comparison could not be made: a file, shape or option is wrong, or a runtime missing.
    """
    __tracebackhide__ = True
    from graphkit.parity.tolerances import parse_tolerances
    from graphkit.parity.verify import verify

    specs, samples = shapes_and_samples(inputs)
    first = _loaded(model_a, specs, samples)
    second = None if model_b is None else _loaded(model_b, specs, samples, first)
    options: dict[str, Any] = {
        "on": [name.strip() for name in on.split(",")] if isinstance(on, str) else list(on),
        "backward": backward,
        "mode": mode,
        "train_steps": train_steps,
        "rule": rule,
        "loss": loss,
        "dtype": dtype,
        "batches": tuple(batches),
        "seeds": None if seeds is None else tuple(seeds),
        "taps": taps,
        "tolerances": parse_tolerances(tolerances),
        "baseline": baseline,
    }
    report = verify(first, second, inputs=specs, data=samples or None, **options)
    if _observers:
        _observers[-1](report, first)
    if not report.passed:
        raise AssertionError(_message(report, (model_a, model_b), options, given=bool(samples)))
    return report


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Tell ``observer``, in place of an outer one, of the report of each :func:`assert_parity` and its first model."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.pop()


def shapes_and_samples(inputs: Any) -> tuple[list[InputSpec], list[dict[str, Any] | list[Any]]]:
    """The shapes, or else the samples of arrays by name or in order, that :func:`assert_parity` is given as inputs."""
    from graphkit.frameworks.given import input_spec
    from graphkit.parity.fit import as_array

    def array(value: Any) -> npt.NDArray[Any]:
        return as_array("inputs", value)

    if inputs is None:
        return [], []
    if isinstance(inputs, str):
        inputs = [inputs]
    if isinstance(inputs, Mapping):
        return [], [{str(name): array(each) for name, each in inputs.items()}]
    if not isinstance(inputs, Sequence):
        return [], [[array(inputs)]]
    if not inputs:
        raise InputError("inputs is empty; give arrays or shapes, or leave it out where the models describe theirs.")
    if _is_shape(inputs):
        raise InputError(f"inputs is {inputs!r}; give shapes in a list, one for each input: inputs=[{inputs!r}].")
    if all(isinstance(each, Mapping) for each in inputs):
        return [], [{str(name): array(value) for name, value in each.items()} for each in inputs]
    if all(_is_shape(each) for each in inputs):
        return [input_spec(each) for each in inputs], []
    if any(isinstance(each, str | Mapping) for each in inputs):
        raise InputError("inputs mixes arrays with texts or dicts; give arrays alone, shapes alone or dicts alone.")
    return [], [[array(leaf) for leaf in _leaves(inputs)]]


def _is_shape(value: Any) -> bool:
    from graphkit.frameworks.base import InputSpec

    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(isinstance(dim, _SHAPE_TYPES) for dim in value)
    return isinstance(value, str | InputSpec)


def _leaves(value: Any) -> list[Any]:
    """The arrays in nested tuples and lists, as the states of recurrent networks are given."""
    if isinstance(value, tuple | list):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]


def _loaded(model: Any, specs: Sequence[InputSpec], samples: Sequence[Any], first: ir.Model | None = None) -> ir.Model:
    """Load a model; what does not describe its inputs is given the shapes of the first sample.

    Args:
        model: What the caller gave.
        specs: Shapes that the caller gave.
        samples: Arrays that the caller gave.
        first: The model whose names go with the arrays, where it is another one.
    """
    import onnx_ir as ir

    from graphkit.frameworks.convert import load
    from graphkit.ir.canonical import canonical
    from graphkit.ir.origin import source_of

    if isinstance(model, ir.Model):
        return model if source_of(model) is not None else canonical(model.clone())
    describes_itself = isinstance(model, str | Path) and Path(model).suffix in _DESCRIBED
    if samples and not describes_itself:
        specs = _specs(samples[0], first)
    return load(model, inputs=specs)


def _specs(sample: Mapping[str, Any] | Sequence[Any], first: ir.Model | None) -> list[InputSpec]:
    """The shapes of a sample's arrays; without names, in the order of its inputs, where a model may have other names.

    Floats are of whatever precision the model computes in.
    """
    from graphkit.frameworks.base import InputSpec

    pairs = list(sample.items()) if isinstance(sample, Mapping) else [("", array) for array in sample]
    if first is not None:
        places = {value.name: place for place, value in enumerate(first.graph.inputs)}
        pairs = [("", array) for _, array in sorted(pairs, key=lambda pair: places.get(pair[0], 0))]
    return [InputSpec(name, array.shape, "" if array.dtype.kind in "fV" else array.dtype.name) for name, array in pairs]


def _message(report: Report, models: tuple[Any, Any], options: Mapping[str, Any], *, given: bool) -> str:
    """The title, the worst rows and how to go on."""
    from rich.console import Console, Group

    from graphkit.report import wording
    from graphkit.report.table import table

    failed = wording.worst_first(check for check in report.checks if check.verdict == "fail")
    rest = [check for check in report.checks if check.verdict != "fail"]
    left_out = len(failed) - _FAILURES
    shown = replace(report, checks=(*failed[:_FAILURES], *rest), environment={})
    *parts, _ = table(shown, worst=_NEAREST).renderables  # the last counts what is shown, not what was found
    lines = [f"and {wording.count(left_out, 'more failed check')}"] if left_out > 0 else []
    lines.append(wording.verdict(report))
    if command := _command(models, options):
        fed = " (add --feed NAME=FILE.npy to feed it the same)" if given else ""
        lines.append(f"To find the first node that differs: {command}{fed}")
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, highlight=False)
    console.print(Group(*parts))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
    return "\n".join([*(line.rstrip() for line in text.splitlines()), *lines])


def _command(models: tuple[Any, Any], options: Mapping[str, Any]) -> str:
    """The command that finds where a difference begins; empty unless the models are what a command can be given."""
    sources = [model for model in models if model is not None]
    runtimes = options["on"]
    if not all(isinstance(each, str | os.PathLike) for each in sources):
        return ""
    words = ["graphkit", "bisect", *map(os.fspath, sources)]
    if runtimes and all(isinstance(each, str) for each in runtimes):
        words += ["--on", ",".join(runtimes)]
    words += ["--backward"] if options["backward"] else []
    for name in ("mode", "dtype", "batches", "seeds"):
        if value := options[name]:
            words += [f"--{name}", value if isinstance(value, str) else ",".join(map(str, value))]
    words += [word for each in options["tolerances"] for word in ("--tol", str(each))]
    return shlex.join(words)
