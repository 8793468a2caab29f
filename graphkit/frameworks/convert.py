"""Reading, writing and converting models of any framework."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit import provenance
from graphkit.errors import InputError
from graphkit.files import parse_size, showing
from graphkit.frameworks.base import ReadOptions, WriteOptions, frameworks
from graphkit.frameworks.given import input_specs, spelled
from graphkit.ir.origin import drop_source
from graphkit.ir.weights import check_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.files import Progress
    from graphkit.frameworks.base import Framework
    from graphkit.frameworks.given import Inputs
    from graphkit.provenance import Sources

    Warn = Callable[[str], None]

__all__ = [
    "convert",
    "default_output",
    "framework_of",
    "load",
    "loaded",
    "look",
    "parse_fixed",
    "save",
    "stem_of",
    "writer_of",
]

_SOURCES = (
    "an exported program (x.pt2), a TorchScript archive (x.pt), an ONNX model (x.onnx), an MXNet symbol "
    "(x-symbol.json), a folder of torch source that graphkit wrote or a Python callable that makes a module "
    "(package.module:callable)"
)


def load(
    source: Any,
    *,
    inputs: Inputs = (),
    params: str | Path | None = None,
    trust_pickle: bool = False,
    trust_code: bool = False,
    dynamic_batch: bool = True,
    train: bool = False,
    fixed: Mapping[str, npt.ArrayLike] | None = None,
    warn: Warn | None = None,
) -> ir.Model:
    """Read a model into canonical form.

    Args:
        source: A path, ``"package.module:callable"``, or a framework's own object: a ``torch.nn.Module``, a Gluon
            block, ``(symbol, arg_params, aux_params)`` of MXNet's, ….
        inputs: Inputs that the source does not describe itself: shapes such as ``(2, 3, 224, 224)`` with None for a
            free dimension, in the order of the inputs, or what the command line spells (``"x:2x3x224x224"``,
            ``"ids:1x16:int64"``, with ``?`` for a free dimension), or specifications; or examples, as torch.export
            takes them: arrays, constants, and lists, dictionaries and caches of the transformers library with arrays in
            them. By position in a sequence, or by name in a dictionary:
            ``{"input_ids": ids, "past_key_values": cache, "attention_mask": "2x?:int64"}``.
        params: Parameter file of an MXNet symbol, None for the newest beside it; or the weights of a module that a
            callable makes: a state dict (``.pt``), read without running anything of it, or safetensors.
        trust_pickle: Whether a pickled module may be loaded, which executes code from the file.
        trust_code: Whether the ``model.py`` of a folder is run even where it does more than compute with torch.
        dynamic_batch: Whether the first dimension of the inputs is left free.
        train: Whether MXNet's output layers (SoftmaxOutput, …) are read in their training form: their labels are
            inputs, and each gives the loss that it trains as an output of its own.
        fixed: Inputs that become constants, with their values: the axes, shape or sizes that a model takes as inputs
            and that a target wants in its graph.
        warn: Receives deviations that the user must know of; None for Python's :mod:`warnings`.

    Raises:
        InputError: The source is not there, is nothing that graphkit reads, an input does not fit it, or it has no
            training form.
        FormatError: The file is damaged.
        ParameterError: The parameters do not fit the graph.
        UnsupportedError: Nodes that have no canonical form.
        MissingError: A package that reads such a source is not installed.
    """
    return _loaded(source, _options(inputs, params, trust_pickle, trust_code, dynamic_batch, train, fixed, warn))


def _loaded(source: Any, options: ReadOptions) -> ir.Model:
    framework = framework_of(source)
    _check_train(source, framework, options.train)
    _check_constants(options, framework)
    with _reading(source, options) as sources:
        model = framework.read(source, options)
        sources.attach(model)
    if options.fixed and framework.name != "onnx":  # an ONNX file may need them to be read at all
        _fix(model, options)
    _pin(model, options)
    check_weights(model)
    return model


def loaded(source: Any, **reading: Any) -> ir.Model:
    """A model that :func:`load` gave, as it is; anything else as :func:`load` reads it."""
    import onnx_ir as ir

    return source if isinstance(source, ir.Model) else load(source, **reading)


def look(
    source: Any,
    *,
    inputs: Inputs = (),
    params: str | Path | None = None,
    trust_pickle: bool = False,
    trust_code: bool = False,
    dynamic_batch: bool = True,
    train: bool = False,
    fixed: Mapping[str, npt.ArrayLike] | None = None,
    raw: bool = False,
    warn: Warn | None = None,
) -> ir.Model:
    """Read a model to be looked at: summarised, compared and drawn, whether or not it can be converted.

    What has a canonical form is in it. A node that has none stays what it is, in a domain of its own, and says why
    (:mod:`graphkit.ir.untranslated`); what follows it may lack shapes. A ``.pt2`` file is read without torch, and
    weights that are not there leave a graph without them.

    Args:
        source: As for :func:`load`, and so are the others.
        inputs: Inputs that the source does not describe itself.
        params: Parameter file of an MXNet symbol.
        trust_pickle: Whether a pickled module may be loaded.
        trust_code: Whether the ``model.py`` of a folder may do more than compute.
        dynamic_batch: Whether the first dimension of the inputs is left free.
        train: Whether MXNet's output layers are read in their training form.
        fixed: Inputs that become constants.
        raw: Whether all nodes stay what they are, with the operators and attributes that the file spells.
        warn: Receives what the user must know of; None for Python's :mod:`warnings`.

    Raises:
        InputError: The source is not there, or is nothing that graphkit reads, or an input does not fit it.
        FormatError: The file is damaged, or its graph contradicts itself: a cycle, a reference to nothing.
        MissingError: A package that reads such a source is not installed.
    """
    options = _options(inputs, params, trust_pickle, trust_code, dynamic_batch, train, fixed, warn)
    framework = framework_of(source)
    _check_train(source, framework, train)
    _check_constants(options, framework)
    with _reading(source, options) as sources:
        model = framework.look(source, options, raw)
        sources.attach(model)
    if fixed and framework.name != "onnx":  # as in load
        _fix_looked_at(model, options, raw)
    return model


@contextmanager
def _reading(source: Any, options: ReadOptions) -> Iterator[Sources]:
    """Note what is read meanwhile as the source's, for the records of what will be made of it."""
    path = Path(os.path.abspath(source)) if isinstance(source, str | Path) and Path(source).exists() else None
    named = source if isinstance(source, str) else type(source).__name__
    with provenance.reading(named if path is None else path.name, spelled(options)) as sources:
        if path is not None:
            provenance.note(path)
        yield sources


def _options(
    inputs: Inputs,
    params: str | Path | None,
    trust_pickle: bool,
    trust_code: bool,
    dynamic_batch: bool,
    train: bool,
    fixed: Mapping[str, npt.ArrayLike] | None,
    warn: Warn | None,
) -> ReadOptions:
    return ReadOptions(
        inputs=input_specs(inputs),
        params=None if params is None else Path(params),
        trust_pickle=trust_pickle,
        trust_code=trust_code,
        dynamic_batch=dynamic_batch,
        train=train,
        fixed=fixed or {},
        warn=warn or _warn,
    )


def _check_train(source: Any, framework: Framework, train: bool) -> None:
    if train and framework.name != "mxnet":
        raise InputError(
            f"{source} has no training form of its own: only MXNet's output layers carry a loss that is left out "
            f"otherwise. Read it without --train."
        )


def _check_constants(options: ReadOptions, framework: Framework) -> None:
    constants = {spec.name: spec.constant.value for spec in options.inputs if spec.constant is not None}
    if framework.name != "torch" and constants:
        name, value = next(iter(constants.items()))
        raise InputError(
            f"Input {name!r} is given as the constant {value!r}, which only a module of PyTorch's can be called with. "
            f"Give arrays or shapes; fixed= makes constants of inputs that the model has."
        )


def save(
    model: ir.Model,
    out: str | Path,
    *,
    to: str,
    opset: int | None = None,
    shard_size: int | str | None = None,
    warn: Warn | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a canonical model, whole or not at all.

    Args:
        model: What :func:`load` gave.
        out: ``x.onnx`` for ONNX; the prefix for MXNet, which adds ``-symbol.json`` and ``-0000.params``; the folder
            for torch.
        to: Name of the framework: ``"mxnet"``, ``"onnx"`` or ``"torch"``.
        opset: ONNX opset to write; None for the canonical one.
        shard_size: Bytes that one of torch's safetensors files may have, as a number or as ``"5GB"``; weights that are
            more go into several. None for one file, whatever its size.
        warn: Receives deviations that the user must know of; None for Python's :mod:`warnings`.
        progress: Is told of the bytes that have been written, of them and all that will be, after every few megabytes.

    Returns:
        The files written.

    Raises:
        InputError: It is no model, there is no such framework, or the folder is not there.
        UnsupportedError: Nodes that the framework cannot express, all of them.
    """
    import onnx_ir as ir

    if not isinstance(model, ir.Model):
        raise InputError(f"What is written is a model that load() gave, not {model!r}; convert() reads and writes.")
    target = writer_of(to)
    path = Path(out)
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {str(path.parent)!r} to write {path.name!r} to; create it first.")
    assert target.write is not None
    if shard_size is not None and to != "torch":
        raise InputError(f"A shard size is one of safetensors files, and {to!r} has none; leave it out.")
    shards = parse_size(shard_size) if isinstance(shard_size, str) else shard_size
    if shards is not None and shards < 1:
        raise InputError(f"Shards of {shards} bytes hold nothing; give a size such as 5GB.")
    with showing(progress), provenance.recording(model, to=to, opset=opset, shard_size=shards) as record:
        return target.write(
            model, path, WriteOptions(opset=opset, shard_size=shards, record=record, warn=warn or _warn)
        )


def convert(
    source: Any,
    to: str,
    out: str | Path | None = None,
    *,
    inputs: Inputs = (),
    params: str | Path | None = None,
    trust_pickle: bool = False,
    trust_code: bool = False,
    dynamic_batch: bool = True,
    train: bool = False,
    fixed: Mapping[str, npt.ArrayLike] | None = None,
    opset: int | None = None,
    shard_size: int | str | None = None,
    warn: Warn | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Read a model and write it for another framework; arguments and errors are those of :func:`load` and :func:`save`.

    Args:
        source: What to convert.
        to: Name of the framework: ``"mxnet"``, ``"onnx"`` or ``"torch"``.
        out: Where to; None for the working directory, under the source's name.
        inputs: Inputs that the source does not describe itself.
        params: Parameter file of an MXNet symbol.
        trust_pickle: Whether a pickled module may be loaded.
        trust_code: Whether the ``model.py`` of a folder may do more than compute.
        dynamic_batch: Whether the first dimension of the inputs is left free.
        train: Whether MXNet's output layers are read in their training form.
        fixed: Inputs that become constants.
        opset: ONNX opset to write.
        shard_size: Bytes that one of torch's safetensors files may have.
        warn: Receives deviations.
        progress: Is told of the bytes that have been written, and of all that will be.

    Returns:
        The files written.
    """
    writer_of(to)
    path = default_output(source, to) if out is None else Path(out)
    options = _options(inputs, params, trust_pickle, trust_code, dynamic_batch, train, fixed, warn)
    model = _loaded(source, replace(options, shared=True))
    return save(model, path, to=to, opset=opset, shard_size=shard_size, warn=warn, progress=progress)


def _pin(model: ir.Model, options: ReadOptions) -> None:
    """Give sizes the numbers asked for that a source left free, as a program that was exported with free ones does."""
    from graphkit.ir.canonical import canonical
    from graphkit.passes.pin_sizes import pin_sizes

    names = iter([value.name or "" for value in model.graph.inputs if not value.is_initializer()])
    shapes = {spec.name or next(names, ""): spec.shape for spec in options.inputs}
    if pin_sizes(model, shapes, keep_batch=options.dynamic_batch):
        canonical(model)


def _fix(model: ir.Model, options: ReadOptions) -> None:
    """Fix inputs of a model that has been read; what it was read from is no longer the same model."""
    from graphkit.ir.canonical import canonical
    from graphkit.passes.fix_inputs import fix_inputs

    fix_inputs(model, options.fixed)
    canonical(model)
    drop_source(model)


def _fix_looked_at(model: ir.Model, options: ReadOptions, raw: bool) -> None:
    from graphkit.ir.canonical import canonical
    from graphkit.ir.keeping import Keeping
    from graphkit.passes.fix_inputs import fix_inputs

    fix_inputs(model, options.fixed)
    if not raw:
        canonical(model, Keeping())


def parse_fixed(text: str) -> tuple[str, npt.NDArray[np.generic]]:
    """Parse ``NAME=VALUE``: numbers, separated by commas where there are several, or ``@x.npy``.

    Raises:
        InputError: The text is not of that form, or the file is none.
    """
    name, equals, given = text.partition("=")
    if not name or not equals:
        raise InputError(f"{text!r} does not fix an input; write NAME=VALUE, e.g. axes=1,2 or scales=@scales.npy.")
    if given.startswith("@"):
        return name, _stored(Path(given[1:]))
    items = [item.strip() for item in given.split(",")] if given.strip() else []
    truths = {"true": True, "false": False}
    try:
        numbers = [truths[item.lower()] if item.lower() in truths else _number(item) for item in items]
    except ValueError as error:
        raise InputError(
            f"{given!r} in {text!r} is no number, nor numbers separated by commas; an array of more axes is given as "
            f"a file, {name}=@x.npy."
        ) from error
    array = np.asarray(numbers) if numbers else np.zeros(0, np.int64)
    return name, array.reshape(()) if len(items) == 1 else array


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _stored(path: Path) -> npt.NDArray[np.generic]:
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path} holds no array as numpy.save writes it: {error}.") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; save the one to fix the input to with numpy.save.")
    return array


def default_output(source: Any, to: str) -> Path:
    """Where a conversion goes if nobody says: the working directory, under the source's name.

    Raises:
        InputError: The source has no name, or would be overwritten.
    """
    stem, path = stem_of(source), Path(source)
    written = Path({"onnx": f"{stem}.onnx", "mxnet": f"{stem}-symbol.json"}.get(to, stem))
    if written.exists() and path.exists() and written.samefile(path):
        raise InputError(f"The result would overwrite its source, {str(source)!r}; say where it goes.")
    return written if to == "onnx" else Path(stem)


def stem_of(source: Any) -> str:
    """What a source is called, without its folder and ending.

    Raises:
        InputError: It has no name.
    """
    if not isinstance(source, str | Path):
        raise InputError(f"A {type(source).__name__} has no file name to write to; say where the result goes.")
    path = Path(source)
    if path.exists():
        path = Path(os.path.abspath(path))  # "." has no name
    if path.exists() or ":" not in path.name:
        return path.stem.removesuffix("-symbol")
    return path.name.rpartition(":")[2].rpartition(".")[2]


def framework_of(source: Any) -> Framework:
    """The framework that reads a source.

    Raises:
        InputError: There is none.
    """
    for framework in frameworks().values():
        if framework.recognises(source):
            return framework
    shown = repr(str(source)) if isinstance(source, str | Path) else f"a {type(source).__name__}"
    what = (
        "is not a file that is there, nor" if isinstance(source, str | Path) and not Path(source).exists() else "is not"
    )
    raise InputError(f"{shown} {what} anything that graphkit reads: {_SOURCES}.")


def writer_of(name: str) -> Framework:
    """The framework of that name, which writes models.

    Raises:
        InputError: There is none, or it writes no models.
    """
    writers = {framework.name: framework for framework in frameworks().values() if framework.write is not None}
    if name not in writers:
        raise InputError(f"Models cannot be written for {name!r}; they can for {', '.join(sorted(writers))}.")
    return writers[name]


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
