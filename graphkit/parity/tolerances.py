"""Bounds that the user sets instead of the measured ones: for everything, a quantity, or tensors by name.

    1e-4                    everything
    output=1e-5             a quantity: one of :data:`QUANTITIES`
    layer4.*=8x             tensors by glob; 8x is eight times their noise floor
    float64:gradient=1e-10  the same, only where tensors are compared in that element type
    float64:1e-10

A number bounds max|d| / scale, which is :attr:`graphkit.report.report.Check.error`. 0 asks for equality.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, TypeAlias

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphkit.report.report import Kind

__all__ = ["QUANTITIES", "Override", "Tolerances", "bound_of", "parse_tolerance", "parse_tolerances", "unused"]

QUANTITIES: Final = (
    "output",
    "gradient",
    "input gradient",
    "parameter gradient",
    "loss",
    "parameter",
    "running statistic",
    "value",
    "value gradient",
)
"""What a bound can be set for: the kinds of tensors that are compared, and ``"gradient"`` for all of gradients."""
_DTYPES: Final = ("float16", "bfloat16", "float32", "float64")
_EVERYTHING: Final = ("", "*")
_TIMES: Final = re.compile(r"(.+?)\s*[x×]")
_EXAMPLES: Final = "e.g. output=1e-5, 'layer4.*=8x' (times the noise floor) or 1e-4 for everything"


@dataclass(frozen=True, slots=True)
class Override:
    """A bound that the user sets.

    Attributes:
        dtype: Element type in which tensors have to be compared for it to hold; empty for any.
        key: A quantity, or a name or glob of tensors (case matters); empty or ``"*"`` for everything.
        value: The bound on max|d| / scale, or how many times the noise floor it is.
        times_floor: Whether ``value`` counts noise floors.
    """

    dtype: str
    key: str
    value: float
    times_floor: bool = False

    def __str__(self) -> str:
        """What :func:`parse_tolerance` reads."""
        key = ":".join(filter(None, (self.dtype, self.key)))
        return f"{key}{'=' if key else ''}{self.value:.12g}{'x' if self.times_floor else ''}"

    @property
    def names_tensors(self) -> bool:
        """Whether the key is the name of a tensor or a glob, rather than a quantity or everything."""
        return self.key not in _EVERYTHING and self.key not in QUANTITIES

    def covers(self, kind: Kind, name: str, dtype: str) -> bool:
        """Whether it is about a tensor of that kind, name and element type."""
        return (not self.dtype or self.dtype == dtype) and (
            self.key in _EVERYTHING
            or self.key == kind
            or (self.key == "gradient" and kind.endswith(" gradient"))
            or (self.names_tensors and (self.key == name or fnmatchcase(name, self.key)))
        )

    def _rank(self, name: str) -> tuple[int, bool]:
        """How specific it is among those that cover a tensor."""
        if self.names_tensors:
            return 4 if self.key == name else 3, bool(self.dtype)
        if self.key in _EVERYTHING:
            return 0, bool(self.dtype)
        return 1 if self.key == "gradient" else 2, bool(self.dtype)


Tolerances: TypeAlias = "str | Mapping[str, float | str] | Iterable[str | Override]"
"""Tolerances as Python code gives them; see :func:`parse_tolerances`."""


def parse_tolerance(text: str) -> Override:
    """Parse ``[DTYPE:]KEY=VALUE`` or ``VALUE``; a tensor named like a quantity is written as a glob, ``outpu[t]``.

    Raises:
        InputError: The text is not of that form, or the value no bound.
    """
    key, equals, value = text.rpartition("=")
    if not equals and ":" in text:
        key, _, value = text.rpartition(":")
        if key.strip() not in _DTYPES:
            raise InputError(f"{text!r} is no tolerance; write KEY=VALUE, {_EXAMPLES}.")
    dtype, key = _split(key.strip())
    if " " in key and key not in QUANTITIES:
        raise InputError(
            f"{text!r} sets the tolerance of {key!r}, which is no quantity{_meant(key, QUANTITIES)}; there are "
            f"{', '.join(QUANTITIES)}. (Write a tensor's name that has a space with ? for it.)"
        )
    number, times = _value(value.strip(), text)
    return Override(dtype, key, number, times)


def parse_tolerances(given: Tolerances) -> tuple[Override, ...]:
    """Tolerances in any form that Python code gives them in.

    Args:
        given: ``{"gradient": "8x", "layer4.*": 1e-3}``; or a list of what :func:`parse_tolerance` reads or returns, or
            one such text.

    Raises:
        InputError: One of them is no tolerance.
    """
    if isinstance(given, str):
        given = [given]
    elif isinstance(given, Mapping):
        given = [f"{key}={value}" for key, value in given.items()]
    return tuple(parse_tolerance(each) if isinstance(each, str) else each for each in given)


def bound_of(overrides: Sequence[Override], kind: Kind, name: str, dtype: str) -> Override | None:
    """The override that decides over a tensor, None where none does.

    The most specific wins: a tensor's own name over a glob, that over its kind, that over ``"gradient"``, that over
    everything; with an element type over without; the later over the earlier among equals.

    Args:
        overrides: Those given, in order.
        kind: What the tensor is.
        name: Name of its IR value.
        dtype: Element type that it is compared in.
    """
    found = [override for override in overrides if override.covers(kind, name, dtype)]
    return max(reversed(found), key=lambda override: override._rank(name), default=None)


def unused(overrides: Sequence[Override], names: Iterable[str]) -> tuple[str, ...]:
    """A warning for each override whose name or glob meets none of the tensors compared, with what may be meant.

    Args:
        overrides: Those given.
        names: Names of all tensors that were compared.
    """
    known = list(dict.fromkeys(names))
    lost = {
        override.key: str(override)
        for override in overrides
        if override.names_tensors and not any(override.key == name or fnmatchcase(name, override.key) for name in known)
    }
    return tuple(
        f"The tolerance {shown!r} is about no tensor that was compared{_meant(key, (*QUANTITIES, *known))}."
        for key, shown in lost.items()
    )


def _split(key: str) -> tuple[str, str]:
    """The element type and the rest of a key; a colon may belong to a tensor's name."""
    dtype, _, rest = key.partition(":")
    return (dtype.strip(), rest.strip()) if dtype.strip() in _DTYPES else ("", key)


def _value(value: str, text: str) -> tuple[float, bool]:
    match = _TIMES.fullmatch(value)
    try:
        number = float(match[1] if match else value)
    except ValueError as error:
        shown = f"{value!r} in {text!r}" if value != text else repr(text)
        raise InputError(
            f"{shown} is no tolerance; it is a number that bounds max|difference| / max|reference|, or a multiple of "
            f"the noise floor, {_EXAMPLES}."
        ) from error
    if math.isfinite(number) and (number > 0 or (number == 0 and not match)):
        return number, match is not None
    least = "more than 0 times the noise floor" if match else "0 (equal) or more"
    raise InputError(f"A tolerance of {value} ({text!r}) bounds nothing; give a finite number, {least}.")


def _meant(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=2, cutoff=0.7)
    return f" (is {' or '.join(map(repr, near))} meant?)" if near else ""
