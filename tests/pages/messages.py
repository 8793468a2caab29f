"""The messages that graphkit's code can give, found without running it.

Each call of an error's class, of a :class:`~graphkit.ops.spec.Refusal`, or of a function that returns one of them, is
looked at in the syntax tree. Its message is a template: what stands in it fixed, and names for what is put in.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import graphkit
from graphkit import errors
from graphkit.ops import ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CLASSES", "Message", "messages"]

_ROOT: Final = Path(graphkit.__file__).parent
CLASSES: Final = tuple(
    name
    for name in errors.__all__
    if isinstance(getattr(errors, name), type) and issubclass(getattr(errors, name), errors.GraphkitError)
)
"""Names of the classes of errors."""
_PARTS: Final = {"Refusal": 0, "UnsupportedNode": 2}
"""What is put into an UnsupportedError, and which argument its reason is."""
_INSIDE: Final = {
    "DamageError": "FormatError",
    "HarmfulError": "FormatError",
    "UnsuitableError": "UnsupportedError",
    "UnfitError": "UnsupportedError",
    "ValueError": "",
    "RefusedError": "ExecutionError",
    "misfit": "ParameterError",
}
"""What never leaves graphkit, and the error whose message quotes it; empty: that of its caller."""
_WORDS: Final = 3
_PLAIN: Final = ("self", "sys", "np", "cls")
"""Names before a dot that say less than what stands after it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that the code can give.

    Attributes:
        kind: The class of the error; empty for a part of a message of several classes.
        text: Its words, with ``{name}`` for what is put in.
        module: Where it stands, e.g. ``"graphkit/ops/nn/conv.py"``.
        line: And at which line.
        whole: Whether it is all that is told, rather than a reason that stands in another message.
    """

    kind: str
    text: str
    module: str
    line: int
    whole: bool


@cache
def messages() -> tuple[Message, ...]:
    """Every message, in the order of modules and lines; the reasons of the ledger of operators at the end."""
    found: dict[tuple[str, str, str], Message] = {}
    for path in sorted(_ROOT.rglob("*.py")):
        for one in _Module(path).messages():
            found.setdefault((one.kind, one.text, one.module), one)
    for reasons in (ledger.MXNET, ledger.ONNX):
        for reason in reasons.values():
            one = Message("UnsupportedError", reason, "graphkit/ops/ledger.py", 0, whole=False)
            found.setdefault((one.kind, one.text, one.module), one)
    return tuple(found.values())


class _Module:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.name = str(path.relative_to(_ROOT.parent))
        self.constants: dict[str, ast.expr] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef):
                self.functions.setdefault(node.name, node)
        for statement in self.tree.body:
            target: ast.expr | None = statement.target if isinstance(statement, ast.AnnAssign) else None
            if isinstance(statement, ast.Assign):
                target = statement.targets[0]
            if isinstance(target, ast.Name) and isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
                self.constants[target.id] = statement.value
        self.imported = {
            alias.asname or alias.name: (statement.module or "", alias.name)
            for statement in ast.walk(self.tree)
            if isinstance(statement, ast.ImportFrom)
            for alias in statement.names
        }

    def messages(self) -> Iterator[Message]:
        """What the module can say."""
        yield from self._in(self.tree, None)

    def _in(self, node: ast.AST, function: ast.FunctionDef | None) -> Iterator[Message]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield from self._of(child, function)
            elif isinstance(child, ast.Return) and child.value is not None and _gives_reasons(function):
                yield from self._told("", child.value, function, whole=False)
            yield from self._in(child, child if isinstance(child, ast.FunctionDef) else function)

    def _of(self, call: ast.Call, function: ast.FunctionDef | None) -> Iterator[Message]:
        name = _called(call)
        kind, place, whole = self._meaning(name)
        if kind is not None and len(call.args) > place:
            yield from self._told(kind, call.args[place], function, whole=whole)

    def _told(self, kind: str, node: ast.expr, function: ast.FunctionDef | None, *, whole: bool) -> Iterator[Message]:
        for text in sorted(self._texts(node, function, 0)):
            if _words(text) >= (1 if whole else _WORDS):
                yield Message(kind, text, self.name, node.lineno, whole)

    def _meaning(self, name: str) -> tuple[str | None, int, bool]:
        """The error that a call gives, which argument its message is, and whether it is all of it."""
        if name in CLASSES and name != "UnsupportedError":
            return name, 0, True
        if name in _PARTS:
            return "UnsupportedError", _PARTS[name], False
        if name in _INSIDE:
            return _INSIDE[name], 0, False
        maker = self.functions.get(name)
        given = _called_type(maker.returns) if maker is not None else ""
        if maker is not None and (given in CLASSES or given in _INSIDE) and name.lstrip("_")[:1].islower():
            arguments = [one.arg for one in maker.args.args if one.arg not in ("self", "cls")]
            wordy = [at for at, one in enumerate(arguments) if one in ("why", "what", "reason", "told", "problem")]
            if wordy:
                return given if given in CLASSES else _INSIDE[given], wordy[-1], False
        return None, 0, False

    def _texts(self, node: ast.expr, function: ast.FunctionDef | None, depth: int) -> set[str]:
        """What an expression can be, as templates."""
        if depth > 4:
            return {"{…}"}
        if isinstance(node, ast.Constant):
            return {str(node.value).replace("\n", " ")}
        if isinstance(node, ast.JoinedStr):
            text = "".join(self._part(part, function, depth) for part in node.values)
            inner = node.values[0].value if isinstance(node.values[0], ast.FormattedValue) else None
            if isinstance(inner, ast.Name) and _words(text) < _WORDS:  # it begins with what says most of it
                rest = "".join(self._part(part, function, depth) for part in node.values[1:])
                return {first + rest for first in self._texts(inner, function, depth + 1)}
            return {text}
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = (self._texts(each, function, depth) for each in (node.left, node.right))
            return {a + b for a in left for b in right}
        if isinstance(node, ast.IfExp):
            return self._texts(node.body, function, depth) | self._texts(node.orelse, function, depth)
        if isinstance(node, ast.BoolOp):
            return set().union(*(self._texts(each, function, depth) for each in node.values))
        if isinstance(node, ast.Name):
            return self._named(node, function, depth)
        if isinstance(node, ast.Call):
            return self._computed(node, function, depth)
        return {f"{{{_shown(node)}}}"}

    def _part(self, part: ast.expr, function: ast.FunctionDef | None, depth: int) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        assert isinstance(part, ast.FormattedValue)
        inner = part.value
        if isinstance(inner, ast.Constant) or (isinstance(inner, ast.Name) and inner.id in self.constants):
            texts = self._texts(inner, function, depth + 1)
            if len(texts) == 1 and len(text := next(iter(texts))) < 200 and "{" not in text:
                return text
        return f"{{{_shown(inner)}}}"

    def _named(self, node: ast.Name, function: ast.FunctionDef | None, depth: int) -> set[str]:
        if function is not None:
            values = [
                each.value
                for each in ast.walk(function)
                if isinstance(each, ast.Assign)
                and any(isinstance(t, ast.Name) and t.id == node.id for t in each.targets)
            ]
            if values:
                return set().union(*(self._texts(value, function, depth + 1) for value in values))
        if node.id in self.constants:
            return self._texts(self.constants[node.id], None, depth + 1)
        module, name = self.imported.get(node.id, ("", ""))
        if module.startswith("graphkit") and (other := _module(module)) is not None and name in other.constants:
            return other._texts(other.constants[name], None, depth + 1)
        return {f"{{{node.id}}}"}

    def _computed(self, node: ast.Call, function: ast.FunctionDef | None, depth: int) -> set[str]:
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "rstrip", "strip", "capitalize"):
            return self._texts(node.func.value, function, depth + 1)
        maker = self.functions.get(_called(node))
        if maker is not None and _called_type(maker.returns) == "str":
            returned = [
                each.value for each in ast.walk(maker) if isinstance(each, ast.Return) and each.value is not None
            ]
            return set().union(*(self._texts(value, maker, depth + 1) for value in returned))
        return {f"{{{_shown(node)}}}"}


@cache
def _module(name: str) -> _Module | None:
    path = _ROOT.parent / (name.replace(".", "/") + ".py")
    path = path if path.is_file() else path.with_suffix("") / "__init__.py"
    return _Module(path) if path.is_file() else None


def _gives_reasons(function: ast.FunctionDef | None) -> bool:
    return function is not None and function.returns is not None and ast.unparse(function.returns) == "str | None"


def _words(text: str) -> int:
    return len(re.findall(r"[A-Za-z]{2,}", re.sub(r"\{.*?\}", "", text)))


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _called_type(node: ast.expr | None) -> str:
    return ast.unparse(node).split(" | ")[0] if node is not None else ""


def _shown(node: ast.expr) -> str:
    """A short name for what is put into a message."""
    if isinstance(node, ast.Attribute):
        return node.attr if isinstance(node.value, ast.Name) and node.value.id in _PLAIN else _shown(node.value)
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript):
        return _shown(node.value)
    if isinstance(node, ast.Call) and node.args:
        return _shown(node.args[-1] if _called(node) == "map" else node.args[0])
    if isinstance(node, ast.BoolOp):
        return _shown(node.values[0])
    return "…"
