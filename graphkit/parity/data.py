"""Real data instead of drawn inputs: files, folders and Python iterables of samples, read when they are reached."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import GraphkitError, InputError
from graphkit.frameworks.importing import imported
from graphkit.parity.fit import Fitter, is_array
from graphkit.parity.npz import Archive, read_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    Warn = Callable[[str], None]
    Raw = Iterator[tuple[str, Any]]

__all__ = ["Given", "given_data", "read_data"]

_CALLABLE: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_FORMS: Final = (
    "an array for one input (NAME=x.npy), arrays by input name (x.npz), a folder of either, or what a Python callable "
    "gives (package.module:callable)"
)


@dataclass(frozen=True, slots=True)
class Given:
    """One sample of real data.

    Attributes:
        label: What to call it, e.g. its file.
        feeds: An array for each input of the model, of the input's element type, by IR value name.
    """

    label: str
    feeds: dict[str, npt.NDArray[Any]]


def read_data(texts: Sequence[str], model: ir.Model, warn: Warn | None = None) -> Iterator[Given]:
    """The samples that ``--feed`` names, each read when it is reached.

    Args:
        texts: ``NAME=x.npy`` gives an input its array, all of them together one sample; ``x.npz`` is a sample, with
            arrays by input name; of a folder each ``.npz`` is a sample, in the order of their names, or all ``.npy``
            are one, called as inputs; ``package.module:callable`` gives samples as :func:`given_data` takes them.
        model: A canonical model; arrays are fitted to its inputs.
        warn: Receives what the user must know; None for Python's :mod:`warnings`.

    Raises:
        InputError: A text names none of these, or there are no samples.
        FeedError: A sample does not fit the model; when it is reached.
        FormatError: A file is damaged, or holds pickled objects; when it is reached.
    """
    fitter = Fitter(model, warn or _warn)
    sources: list[tuple[str, Callable[[], Raw]]] = []
    pairs: dict[str, Path] = {}
    for text in texts:
        pair = None if Path(text).exists() else _pair(text, fitter.names)
        if pair is None:
            sources.append((text, _source(text)))
            continue
        name, path = pair
        if name in pairs:
            raise InputError(f"Input {name!r} is given two arrays, {pairs[name]} and {path}; leave one out.")
        pairs[name] = path
        if len(pairs) == 1:
            sources.append(("", lambda: _together(pairs)))
    if not sources:
        raise InputError(f"No data are given; give {_FORMS}.")
    return _fitted(sources, fitter)


def given_data(data: Any, model: ir.Model, warn: Warn | None = None) -> Iterator[Given]:
    """The samples that a Python object gives, each taken when it is reached.

    Args:
        data: A mapping or an array for one sample; an iterable of samples (a list, a generator, a torch
            ``DataLoader``, an ``mx.io.DataIter``), or a function that makes one; texts as for :func:`read_data`. A
            sample is a mapping of arrays by input name, a tuple or list of them in the order of the inputs, or an
            array for a sole input. Arrays may be tensors of PyTorch, MXNet or others, and lists of numbers.
        model: A canonical model; arrays are fitted to its inputs.
        warn: Receives what the user must know; None for Python's :mod:`warnings`.

    Raises:
        InputError: The object gives no samples, or fails.
        FeedError: A sample does not fit the model; when it is reached.
    """
    if isinstance(data, str | Path):
        return read_data([str(data)], model, warn)
    if isinstance(data, list | tuple) and data and all(isinstance(item, str | Path) for item in data):
        return read_data(list(map(str, data)), model, warn)
    return _fitted([("data", lambda: _samples("data", data))], Fitter(model, warn or _warn))


def _fitted(sources: Iterable[tuple[str, Callable[[], Raw]]], fitter: Fitter) -> Iterator[Given]:
    for name, samples in sources:
        empty = True
        for label, raw in samples():
            empty = False
            yield Given(label, fitter.fit(label, raw))
        if empty:
            raise InputError(f"{name} gives no sample, so there is nothing to compare on.")


def _pair(text: str, names: Sequence[str]) -> tuple[str, Path] | None:
    """Name and file of ``NAME=FILE``; a name may have an equals sign in it."""
    splits = [(text[:place], text[place + 1 :]) for place, sign in enumerate(text) if sign == "="]
    if not splits:
        return None
    name, file = next((split for split in splits if split[0] in names), splits[0])
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{text!r} gives input {name!r} the array in {file!r}, but there is no such file.")
    if path.suffix.lower() == ".npz":
        raise InputError(f"{text!r} gives one input an .npz file, which holds arrays by name: give it as {file}.")
    return name, path


def _source(text: str) -> Callable[[], Raw]:
    path = Path(text)
    if path.is_dir():
        return lambda: _folder(text, path)
    if path.suffix.lower() == ".npz" and path.is_file():
        return lambda: iter([(text, _archive(path))])
    if path.suffix.lower() == ".npy" and path.is_file():
        raise InputError(f"{text} holds one array; say for which input it is: --feed NAME={text}.")
    if path.exists():
        raise InputError(f"{text} is no .npy or .npz file, which are the data that graphkit reads: {_FORMS}.")
    if _CALLABLE.fullmatch(text):
        found = imported(text)
        return lambda: _samples(text, found)
    raise InputError(f"{text!r} is no file or folder that is there; data are {_FORMS}.")


def _together(pairs: Mapping[str, Path]) -> Raw:
    label = " ".join(f"{name}={path}" for name, path in pairs.items())
    yield label, {name: read_array(path) for name, path in pairs.items()}


def _folder(text: str, folder: Path) -> Raw:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    archives = [path for path in files if path.suffix.lower() == ".npz"]
    arrays = [path for path in files if path.suffix.lower() == ".npy"]
    if archives and arrays:
        raise InputError(
            f"{text} holds .npz files, each of them a sample, and .npy files, one for each input; keep one kind."
        )
    for path in archives:
        yield str(path), _archive(path)
    if arrays:
        yield text, {path.stem: read_array(path) for path in arrays}
    if not files or not (archives or arrays):
        raise InputError(f"{text} holds no .npz or .npy file, so there is nothing to compare on.")


def _archive(path: Path) -> dict[str, npt.NDArray[Any]]:
    with Archive(path) as archive:
        return {name: archive.plain(name) for name in archive.names}


def _samples(name: str, given: Any) -> Raw:
    """The samples of a mapping, an array, an iterable, or a function that makes one of them."""
    if callable(given) and (isinstance(given, type) or not _holds(given)):
        given = _attempt(f"{name}()" if name != "data" else "data()", given)
        if inspect.iscoroutine(given):
            given.close()
    if isinstance(given, Mapping) or is_array(given):
        yield name, given if isinstance(given, Mapping) else (given,)
        return
    if not _holds(given) or isinstance(given, str | bytes):
        raise InputError(
            f"{name} gives {_called(given)}; it must give samples: mappings of arrays by input name, or tuples of them."
        )
    samples = _attempt(name, lambda: iter(given))
    number = 0
    while True:
        label = f"{name}, sample {number}"
        raw = _attempt(label, lambda: next(samples, _END))
        if raw is _END:
            return
        yield label, _sample(label, raw)
        number += 1


_END: Final = object()


def _sample(label: str, raw: Any) -> Mapping[str, Any] | Sequence[Any]:
    """The arrays of a sample; a batch of MXNet's holds lists of data and of labels."""
    if isinstance(raw, Mapping | list | tuple):
        return raw
    if isinstance(getattr(raw, "data", None), list):
        return [*raw.data, *(getattr(raw, "label", None) or ())]
    if is_array(raw):
        return (raw,)
    raise InputError(f"{label} is {_called(raw)}; it must be a mapping of arrays by input name, or a tuple of them.")


def _holds(given: Any) -> bool:
    return hasattr(given, "__iter__") or hasattr(given, "__getitem__")


def _called(given: Any) -> str:
    return "None" if given is None else f"an object of type {type(given).__name__!r}"


def _attempt(name: str, action: Callable[[], Any]) -> Any:
    """Run code of the user's; what it raises is told as one sentence, with the traceback behind it."""
    try:
        return action()
    except GraphkitError:
        raise
    except Exception as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{name} fails: {type(error).__name__}{f': {told}' if told else ''}. Data come from a function without "
            f"arguments that gives samples, or from an iterable."
        ) from error


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
