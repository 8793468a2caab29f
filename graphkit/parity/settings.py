"""What a project sets for all of its comparisons: ``[tool.graphkit.verify]`` and ``[tool.graphkit.bisect]``.

    [tool.graphkit.verify]
    on = ["torch", "ort"]
    backward = true
    seeds = [0, 1, 2]
    baseline = "tests/baseline.npz"

    [tool.graphkit.verify.tolerances]
    gradient = "8x"
    "layer4.*" = 1e-3

They stand in the nearest ``pyproject.toml`` from a folder upward. Keys are the long options of the command; what is
given to the command itself wins. Files are relative to the folder of ``pyproject.toml``. What says
on what is compared, and how equal it has to be, ``bisect`` takes from the table of ``verify``, too; its own wins.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError
from graphkit.parity.tolerances import parse_tolerance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from graphkit.frameworks.base import Rule

__all__ = ["KEYS", "OPTIMIZERS", "TRAINING", "find", "numbers_of", "rule_of", "settings"]

_FILE: Final = "pyproject.toml"
_TOLERANCES: Final = "tolerances"


OPTIMIZERS: Final = {
    "sgd": ("lr", "weight_decay"),
    "momentum": ("lr", "momentum", "weight_decay"),
    "adam": ("lr", "weight_decay"),
}
"""What makes steps of training, and the numbers that are its own."""

TRAINING: Final = ("optimizer", "lr", "momentum", "weight_decay", "loss")
"""Settings that are for steps of training; without such they are kept for when they are asked for."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What a key takes.

    Attributes:
        told: In words, for errors.
        fits: Whether a single value is right.
        several: Whether it is a list; a single value is then a list of one.
        file: Whether values name files.
        parse: Reads a text that stands for the whole list, where one may.
    """

    told: str
    fits: Callable[[Any], bool]
    several: bool = False
    file: bool = False
    parse: Callable[[str], tuple[int, ...]] | None = None


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _integer(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _integers(least: int) -> _Form:
    told = f'a whole number from {least} on, a list of them, or a text such as "{least},5-9"'
    return _Form(told, _integer(least), several=True, parse=lambda text: numbers_of(text, least))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _one_of(*choices: str) -> _Form:
    shown = [f'"{choice}"' for choice in choices]
    return _Form(f"{', '.join(shown[:-1])} or {shown[-1]}", lambda value: isinstance(value, str) and value in choices)


_FLAG: Final = _Form("true or false", lambda value: isinstance(value, bool))
_RATE: Final = _Form("a number from 0 on", _number)
_TEXTS: Final = _Form("a text or a list of texts", _text, several=True)

_SHARED: Final = {
    "on": _TEXTS,
    "backward": _FLAG,
    "mode": _one_of("eval", "train"),
    "batches": _integers(1),
    "seeds": _integers(0),
    "feed": _Form("a text or a list of texts", _text, several=True, file=True),
    "tol": _Form(
        "a tolerance or a list of them, as --tol takes them", lambda value: _number(value) or _text(value), several=True
    ),
}
_TRAINED: Final = {
    "train-steps": _Form("a whole number from 1 on", _integer(1)),
    "optimizer": _one_of(*OPTIMIZERS),
    "lr": _RATE,
    "momentum": _RATE,
    "weight-decay": _RATE,
    "loss": _one_of("given", "mse", "cross-entropy"),
}
_SINGLE_OR_DOUBLE: Final = _one_of("float32", "float64")
_REPORT: Final = _Form("the name of a file or a list of them", _text, several=True, file=True)
KEYS: Final = {
    "verify": _SHARED
    | _TRAINED
    | {
        "dtype": _one_of("float32", "float64", "own"),
        "taps": _FLAG,
        "report": _REPORT,
        "baseline": _Form("the name of a file", _text, file=True),
    },
    "bisect": _SHARED
    | _TRAINED
    | {
        "dtype": _SINGLE_OR_DOUBLE,
        "report": _REPORT,
        "out": _Form("the name of a folder", _text, file=True),
    },
}
"""What can be set for each command, by its long option."""


def find(folder: Path) -> Path | None:
    """The nearest ``pyproject.toml`` in a folder and those above it, None where there is none."""
    start = folder.resolve()
    return next((file for place in (start, *start.parents) if (file := place / _FILE).is_file()), None)


def settings(path: Path, command: str) -> dict[str, Any]:
    """What a ``pyproject.toml`` sets for a command.

    Args:
        path: The file.
        command: ``"verify"`` or ``"bisect"``.

    Returns:
        Values by the name of the option with underscores (``"train_steps"``); lists for options that take several.
        The table of tolerances is appended to ``"tol"``, in the spelling of :mod:`graphkit.parity.tolerances`. Files
        are absolute. Empty where the file sets nothing.

    Raises:
        InputError: The file cannot be read or is no TOML, or it has a key or value that is none of the command's.
    """
    tables = _tables(path)
    found = _read(tables.get(command, {}), path, command)
    if command == "bisect":
        shared = _read(tables.get("verify", {}), path, "verify")
        found = {name: value for name, value in shared.items() if name in _SHARED} | found
    return found


def rule_of(
    optimizer: str | None = None,
    lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
) -> Rule | None:
    """How steps of training are made, from what options say of it; None where they say nothing.

    Args:
        optimizer: One of :data:`OPTIMIZERS`: SGD without or with momentum, or Adam; None for SGD with momentum.
        lr: Learning rate; None for the optimizer's default, as all that follows.
        momentum: Momentum.
        weight_decay: Weight decay.

    Raises:
        InputError: There is no such optimizer, or a number is not one of its own.
    """
    from graphkit.frameworks.base import Adam, Sgd

    given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    numbers = {name: number for name, number in given.items() if number is not None}
    if optimizer is None and not numbers:
        return None
    name = optimizer or "momentum"
    if name not in OPTIMIZERS:
        raise InputError(f"There is no optimizer {name!r} here; there are {', '.join(OPTIMIZERS)}.")
    if foreign := [number for number in numbers if number not in OPTIMIZERS[name]]:
        raise InputError(f"The optimizer {name} has no {foreign[0].replace('_', ' ')} to set; leave it out.")
    if name == "adam":
        return Adam(**numbers)
    return Sgd(**({"momentum": 0.0} if name == "sgd" else {}) | numbers)


def numbers_of(text: str, least: int = 0) -> tuple[int, ...]:
    """Numbers and ranges of them, each once, e.g. ``"0,1,5-9"``.

    Args:
        text: The numbers.
        least: The smallest that makes sense.

    Raises:
        InputError: The text is something else, or a number smaller.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip(), re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first < least or last < first:
            raise InputError(f"{text!r} is not numbers from {least} on, such as {least},{least + 1},5-9.")
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


def _tables(path: Path) -> dict[str, Any]:
    """The tables under ``[tool.graphkit]``, each of a command."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is no TOML: {str(error).rstrip('.')}. Mend it, or run graphkit elsewhere.") from error
    tool = document.get("tool", {})
    tables = tool.get("graphkit", {}) if isinstance(tool, dict) else {}
    _check_table(tables, path, "tool.graphkit")
    _check_keys(tables, KEYS, path, "tool.graphkit")
    return dict(tables)


def _read(table: Any, path: Path, command: str) -> dict[str, Any]:
    where = f"tool.graphkit.{command}"
    _check_table(table, path, where)
    _check_keys(table, {**KEYS[command], _TOLERANCES: None}, path, where)
    found = {
        key.replace("-", "_"): _value(table[key], form, path, f"{key!r} of [{where}]")
        for key, form in KEYS[command].items()
        if key in table
    }
    tolerances = [str(each) for each in found.get("tol", ())]
    tolerances += _tolerances(table.get(_TOLERANCES, {}), path, f"{where}.{_TOLERANCES}")
    for text in tolerances:
        try:
            parse_tolerance(text)
        except InputError as error:
            raise InputError(f"{path}: [{where}] sets a tolerance that is none. {error}") from error
    return {**found, "tol": tolerances} if tolerances else found


def _tolerances(table: Any, path: Path, where: str) -> list[str]:
    _check_table(table, path, where)
    for key, value in table.items():
        if not (_number(value) or _text(value)):
            quoted = f' (write "{key}.…" with quotes around it)' if isinstance(value, dict) else ""
            raise InputError(
                f"{path}: {key!r} of [{where}] is {_shown(value)}{quoted}; a tolerance is a number from 0 on, or a "
                f'text such as "8x" for a multiple of the noise floor.'
            )
    return [f"{key}={value}" for key, value in table.items()]


def _value(value: Any, form: _Form, path: Path, where: str) -> Any:
    if form.parse is not None and isinstance(value, str):
        try:
            value = list(form.parse(value))
        except InputError as error:
            raise InputError(f"{path}: {where} is {_shown(value)}, but has to be {form.told}.") from error
    values = value if form.several and isinstance(value, list) else [value]
    for each in values:
        if not form.fits(each):
            raise InputError(f"{path}: {where} is {_shown(each)}, but has to be {form.told}.")
    if form.several and not values:
        raise InputError(f"{path}: {where} is empty; leave it out, or give {form.told}.")
    if form.file:
        values = [_located(each, path.resolve().parent) for each in values]
    return values if form.several else values[0]


def _located(text: str, folder: Path) -> str:
    """A file, or ``NAME=FILE``, relative to a folder; what names no file (``package.module:callable``) as it is."""
    name, equals, file = text.rpartition("=")
    module, colon, _ = file.rpartition(":")
    if colon and not (folder / file).exists() and all(part.isidentifier() for part in module.split(".")):
        return text
    return f"{name}{equals}{folder / file}"


def _check_table(table: Any, path: Path, where: str) -> None:
    if not isinstance(table, dict):
        raise InputError(f"{path}: [{where}] is {_shown(table)}, but has to be a table.")


def _check_keys(table: dict[str, Any], known: Iterable[str], path: Path, where: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key.replace("_", "-"), names, n=1)
            meant = f" (is {near[0]!r} meant?)" if near else ""
            raise InputError(f"{path}: [{where}] has no key {key!r}{meant}; there are {', '.join(names)}.")


def _shown(value: Any) -> str:
    """A value of TOML as it would be written there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f'"{value}"' if isinstance(value, str) else str(value)
