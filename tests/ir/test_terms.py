"""Terms that torch.onnx spells with functions of torch's mean what these compute."""

from __future__ import annotations

import math

import pytest
import sympy

from graphkit.ir.symbols import named, number_of
from graphkit.ir.terms import plain_term


@pytest.mark.parametrize(
    "text",
    [
        "CeilToInt(FloatTrueDiv(ToFloat(1 - 2*n), -1.0))",
        "TruncToInt(1.5*ToFloat(n + m))",
        "IntTrueDiv(4*n, 2) + FloorToInt(0.25*ToFloat(m))",
        "n//2 + PythonMod(4 - PythonMod(n//2, 4), 4)",
        "(3*(n//2) + m//3)//4",
        "PythonMod(7*(n//3) - m, 8)",
        "PythonMod(2*PythonMod(n + m, 6), 5) + PythonMod(n, 3)",
    ],
)
def test_a_term_is_what_it_computes(text: str) -> None:
    term = named(text)
    assert isinstance(term, sympy.Basic)
    assert not isinstance(term, sympy.Symbol)
    functions = {
        "CeilToInt": math.ceil,
        "FloatTrueDiv": lambda a, b: a / b,
        "FloorToInt": math.floor,
        "IntTrueDiv": lambda a, b: a / b,
        "PythonMod": lambda a, b: a % b,
        "ToFloat": float,
        "TruncToInt": math.trunc,
    }
    for n in range(1, 14):
        for m in (1, 2, 5, 11):
            expected = eval(text, functions, {"n": n, "m": m})  # the terms are those above
            assert number_of(term, {"n": n, "m": m}) == expected


def test_brackets_that_stay_open_are_no_term() -> None:
    with pytest.raises(ValueError, match="not closed"):
        plain_term("CeilToInt(FloatTrueDiv(n, 2")
