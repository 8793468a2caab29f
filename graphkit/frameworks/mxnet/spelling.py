"""How MXNet 1.9.1 spells the values of operator parameters, all of which are strings in a symbol.

The patterns state what MXNet's parsers accept, which is less and more than one would write: ``1f`` and ``(1, 1]``
are read, a trailing blank after a float and a number that underflows are not. What repeats in them gives nothing back
(``*+``), so that they take no longer than a value is long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Parameter"]

_INT = r"[+-]?\d++"
_NUMBER = r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?"
_WORD = r"[+-]?(?i:inf|infinity|nan(?:\(\w*\))?)f?"
_LONG = 400
"""More characters than a number needs; Python's parser refuses integers of some thousand digits."""


class _Kind(NamedTuple):
    """What values of one type look like.

    Attributes:
        meaning: The type in words.
        spelling: Pattern of a value.
        optional: Pattern of a value that may be None, which other code in MXNet parses.
        low: Least value of an integer; of a float, least size that is not taken for an underflow.
        high: Greatest value, of a float in size.
    """

    meaning: str
    spelling: str
    optional: str = ""
    low: float | None = None
    high: float = 0


def _tuple(item: str, bare: str) -> str:
    listed = rf"[(\[]\s*+(?:{item}(?:\s*+,\s*+{item})*+\s*+,?)?\s*+[)\]]"
    return rf"\s*+(?:None|{listed}|(?=[-\d]){bare})\s*+"


_INTEGER = rf"\s*+{_INT}\s*+"
_REAL = rf"\s*+(?:{_NUMBER}[eE]?f?|{_WORD})"
_OPTIONAL_REAL = rf"\s*+{_NUMBER}\s*+|None\s*+"
_ANYTHING = r"(?s:.*)"
_FLOAT32, _FLOAT64 = (1.1754943508222875e-38, 3.4028234663852886e38), (2.2250738585072014e-308, 1.7976931348623157e308)
_INT32, _INT64 = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)
_KINDS = {
    "bool": _Kind("a boolean (True or False)", "(?i:true|false|1|0)", r"\s*(?i:true|false|none|1|0)\s*"),
    "int": _Kind("a 32-bit integer", _INTEGER, rf"\s*+{_INT}L?\s*+|None\s*+", *_INT32),
    "uint": _Kind("a 32-bit integer", _INTEGER, "", -(2**32) + 1, 2**32 - 1),
    "long": _Kind("a 64-bit integer", _INTEGER, "", *_INT64),
    "ulong": _Kind("a 64-bit integer", _INTEGER, "", -(2**64) + 1, 2**64 - 1),
    "float": _Kind("a number that float32 can hold", _REAL, _OPTIONAL_REAL, *_FLOAT32),
    "double": _Kind("a number that float64 can hold", _REAL, _OPTIONAL_REAL, *_FLOAT64),
    "shape": _Kind("a tuple of integers", _tuple(_INT + "L?", _INT), "", *_INT64),
    "slice": _Kind("a tuple of integers and None", _tuple(rf"(?:{_INT}L?|None)", _INT + "L?"), "", *_INT32),
    "longs": _Kind("a tuple of integers", _tuple(_INT + "L?", _INT), "", *_INT64),
    "floats": _Kind("a tuple of numbers", _tuple(_NUMBER, _NUMBER), "", *_FLOAT32),
    "doubles": _Kind("a tuple of numbers", _tuple(_NUMBER, _NUMBER), "", *_FLOAT64),
    "shapes": _Kind("a tuple of tuples", _tuple(r"(?:-?\d++|[(\[][-\d, ]*+[)\]])", _INT), "", *_INT32),
    "string": _Kind("a string", _ANYTHING),
    "ptr": _Kind("a pointer", _ANYTHING),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operator.

    Attributes:
        name: Its name.
        kind: ``bool``, ``int``, ``uint``, ``long``, ``ulong``, ``float``, ``double``, ``string``, ``enum``, ``shape``,
            ``slice`` (a tuple whose items may be None), ``longs``, ``floats``, ``doubles``, ``shapes`` or ``ptr``.
        nullable: Whether it may be ``None``.
        required: Whether MXNet refuses the operator without it.
        default: The string that MXNet assumes; None where it is required, or its documentation does not say.
        choices: The values that an ``enum`` may have, ``None`` aside.
    """

    name: str
    kind: str
    nullable: bool = False
    required: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()

    def problem(self, text: str) -> str | None:
        """Why MXNet would refuse a value, as a clause; None when it would parse it.

        Bounds that single operators set on their parameters are not known here.
        """
        if self.kind == "enum":
            if text in self.choices or (self.nullable and text == "None"):
                return None
            return f"is {text[:_LONG]!r}, not one of {', '.join((*self.choices, *['None'] * self.nullable))}"
        kind = _KINDS[self.kind]
        pattern = kind.optional if self.nullable and kind.optional else kind.spelling
        if re.fullmatch(pattern, text, re.ASCII) and self._in_bounds(text, kind):
            return None
        shown = repr(text) if len(text) < _LONG else f"{text[:20]!r}…"
        return f"is {shown}, not {kind.meaning}" + " or None" * self.nullable

    def _in_bounds(self, text: str, kind: _Kind) -> bool:
        if kind.low is None or re.fullmatch(r"\s*+" + _WORD, text):
            return True
        numbers = re.findall(_NUMBER, text)
        if any(len(number) > _LONG for number in numbers):
            return False
        if isinstance(kind.low, int):
            return all(kind.low <= int(number) <= kind.high for number in numbers)
        underflow = kind.spelling == _REAL and not self.nullable  # other parsers of floats take it for zero
        least = kind.low if underflow else 0.0
        sizes = [abs(float(number)) for number in numbers if re.search("[1-9]", re.split("[eE]", number)[0])]
        return all(least <= size <= kind.high for size in sizes)

    def value_class(self, text: str) -> str:
        """The class of a value in the table's ``cases``: the value, ``True`` or ``False``, ``None`` or ``*``."""
        if self.kind == "enum":
            return text
        if self.nullable and text.strip().lower() == "none":
            return "None"
        if self.kind == "bool":
            return "True" if text.strip().lower() in ("true", "1") else "False"
        return "*"
