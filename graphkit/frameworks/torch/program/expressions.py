"""Symbolic sizes as people read them: ``2*s77 + 1`` for what sympy's ``srepr`` or ``str`` wrote."""

from __future__ import annotations

import ast
import contextlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SYMBOL", "infix"]

SYMBOL: Final = re.compile(r"(?<!\w)[su]\d+(?!\w)")
"""Symbols of torch: of sizes of inputs, and of sizes that depend on data (``u0``)."""
_LONGEST: Final = 20_000
"""Characters of an expression that is read."""
_SUM, _PRODUCT, _ATOM = 1, 2, 3
_BINARY: Final = {
    "FloorDiv": "//",
    "CleanDiv": "//",
    "IntTrueDiv": "/",
    "FloatTrueDiv": "/",
    "Mod": "%",
    "PythonMod": "%",
    "Pow": "**",
    "PowByNatural": "**",
}
"""Functions of two arguments of sympy and torch.utils._sympy.functions that have an operator in Python."""


def infix(text: str, names: Mapping[str, str]) -> str:
    """An expression in Python's notation, as it is where it is in no form that is known.

    Args:
        text: What the file holds.
        names: Names of symbols, by symbol.
    """
    if "(" in text and len(text) <= _LONGEST:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError, _UnknownError):
            text = _shown(ast.parse(text, mode="eval").body)[0]
    return SYMBOL.sub(lambda match: names.get(match[0], match[0]), text)


class _UnknownError(Exception):
    """A part of an expression is of no known form."""


def _shown(node: ast.expr) -> tuple[str, int]:
    """Text of an expression, and how tightly it binds."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _called(node.func.id, node.args)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return str(node.value), _ATOM
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return f"-{_bound(node.operand, _ATOM)}", _PRODUCT
    raise _UnknownError


def _called(function: str, args: list[ast.expr]) -> tuple[str, int]:
    if function == "Symbol" and args and isinstance(args[0], ast.Constant) and isinstance(args[0].value, str):
        return args[0].value, _ATOM
    if function in ("Integer", "Float") and args and isinstance(args[0], ast.Constant | ast.UnaryOp):
        given = args[0].value if isinstance(args[0], ast.Constant) else None
        return (given, _ATOM) if isinstance(given, str) else _shown(args[0])
    if function == "Rational" and len(args) == 2:
        return f"{_bound(args[0], _ATOM)}/{_bound(args[1], _ATOM)}", _PRODUCT
    if function == "Add":
        terms = sorted(args, key=_is_number)  # as sympy prints: numbers last
        text = " + ".join(_bound(term, _SUM) for term in terms)
        return text.replace("+ -", "- "), _SUM
    if function == "Mul":
        factors = sorted(args, key=lambda arg: not _is_number(arg))
        text = "*".join(_bound(factor, _PRODUCT) for factor in factors)
        return text.replace("-1*", "-", 1) if text.startswith("-1*") else text, _PRODUCT
    if function in _BINARY and len(args) == 2:
        return f"({_bound(args[0], _PRODUCT)}{_BINARY[function]}{_bound(args[1], _ATOM)})", _ATOM
    return f"{function}({', '.join(_bound(arg, _SUM) for arg in args)})", _ATOM


def _is_number(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("Integer", "Rational", "Float")
    )


def _bound(node: ast.expr, least: int) -> str:
    text, binding = _shown(node)
    return text if binding >= least else f"({text})"
