"""What ``graphkit run`` is fed: arrays, JSON and pictures of the user's, or drawn numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.errors import FeedError, FormatError, InputError
from graphkit.parity.fit import Fitter
from graphkit.parity.npz import Archive, read_array
from graphkit.running.pictures import SUFFIXES, Scaling, read_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

__all__ = ["read_feeds"]

_FORMS: Final = (
    "an array (NAME=x.npy), numbers (NAME=x.json), a picture (NAME=x.jpg), or arrays by input name (x.npz, x.json)"
)


def read_feeds(
    texts: Sequence[str], model: ir.Model, warn: Callable[[str], None], scaling: Scaling | None = None
) -> tuple[dict[str, npt.NDArray[Any]], list[str]]:
    """The feeds that ``--feed`` names, all of them together.

    Arrays are fitted to the inputs as :mod:`graphkit.parity.fit` says: what loses nothing is converted (int32 for an
    int64 input), float64 is rounded to float32 with a warning, the rest is refused. Numbers in JSON have no type but
    the input's.

    Args:
        texts: ``NAME=FILE`` with an ``.npy``, ``.json`` or picture file; NAME may be left out where the model has one
            input. Or a file with an array for each of several inputs: ``.npz``, or ``.json`` with an object. Several
            pictures for one input are a batch.
        model: A canonical model.
        warn: Receives what the user must know.
        scaling: What is done to pictures.

    Returns:
        An array for each input, and sentences that say what was done to pictures.

    Raises:
        InputError: A text names no such file, or an input is given twice.
        FeedError: An input is missing or unknown, or what is given does not fit it.
        FormatError: A file is damaged.
        MissingError: Pillow is needed and not installed.
    """
    fitter = Fitter(model, warn)
    values = {value.name or "": value for value in model.graph.inputs if not value.is_initializer()}
    found: dict[str, Any] = {}
    pictures: dict[str, list[Path]] = {}
    for text in texts:
        name, path = _named(text, fitter.names)
        if path.suffix.lower() in SUFFIXES:
            pictures.setdefault(_known(name, text, fitter.names), []).append(path)
            continue
        given = _read(name, path, text, fitter.names)
        if twice := [each for each in given if each in found]:
            raise InputError(f"Input {twice[0]!r} is given two arrays; leave one out.")
        found.update({each: _typed(values.get(each), content) for each, content in given.items()})
    if twice := [each for each in pictures if each in found]:
        raise InputError(f"Input {twice[0]!r} is given an array and a picture; leave one out.")
    done: list[str] = []
    for name, paths in pictures.items():
        found[name], told = read_pictures(paths, values[name], scaling or Scaling())
        done += told
    if scaling is not None and not pictures:
        raise InputError("--mean and --std scale pictures, and none is given; leave them out, or scale the arrays.")
    return fitter.fit("--feed", found), done


def _named(text: str, names: Sequence[str]) -> tuple[str, Path]:
    """Name and file of ``NAME=FILE``, whose name may have an equals sign in it; of a file alone, no name."""
    if not Path(text).is_file():
        splits = [(text[:place], text[place + 1 :]) for place, sign in enumerate(text) if sign == "="]
        if splits:
            name, file = next((split for split in splits if split[0] in names), splits[0])
            if not Path(file).is_file():
                raise InputError(
                    f"{text!r} feeds input {name!r} the file {file!r}, which is not there; correct its name."
                )
            return name, Path(file)
        raise InputError(f"{text!r} is no file that is there; feeds are {_FORMS}.")
    return "", Path(text)


def _known(name: str, text: str, names: Sequence[str]) -> str:
    """The input that a file is for: the one named, or the only one."""
    if name and names and name not in names:
        raise FeedError(f"{text!r} feeds input {name!r}, but the model's inputs are {', '.join(map(repr, names))}.")
    if not names:
        raise FeedError(f"{text!r} feeds an input, but the model has none; leave it out.")
    if not name and len(names) != 1:
        listed = ", ".join(map(repr, names))
        raise InputError(f"{text} is for one input; say for which, as NAME={text}. The inputs are {listed}.")
    return name or names[0]


def _read(name: str, path: Path, text: str, names: Sequence[str]) -> dict[str, Any]:
    """What a file holds, by input name."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        if name:
            raise InputError(f"{text!r} feeds one input an .npz file, which holds arrays by name: give it as {path}.")
        with Archive(path) as archive:
            return {each: archive.plain(each) for each in archive.names}
    if suffix == ".npy":
        return {name or _known(name, text, names): read_array(path)}
    if suffix == ".json":
        content = _json(path)
        if not isinstance(content, dict):
            return {name or _known(name, text, names): _Numbers(path, content)}
        if name:
            raise InputError(f"{text!r} feeds one input a JSON object, which holds numbers by name: give it as {path}.")
        return {each: _Numbers(path, inner) for each, inner in content.items()}
    raise InputError(f"{path} is no file that graphkit reads feeds from; they are {_FORMS}.")


class _Numbers:
    """What JSON holds for an input: numbers, truths, texts, or lists of them."""

    def __init__(self, path: Path, content: Any) -> None:
        self.path = path
        self.content = content


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{path} is no JSON: {' '.join(str(error).split()).rstrip('.')}. Write numbers as [[1, 2], [3, 4]]."
        ) from error


def _typed(value: ir.Value | None, given: Any) -> Any:
    """Numbers of JSON in the element type of their input, where that holds them; anything else as it is."""
    if not isinstance(given, _Numbers):
        return given
    if given.content is None:
        return None
    if value is not None and isinstance(value.type, ir.SequenceType) and isinstance(given.content, list):
        return [_typed(ir.Value(type=value.type.elem_type), _Numbers(given.path, item)) for item in given.content]
    if len(_shapes(given.content)) > 1:
        raise FormatError(f"{given.path} holds lists of several lengths or depths, which are no array; fill them up.")
    array = np.array(given.content)
    if array.dtype.kind not in "biuf":
        return array
    if value is None or value.dtype is None or not value.dtype.is_floating_point() or array.dtype.kind == "b":
        return array
    with np.errstate(over="ignore"):
        found = array.astype(value.dtype.numpy())
    return array if (np.isfinite(array) != np.isfinite(found.astype(np.float64))).any() else found


def _shapes(content: Any) -> set[tuple[int, ...]]:
    """Shapes of the arrays that nested lists make; more than one where they make none."""
    if not isinstance(content, list):
        return {()}
    inner = {shape for item in content for shape in _shapes(item)}
    return {(len(content), *shape) for shape in inner} or {(0,)}
