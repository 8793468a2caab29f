"""What torch takes for granted of free sizes in a captured program: the ways that code chose by them, above all."""

from __future__ import annotations

import ast
import contextlib
import logging
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.explain import is_library, running_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from types import FrameType

    import torch

__all__ = ["Guard", "assumed", "listening", "remember", "remembered", "tell"]

_GUARDS: Final = "graphkit.guards"
"""Key of what was decided, in the metadata of a captured graph."""
_LOGGED: Final = re.compile(r"eval (?P<what>.+?) \[guard added\]")
_EQUATION: Final = re.compile(r"(Eq|Ne)\((.+), ([^,]+)\)")
_REMAINDER: Final = re.compile(r"\b(?:PythonMod|Mod)\(([^(),]+), ([^(),]+)\)")
_SYMBOL: Final = re.compile(r"\b[su]\d+\b")
_EQUAL: Final = re.compile(r"Eq\([su]\d+, [su]\d+\)")
_SIZE: Final = re.compile(r"L(?P<path>(?:\['?\w+'?\])+)\.size\(\)\[(?P<axis>\d+)\]")
_ASKING: Final = frozenset({"__bool__", "__int__", "__index__"})
_MOST_TOLD: Final = 3
_LARGE: Final = (*range(1000, 1024), 4096)
"""Sizes among which are multiples of most numbers, and which no window of a layer is as wide as."""
_SMALL: Final = 2
"""The least size of a free dimension: torch.export takes 0 and 1 for constants."""
_SOME: Final = range(_SMALL, 32)
"""Sizes to try by two."""
_PAIR: Final = 2
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: lambda a, b: bool(a == b),
    ast.NotEq: lambda a, b: bool(a != b),
    ast.Lt: lambda a, b: bool(a < b),
    ast.LtE: lambda a, b: bool(a <= b),
    ast.Gt: lambda a, b: bool(a > b),
    ast.GtE: lambda a, b: bool(a >= b),
}
_OPERATIONS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}


@dataclass(frozen=True)
class Guard:
    """What torch decided about a symbolic size.

    Attributes:
        condition: What holds in the captured program, in torch's symbols.
        line: The line of user code that asked, e.g. ``"model.py:31, in forward"``; empty where there is none.
        chosen: Whether Python code went one way of several because of it, other than to raise an error.
    """

    condition: str
    line: str
    chosen: bool

    def __str__(self) -> str:
        return f"{self.condition} at {self.line}" if self.line else self.condition


@contextlib.contextmanager
def listening(guards: list[Guard], within: str) -> Iterator[None]:
    """Collect what torch decides meanwhile about symbolic sizes, whatever may be logged otherwise.

    Args:
        guards: Where to put it.
        within: The source file that has torch capture a module; lines of code above it are not the module's.
    """

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if match := _LOGGED.search(record.getMessage()):
                guards.append(Guard(match["what"], running_line(within), _is_choice(sys._getframe())))

    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    handler, disabled = Collector(logging.INFO), logger.disabled
    logger.disabled = False
    logger.addHandler(handler)
    vars(logger)["isEnabledFor"] = lambda level: level >= logging.INFO  # whatever logging.disable says to all loggers
    try:
        yield
    finally:
        del vars(logger)["isEnabledFor"]
        logger.removeHandler(handler)
        logger.disabled = disabled


def remember(program: torch.export.ExportedProgram, guards: Sequence[Guard]) -> None:
    """Keep with a program what was decided when it was captured, for :func:`tell`."""
    program.graph_module.meta[_GUARDS] = tuple(guards)


def remembered(program: torch.export.ExportedProgram) -> tuple[Guard, ...]:
    """What was decided when a program was captured, as far as that was kept."""
    return tuple(program.graph_module.meta.get(_GUARDS, ()))


def tell(
    program: torch.export.ExportedProgram, same: Mapping[str, str], warn: Callable[[str], None], label: str
) -> None:
    """Warn of choices that a module made by sizes which its program leaves free: it has one of the ways only.

    Left out are choices by whether two sizes are the same, as the program then takes them for one; choices that
    together tie one size to another, as those by the length of a mask; and those that one way is right for anyway.

    Args:
        program: What was captured.
        same: Symbols that must be equal to others, by name.
        warn: Told of the choices.
        label: How to call the module.
    """
    names = _symbols(program)
    conditions = {}
    for guard in remembered(program):
        if guard.chosen and _SYMBOL.search(guard.condition) and not _EQUAL.fullmatch(guard.condition):
            what = _readable(guard.condition, {**names, **{old: names.get(new, new) for old, new in same.items()}})
            conditions[what] = guard.line
    tied = _tied(conditions)
    told = {what: line for what, line in conditions.items() if what not in tied}
    _warn([f"{what} ({line})" if line else what for what, line in told.items()], warn, label)


def assumed(program: torch.export.ExportedProgram, warn: Callable[[str], None], label: str) -> None:
    """Warn of the sizes that a stored program was exported for, and that PyTorch refuses others than.

    Left out is what follows from layers themselves, which take no other sizes anyway: how parts compare to each other.
    """
    said: dict[str, None] = {}
    for code in getattr(program, "_guards_code", ()):
        plain = _SIZE.sub(_shape, code)
        if _restricts(plain):
            said[_unwrapped(plain)] = None
    _warn(list(said), warn, label)


def _warn(conditions: Sequence[str], warn: Callable[[str], None], label: str) -> None:
    if not conditions:
        return
    more = len(conditions) - _MOST_TOLD
    told = "; ".join(conditions[:_MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
    warn(
        f"{label} computes something else for other sizes, which is not in the graph: it was captured where {told}. "
        "Use the result for such sizes only, or give the sizes that you need."
    )


def _is_choice(frame: FrameType | None) -> bool:
    """Whether Python code outside torch's machinery asked for the truth or number of a size, and not for a check."""
    while frame is not None and not (frame.f_code.co_name in _ASKING and is_library(frame.f_code.co_filename)):
        frame = frame.f_back
    while frame is not None and frame.f_code.co_name in _ASKING:
        frame = frame.f_back
    if frame is None:
        return False
    path = frame.f_code.co_filename
    layers = Path(path).parts[-4:]
    if is_library(path) and "nn" not in layers:
        return False
    return not _is_check(path, frame.f_lineno)


@cache
def _is_check(path: str, line: int) -> bool:
    """Whether a line asserts, or decides about nothing but an error or a word to the user."""
    try:
        tree = ast.parse(Path(path).read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and _holds(node.body, line) and any(not _ends(way.body) for way in node.handlers):
            return False
        if isinstance(node, ast.Assert) and _holds([node], line):
            return True
        if isinstance(node, ast.If) and _holds([node.test], line):
            ways = (node.body, node.orelse)
            return any(_ends(way) for way in ways) or all(_is_word(statement) for way in ways for statement in way)
    return False


def _holds(parts: Sequence[ast.stmt | ast.expr], line: int) -> bool:
    """Whether a line is one of some parts of a file."""
    return parts[0].lineno <= line <= (parts[-1].end_lineno or parts[-1].lineno)


def _ends(way: Sequence[ast.stmt]) -> bool:
    """Whether statements raise an error in the end."""
    return bool(way) and isinstance(way[-1], ast.Raise)


def _is_word(statement: ast.stmt) -> bool:
    """Whether a statement is a word to the user."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    called = ast.unparse(statement.value.func)
    return called.partition(".")[0] in {"warnings", "logger", "logging", "log", "print"}


def _symbols(program: torch.export.ExportedProgram) -> dict[str, str]:
    """How to call torch's symbols: by the first axis of an input that has them."""
    import torch

    found: dict[str, str] = {}
    inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        value: Any = node.meta.get("val") if node.op == "placeholder" and node.name in inputs else None
        if isinstance(value, torch.Tensor):
            for axis, size in enumerate(value.shape):
                if _SYMBOL.fullmatch(str(size)):
                    found.setdefault(str(size), f"{node.name}.shape[{axis}]")
    return found


def _readable(condition: str, names: dict[str, str]) -> str:
    if match := _EQUATION.fullmatch(condition):
        condition = f"{match[2]} {'==' if match[1] == 'Eq' else '!='} {match[3]}"
    condition = _REMAINDER.sub(r"\1 % \2", condition)
    return _unwrapped(_SYMBOL.sub(lambda match: names.get(match[0], match[0]), condition))


def _shape(match: re.Match[str]) -> str:
    parts = re.findall(r"\['?(\w+)'?\]", match["path"])
    return f"{'.'.join(parts)}.shape[{match['axis']}]"


def _unwrapped(code: str) -> str:
    """A comparison without needless brackets, where it is one of Python's."""
    try:
        return ast.unparse(ast.parse(code, mode="eval"))
    except (SyntaxError, ValueError):
        return code


def _restricts(code: str) -> bool:
    """Whether a comparison with a number keeps sizes out that no layer does: large ones, or all below some."""
    compared = _comparison(code)
    if compared is None or not any(isinstance(side, ast.Constant) for side in _sides(compared)):
        return False
    sizes = _sizes(compared)
    plain = any(isinstance(side, ast.Subscript) for side in _sides(compared))
    try:
        if not all(_is_true(compared, dict.fromkeys(sizes, size)) for size in _LARGE):
            return True
        return plain and not _is_true(compared, dict.fromkeys(sizes, _SMALL))
    except (ArithmeticError, TypeError):
        return False


def _tied(conditions: Collection[str]) -> Collection[str]:
    """Those that hold for all sizes, or that leave one of two sizes no choice once the other is known."""
    groups: dict[tuple[str, ...], dict[str, ast.Compare]] = {}
    for code in conditions:
        if (compared := _comparison(code)) is not None:
            groups.setdefault(tuple(sorted(_sizes(compared))), {})[code] = compared
    found: set[str] = set()
    for sizes, group in groups.items():
        try:
            if len(sizes) == 1:
                tried = [{sizes[0]: size} for size in (*_SOME, *_LARGE)]
                found.update(code for code, one in group.items() if all(_is_true(one, given) for given in tried))
            elif len(sizes) == _PAIR and all(_partners(group.values(), sizes, size) <= 1 for size in _SOME):
                found.update(group)
        except (ArithmeticError, TypeError):
            continue
    return found


def _partners(compared: Collection[ast.Compare], sizes: Sequence[str], first: int) -> int:
    """How many sizes may go with the first of two where all of some comparisons hold."""
    pairs = [dict(zip(sizes, (first, second), strict=True)) for second in _SOME]
    return sum(all(_is_true(one, pair) for one in compared) for pair in pairs)


def _comparison(code: str) -> ast.Compare | None:
    try:
        compared = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    return compared if isinstance(compared, ast.Compare) and len(compared.ops) == 1 else None


def _sides(compared: ast.Compare) -> tuple[ast.expr, ast.expr]:
    return compared.left, compared.comparators[0]


def _sizes(compared: ast.Compare) -> set[str]:
    return {ast.unparse(part) for part in ast.walk(compared) if isinstance(part, ast.Subscript)}


def _is_true(compared: ast.Compare, sizes: Mapping[str, int]) -> bool:
    """Whether a comparison holds.

    Raises:
        TypeError: It is not of the terms that torch writes of sizes.
        ArithmeticError: It divides by zero.
    """
    holds = _COMPARISONS.get(type(compared.ops[0]))
    if holds is None:
        raise TypeError(ast.unparse(compared))
    return holds(*(_number(side, sizes) for side in _sides(compared)))


def _number(term: ast.expr, sizes: Mapping[str, int]) -> int:
    match term:
        case ast.Constant(value=int(value)):
            return value
        case ast.Subscript():
            return sizes[ast.unparse(term)]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, sizes)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            return _OPERATIONS[type(operation)](_number(left, sizes), _number(right, sizes))
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=args) if args:
            return (min if name == "min" else max)(_number(arg, sizes) for arg in args)
    raise TypeError(ast.unparse(term))
