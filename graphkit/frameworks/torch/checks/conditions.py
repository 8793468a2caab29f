"""Conditions on sizes (``guards_code``), of which torch makes a function that it executes."""

from __future__ import annotations

import ast
import re
from typing import Final

from graphkit.frameworks.torch.checks.refusal import HarmfulError
from graphkit.frameworks.torch.checks.words import shown, words

__all__ = ["checked_condition"]

_LONGEST: Final = 100_000
"""Characters of a condition."""
_EXPONENT: Final = 64
_LARGEST: Final = 1 << 64
_FUNCTIONS: Final = words("""
    max min abs round math.floor math.ceil math.trunc math.sqrt math.isnan math.cos math.cosh math.acos math.sin
    math.sinh math.asin math.tan math.tanh math.atan math.log2 torch.sym_float torch._sym_sqrt torch.sym_max
    torch.sym_min torch.sym_not torch.sym_ite cast_symbool_to_symint_guardless
    """)
"""What torch writes for functions: torch/utils/_sympy/printers.py."""
_CONSTANTS: Final = frozenset(("math.inf", "math.nan", "inf"))
_OF_TENSORS: Final = frozenset(("size", "stride", "storage_offset", "item"))
_OPERATORS: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr, ast.BitXor)
_KEY: Final = re.compile(r"[^\"'\\\x00-\x1f\x7f]*")
"""What may be quoted: torch writes it between quotes of its own."""


def checked_condition(text: str) -> str:
    """A condition on the sizes of a program's inputs, as torch writes it.

    Args:
        text: What the file has, e.g. ``"L['x'].size()[0] % 2 == 0"``.

    Returns:
        The same, written anew.

    Raises:
        HarmfulError: It does anything else than to compare sizes.
    """
    try:
        if len(text) > _LONGEST:
            raise HarmfulError(f"it has {len(text)} characters")
        body = ast.parse(text, mode="eval").body
        _check(body)
        return ast.unparse(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise HarmfulError(f"the condition {shown(text)} in it is no expression") from error
    except HarmfulError as error:
        raise HarmfulError(f"the condition {shown(text)} in it is none that torch writes: {error}") from error


def _check(node: ast.expr) -> None:
    match node:
        case ast.Constant(value=bool() | float() | None):
            return
        case ast.Constant(value=int(value)) if abs(value) <= _LARGEST:
            return
        case ast.Constant(value=str(text)) if _KEY.fullmatch(text):
            return
        case ast.Name(id="L"):
            return
        case ast.Name() | ast.Attribute() if ast.unparse(node) in _CONSTANTS:
            return
        case ast.Subscript(value=value, slice=ast.Constant() as key):
            _check(value)
            _check(key)
        case ast.Attribute(value=ast.Subscript() as value, attr=attr) if not attr.startswith("_"):
            _check(value)  # an argument of an object
        case ast.Attribute(value=ast.Attribute() as value, attr=attr) if not attr.startswith("_"):
            _check(value)
        case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args, keywords=[]) if attr in _OF_TENSORS:
            for each in (value, *args):
                _check(each)
        case ast.Call(func=function, args=args, keywords=[]) if ast.unparse(function) in _FUNCTIONS:
            for each in args:
                _check(each)
        case ast.UnaryOp(operand=operand):
            _check(operand)
        case ast.BoolOp(values=values):
            for each in values:
                _check(each)
        case ast.BinOp(left=left, op=operation, right=right) if isinstance(operation, _OPERATORS):
            _check(left)
            _check(right)
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(exponent))) if (
            0 <= exponent <= _EXPONENT and not any(isinstance(part, ast.Pow) for part in ast.walk(left))
        ):
            _check(left)
        case ast.Compare(left=left, comparators=others):
            for each in (left, *others):
                _check(each)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            for each in (test, body, orelse):
                _check(each)
        case _:
            raise HarmfulError(f"it holds {shown(ast.unparse(node))}")
