"""How MXNet 1.9.1 spells the values of operator parameters, all of which are strings in a symbol.

The patterns state what MXNet's parsers accept, which is less and more than one would write: ``1f`` and ``(1, 1]``
are read, a trailing blank after a float and a number that underflows are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Parameter"]

_INT = r"[+-]?\d+"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WORD = r"[+-]?(?:inf|infinity|nan(?:\(\w*\))?)"


def _tuple(item: str, bare: str) -> str:
    listed = rf"[(\[]\s*(?:{item}(?:\s*,\s*{item})*\s*,?)?\s*[)\]]"
    return rf"\s*(?:None|{listed}|(?=[-\d]){bare})\s*"


_SPELLING = {
    "bool": r"(?i:true|false|1|0)",
    "int": rf"\s*{_INT}\s*",
    "float": rf"\s*(?:{_NUMBER}|{_NUMBER[:-1]}|(?i:{_WORD}))f?",
    "shape": _tuple(_INT + "L?", _INT),
    "slice": _tuple(rf"(?:{_INT}L?|None)", _INT + "L?"),
    "floats": _tuple(_NUMBER, _NUMBER),
    "shapes": _tuple(r"(?:-?\d+|[(\[][-\d, ]*[)\]])", _INT),
    "string": r"(?s:.*)",
    "ptr": r"(?s:.*)",
}
_SPELLING |= {
    "uint": _SPELLING["int"],
    "long": _SPELLING["int"],
    "ulong": _SPELLING["int"],
    "double": _SPELLING["float"],
    "doubles": _SPELLING["floats"],
    "longs": _SPELLING["shape"],
}
_OPTIONAL_SPELLING = _SPELLING | {
    "bool": r"\s*(?i:true|false|none|1|0)\s*",
    "int": rf"\s*{_INT}L?\s*|None\s*",
    "float": rf"\s*{_NUMBER}\s*|None\s*",
    "double": rf"\s*{_NUMBER}\s*|None\s*",
}
_BOUNDS = {
    "int": (-(2**31), 2**31 - 1),
    "uint": (-(2**32) + 1, 2**32 - 1),
    "long": (-(2**63), 2**63 - 1),
    "ulong": (-(2**64) + 1, 2**64 - 1),
    "float": (1.1754943508222875e-38, 3.4028234663852886e38),
    "double": (2.2250738585072014e-308, 1.7976931348623157e308),
}
_LONG = 400
"""More characters than a number needs; Python's parser refuses integers of some thousand digits."""
_MEANING = {
    "bool": "a boolean (True or False)",
    "int": "a 32-bit integer",
    "uint": "a 32-bit integer",
    "long": "a 64-bit integer",
    "ulong": "a 64-bit integer",
    "float": "a number that float32 can hold",
    "double": "a number that float64 can hold",
    "shape": "a tuple of integers",
    "slice": "a tuple of integers and None",
    "longs": "a tuple of integers",
    "floats": "a tuple of numbers",
    "doubles": "a tuple of numbers",
    "shapes": "a tuple of tuples of integers",
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
            return f"is {text!r}, not one of {', '.join((*self.choices, *['None'] * self.nullable))}"
        pattern = (_OPTIONAL_SPELLING if self.nullable else _SPELLING)[self.kind]
        if re.fullmatch(pattern, text, re.ASCII) and self._in_bounds(text.strip()):
            return None
        return f"is {text!r}, not {_MEANING[self.kind]}" + " or None" * self.nullable

    def _in_bounds(self, text: str) -> bool:
        bounds = _BOUNDS.get(self.kind)
        if bounds is None or text == "None" or re.fullmatch(_WORD + "f?", text, re.IGNORECASE):
            return True
        if len(text) > _LONG:
            return False
        if isinstance(bounds[0], int):
            return bounds[0] <= int(text.removesuffix("L")) <= bounds[1]
        size = abs(float(text.removesuffix("f").removesuffix("e").removesuffix("E")))
        return size == 0 or ((self.nullable or size >= bounds[0]) and size <= bounds[1])

    def value_class(self, text: str) -> str:
        """The class of a value in the table's ``cases``: the value, ``True`` or ``False``, ``None`` or ``*``."""
        if self.kind == "enum":
            return text
        if self.nullable and text.strip().lower() == "none":
            return "None"
        if self.kind == "bool":
            return "True" if text.strip().lower() in ("true", "1") else "False"
        return "*"
