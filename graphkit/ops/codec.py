"""How attribute values are spelled: MXNet's strings and ONNX's typed values."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

__all__ = ["BOOL", "DTYPE", "FLOAT", "INT", "INTS", "STR", "Codec", "enum", "ints", "literal", "show"]

_LONGEST = 100_000
"""Characters of an attribute that Python's parser is trusted with; those of models have a few dozen."""


def show(value: Any) -> str:
    """Spell a Python value as MXNet spells operator parameters.

    Floats are written so that MXNet reads the same double; a float32 (as ONNX attributes are) is written as the
    shortest decimal that rounds to it, which is what its author wrote (``1e-05``, not ``9.99999974e-06``).
    """
    if isinstance(value, str):
        return value
    if value is None:
        return "None"
    if isinstance(value, bool | np.bool_):
        return "True" if value else "False"
    if isinstance(value, np.float16 | np.float32):
        return show(float(str(value)))
    if isinstance(value, float | np.float64):
        return repr(float(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, Sequence | np.ndarray):
        items = [show(item) for item in value]
        return "(" + ", ".join(items) + ("," if len(items) == 1 else "") + ")"
    raise TypeError(f"no MXNet spelling for {value!r}")


def literal(text: str) -> Any:
    """Parse numbers, strings, None, and tuples and lists of these, as Python spells them.

    Raises:
        ValueError: The text is none of these, or too long to be one.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:40]!r}… has {len(text)} characters, more than any value of a parameter")
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text[:40]!r} is no value of a parameter") from error


def ints(text: str) -> tuple[int, ...]:
    """Parse an MXNet tuple: ``(1, 1)``, ``[1,1]``, ``(3L, 3L)``, ``(3,)`` or a bare ``3``.

    Raises:
        ValueError: The text is none of these, or has a number of more than 64 bits.
    """
    value = literal(text.replace("L", ""))
    items = value if isinstance(value, tuple | list) else (value,)
    if not all(isinstance(item, int) and not isinstance(item, bool) and -_HUGE <= item < _HUGE for item in items):
        raise ValueError(f"{text[:40]!r} is not a tuple of integers")
    return tuple(items)


_HUGE = 1 << 63


def _boolean(text: str) -> int:
    if text in ("True", "true", "TRUE", "1"):
        return 1
    if text in ("False", "false", "FALSE", "0"):
        return 0
    raise ValueError(f"{text!r} is not a boolean")


def _float(text: str) -> float:
    return float(text.removesuffix("f") if text not in ("inf", "-inf") else text)


@dataclass(frozen=True, slots=True)
class Codec:
    """Translates one attribute value between MXNet's string and ONNX's typed value.

    Attributes:
        parse: MXNet string to ONNX value; raises ValueError on a string that MXNet would reject.
        show: ONNX value to MXNet string.
    """

    parse: Callable[[str], Any]
    show: Callable[[Any], str] = show


INT = Codec(int)
FLOAT = Codec(_float, lambda value: show(np.float32(value)))
BOOL = Codec(_boolean, lambda value: show(bool(value)))
INTS = Codec(ints)
STR = Codec(str)
DTYPE = Codec(
    lambda text: int(ir.DataType.from_numpy(np.dtype(text))),
    lambda code: ir.DataType(code).numpy().name,
)


def enum(**onnx_to_mx: str) -> Codec:
    """A codec for names that differ, e.g. ``enum(DCR="default")``."""
    back = {mx: onnx for onnx, mx in onnx_to_mx.items()}

    def parse(text: str) -> str:
        if text not in back:
            raise ValueError(f"{text!r} is not one of {', '.join(sorted(back))}")
        return back[text]

    def spell(value: str) -> str:
        if value not in onnx_to_mx:
            raise ValueError(f"{value!r} is not one of {', '.join(sorted(onnx_to_mx))}")
        return onnx_to_mx[value]

    return Codec(parse, spell)
