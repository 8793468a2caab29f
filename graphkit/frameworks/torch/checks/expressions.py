"""Symbolic sizes, which torch evaluates with ``sympy.sympify``."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import Final

from graphkit.frameworks.torch.checks.refusal import HarmfulError
from graphkit.frameworks.torch.checks.words import shown, words

__all__ = ["checked_expression", "checked_symbol"]

_LONGEST: Final = 100_000
"""Characters of an expression."""
_DIGITS: Final = 4400
"""Characters of a number: a double as a fraction has a thousand and more."""
_POWER: Final = 64
"""The largest product of the exponents of powers within each other."""
_SYMBOL: Final = re.compile(r"(?:s|u|z|zf|zuf|i|f)\d{1,6}")
"""Names that torch gives to symbols: torch/utils/_sympy/symbol.py. It counts up to the number in one."""
_CONSTANTS: Final = frozenset(("true", "false", "oo", "int_oo", "nan", "zoo", "pi", "E"))
_FUNCTIONS: Final = words("""
    Abs Add And BooleanFalse BooleanTrue CeilDiv CeilToInt CleanDiv Eq Equality ExprCondPair Float FloatPow
    FloatTrueDiv FloorDiv FloorToInt Ge GreaterThan Gt Identity IntTrueDiv Integer IsNonOverlappingAndDenseIndicator
    LShift Le LessThan Lt Max Min Mod ModularIndexing Mul Ne Not Or Piecewise Pow PowByNatural PythonMod RShift
    Rational RoundDecimal RoundToInt StrictGreaterThan StrictLessThan ToFloat TruncToFloat TruncToInt Tuple
    Unequality Where Xor ceiling floor sqrt log exp sin cos tan asin acos atan sinh cosh tanh OpaqueUnaryFn_sqrt
    OpaqueUnaryFn_log OpaqueUnaryFn_log2 OpaqueUnaryFn_exp OpaqueUnaryFn_sin OpaqueUnaryFn_cos OpaqueUnaryFn_tan
    OpaqueUnaryFn_asin OpaqueUnaryFn_acos OpaqueUnaryFn_atan OpaqueUnaryFn_sinh OpaqueUnaryFn_cosh
    OpaqueUnaryFn_tanh
    """)
"""What torch's sizes are made of: torch/utils/_sympy/functions.py, and what of sympy it uses."""
_POWERS: Final = frozenset(("Pow", "PowByNatural", "FloatPow"))
_SHIFTS: Final = frozenset(("LShift", "RShift"))
_ASSUMPTIONS: Final = words("""
    positive negative nonnegative nonpositive integer real zero nonzero even odd commutative finite
    """)
_OPERATORS: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_COMPARISONS: Final = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


@lru_cache(maxsize=4096)
def checked_expression(text: str) -> str:
    """A symbolic size as torch writes it, for ``sympy.sympify`` to evaluate.

    Args:
        text: What the file has: what ``sympy.srepr`` wrote, or ``str`` in older files.

    Returns:
        The same, written anew.

    Raises:
        HarmfulError: It is anything else than sums, products and the like of numbers and symbols, or of numbers that
            are too large to compute with.
    """
    try:
        if len(text) > _LONGEST:
            raise HarmfulError(f"it has {len(text)} characters")
        body = ast.parse(text, mode="eval").body
        _check(body, _POWER)
        return ast.unparse(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise HarmfulError(f"the size {shown(text)} in it is no expression") from error
    except HarmfulError as error:
        raise HarmfulError(f"the size {shown(text)} in it is none that torch writes: {error}") from error


def checked_symbol(name: str) -> None:
    """Refuse what is no symbol of torch.

    Raises:
        HarmfulError: It is none.
    """
    if not _SYMBOL.fullmatch(name):
        raise HarmfulError(f"the symbol of a size in it is called {shown(name)}, which is no name that torch gives")


def _check(node: ast.expr, power: int) -> None:
    """Check an expression, of which powers may multiply its digits by ``power``."""
    match node:
        case ast.Constant(value=bool()):
            return
        case ast.Constant(value=int() | float() as value):
            _check_number(str(value))
        case ast.Name(id=name) if name in _CONSTANTS or _SYMBOL.fullmatch(name):
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not() | ast.Invert(), operand=operand):
            _check(operand, power)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            _check_power(left, right, power)
        case ast.BinOp(left=left, op=operation, right=right) if isinstance(operation, _OPERATORS):
            _check(left, power)
            _check(right, power)
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr(), right=right):
            _check(left, power)
            _check(right, power)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(isinstance(op, _COMPARISONS) for op in ops):
            for each in (left, *others):
                _check(each, power)
        case ast.Tuple(elts=elements):  # of Piecewise
            for each in elements:
                _check(each, power)
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))], keywords=keywords):
            checked_symbol(name)
            for keyword in keywords:
                if keyword.arg not in _ASSUMPTIONS or not _is_truth(keyword.value):
                    raise HarmfulError(f"it says {keyword.arg} of a symbol")
        case ast.Call(func=ast.Name(id="Integer" | "Float" | "Rational"), args=args, keywords=keywords) if args:
            for each in (*args, *(keyword.value for keyword in keywords if keyword.arg in ("precision", "dps"))):
                _check_literal(each)
            if any(keyword.arg not in ("precision", "dps") for keyword in keywords):
                raise HarmfulError("it has a number with keywords")
        case ast.Call(func=ast.Name(id=function), args=[base, exponent], keywords=[]) if function in _POWERS:
            _check_power(base, exponent, power)
        case ast.Call(func=ast.Name(id=function), args=[shifted, count], keywords=[]) if function in _SHIFTS:
            _check(shifted, power)
            _check_small(count)
        case ast.Call(func=ast.Name(id=function), args=args, keywords=[]) if (
            function in _FUNCTIONS and function not in _SHIFTS | _POWERS
        ):
            for each in args:
                _check(each, power)
        case _:
            raise HarmfulError(f"it holds {shown(ast.unparse(node))}")


def _check_power(base: ast.expr, exponent: ast.expr, power: int) -> None:
    number = _integer(exponent)
    if number is None:
        if not _is_fraction(exponent):
            raise HarmfulError("it has a power of an exponent that is no number")
        number = 1
    left = power // max(abs(number), 1)
    if not left:
        raise HarmfulError(f"it has powers of more than {_POWER}")
    _check(base, left)


def _check_small(count: ast.expr) -> None:
    number = _integer(count)
    if number is None or not 0 <= number <= _POWER:
        raise HarmfulError(f"it shifts by something else than 0 to {_POWER} bits")


def _integer(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
        case ast.Call(func=ast.Name(id="Integer"), args=[number], keywords=[]):
            return _integer(number)
    return None


def _is_fraction(node: ast.expr) -> bool:
    """Whether an exponent is a fraction between -1 and 1: that of a root."""
    match node:
        case ast.Call(func=ast.Name(id="Rational"), args=[above, below], keywords=[]):
            numbers = _integer(above), _integer(below)
            return numbers[0] is not None and numbers[1] is not None and abs(numbers[0]) <= abs(numbers[1]) <= _POWER
        case (
            ast.Constant(value=float(value))
            | ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=float(value))])
        ):
            return abs(value) <= 1
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str(text)), *_]):
            return text.lstrip("-") in ("0.5", "1.0")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _is_fraction(operand)
    return False


def _check_literal(node: ast.expr) -> None:
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check_literal(operand)
        case ast.Constant(value=int() | float() as value):
            _check_number(str(value))
        case ast.Constant(value=str(text)) if re.fullmatch(r"-?\d+(\.\d*)?(e[-+]?\d{1,3})?", text):
            _check_number(text)
        case _:
            raise HarmfulError("it has a number of other parts than digits")


def _check_number(text: str) -> None:
    if len(text) > _DIGITS:
        raise HarmfulError(f"it has a number of {len(text)} digits")


def _is_truth(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)
