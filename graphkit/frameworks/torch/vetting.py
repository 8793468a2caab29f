"""Whether the source of a folder does nothing but compute with torch, so that it may be run without being trusted.

What is allowed is listed, and all else is refused. The argument, by what a value can be: a name is bound in the file,
is one of a few builtins (no others are there when the source runs), or was imported from
:mod:`graphkit.frameworks.torch.vocabulary`. A module is no value: what is named of it is a function, class or number of
the list. So the values are tensors, layers, numbers, texts, containers, functions that compute, and what the file
itself defines; and of any of them only attributes are named that compute, too, or that the file defines and that
neither torch nor Python has. Nothing is named by a text (``getattr``, ``str.format``), and no name begins with an
underscore but ``__init__``. Methods are called on ``self`` alone, and only ``self`` is assigned to, so that nothing of
torch is replaced.

It bounds what source does, not how long it takes: a loop may be endless.
"""

from __future__ import annotations

import ast
import builtins
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

from graphkit.errors import InputError
from graphkit.frameworks.torch.vetted_builtins import BUILTINS
from graphkit.frameworks.torch.vocabulary import ATTRIBUTES, MODULES, RESERVED
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["parsed", "vet"]

_NODES: Final[tuple[type[ast.AST], ...]] = (
    *(ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg),
    *(ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.While, ast.If, ast.With, ast.withitem),
    *(ast.Raise, ast.Assert, ast.Expr, ast.Pass, ast.Break, ast.Continue),
    *(ast.BoolOp, ast.NamedExpr, ast.BinOp, ast.UnaryOp, ast.Lambda, ast.IfExp, ast.Dict, ast.Set, ast.ListComp),
    *(ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.Compare, ast.Call, ast.keyword),
    *(ast.FormattedValue, ast.JoinedStr, ast.Constant, ast.Attribute, ast.Subscript, ast.Starred, ast.Name, ast.List),
    *(ast.Tuple, ast.Slice, ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop),
)
_WHAT: Final = {
    ast.Try: "catches exceptions",
    ast.Match: "matches patterns",
    ast.Delete: "deletes",
    ast.Global: "binds a global name",
    ast.Nonlocal: "binds a name of an outer function",
    ast.AsyncFunctionDef: "is asynchronous",
    ast.Yield: "yields",
    ast.YieldFrom: "yields",
}
"""Statements that people know by another name than that of their class."""
_KEPT: Final = frozenset({"getattr", "property", "super"})
"""Builtins that nothing else is called as, since what is checked elsewhere relies on them."""
_DECORATORS: Final = frozenset({"property", "torch.no_grad()", "torch.enable_grad()", "torch.inference_mode()"})
_LAYERS_LEFT_OUT: Final = frozenset({"DataParallel"})
_GATES: Final = re.compile(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?")
"""What recurrent layers call their parameters."""
_REGISTERING: Final = frozenset({"register_buffer", "register_parameter", "register_module", "add_module"})


def parsed(text: str, path: Path) -> ast.Module:
    """The statements of source.

    Raises:
        InputError: It is no Python, or is nested too deeply.
    """
    try:
        return ast.parse(text, str(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f", line {error.lineno}," if isinstance(error, SyntaxError) and error.lineno else ""
        told = error.msg if isinstance(error, SyntaxError) else str(error) or "it is nested too deeply"
        raise InputError(f"{path}{where} cannot be read as Python: {told}.") from error


def vet(tree: ast.Module, path: Path) -> None:
    """Check that source only defines modules that compute, and take its annotations away, which are never needed.

    Args:
        tree: Its statements.
        path: Where it is from, for messages.

    Raises:
        InputError: It does something else, or what cannot be told from it.
    """
    _Vetting(tree, path).vet()
    _WithoutAnnotations().visit(tree)
    ast.fix_missing_locations(tree)


def _known_functions() -> frozenset[str]:
    """The functions that graphkit writes above modules, as their statements without places and docstrings."""
    from graphkit.frameworks.torch.source.classes import FREEZE
    from graphkit.ops.torchfunctions import FUNCTIONS

    return frozenset(_shape(stmt) for text in (FREEZE, *FUNCTIONS.values()) for stmt in ast.parse(text).body)


_known = cache(_known_functions)


def _shape(stmt: ast.stmt) -> str:
    """A statement without places; of a function without its docstring."""
    if isinstance(stmt, ast.FunctionDef) and ast.get_docstring(stmt, clean=False) is not None:
        copy = ast.FunctionDef(**{name: getattr(stmt, name) for name in stmt._fields})
        copy.body = stmt.body[1:]
        stmt = copy
    return ast.dump(stmt)


class _Vetting:
    def __init__(self, tree: ast.Module, path: Path) -> None:
        self._tree = tree
        self._path = path
        self._imports: dict[str, str] = {}
        self._classes = {stmt.name for stmt in tree.body if isinstance(stmt, ast.ClassDef)}
        methods = [
            stmt
            for node in tree.body
            if isinstance(node, ast.ClassDef)
            for stmt in node.body
            if isinstance(stmt, ast.FunctionDef)
        ]
        self._methods = {stmt.name for stmt in methods}
        self._method_nodes = {id(stmt) for stmt in methods}
        self._selves = {
            id(first)
            for stmt in methods
            for first in (*stmt.args.posonlyargs, *stmt.args.args)[:1]
            if first.arg == "self"
        }
        self._bound: set[str] = set()
        self._members: set[str] = set()
        self._plain: set[int] = set()  # attributes and names that need no further look

    def vet(self) -> None:
        vetted = [stmt for stmt in self._tree.body if not self._is_known(stmt)]
        self._bound = {stmt.name for stmt in self._tree.body if isinstance(stmt, ast.FunctionDef | ast.ClassDef)}
        nodes = [node for stmt in vetted for node in ast.walk(stmt)]
        for node in nodes:
            if not isinstance(node, _NODES):
                what = _WHAT.get(type(node), f"has a statement or expression of the kind {type(node).__name__}")
                self._refuse(node, what)
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
        for stmt in vetted:
            self._top(stmt)
        for node in nodes:
            self._note(node)
        for node in nodes:
            self._look(node)

    def _is_known(self, stmt: ast.stmt) -> bool:
        return isinstance(stmt, ast.FunctionDef) and _shape(stmt) in _known()

    def _top(self, stmt: ast.stmt) -> None:
        """A statement that runs when the source is read."""
        match stmt:
            case ast.Import() | ast.ImportFrom():
                pass
            case ast.FunctionDef():
                self._function(stmt, of_class=False)
            case ast.ClassDef():
                self._class(stmt)
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign(target=ast.Name()):
                pass
            case _:
                self._refuse(stmt, "does something when it is read, outside of all classes and functions")

    def _import(self, stmt: ast.Import | ast.ImportFrom) -> None:
        if isinstance(stmt, ast.Import):
            for name in stmt.names:
                if name.name not in MODULES:
                    self._refuse(stmt, f"imports {short(name.name)}")
                own = name.asname or name.name.partition(".")[0]
                self._bind_import(stmt, own, name.name if name.asname else own)
            return
        if stmt.module == "__future__":
            return
        if stmt.level or stmt.module not in MODULES:
            self._refuse(stmt, f"imports from {'.' * stmt.level}{short(stmt.module or '')}")
        for name in stmt.names:
            dotted = f"{stmt.module}.{name.name}"
            if dotted not in MODULES and not self._is_listed(dotted):
                self._refuse(stmt, f"imports {short(name.name)} from {stmt.module}")
            self._bind_import(stmt, name.asname or name.name, dotted)

    def _bind_import(self, stmt: ast.stmt, name: str, dotted: str) -> None:
        taken = name in self._bound or name in BUILTINS | _KEPT or name == "self" or name.startswith("__")
        if taken or self._imports.setdefault(name, dotted) != dotted:
            self._refuse(stmt, f"gives the name {name} to two things")

    def _class(self, stmt: ast.ClassDef) -> None:
        if stmt.keywords:
            self._refuse(stmt, f"makes the class {short(stmt.name)} with keywords")
        if stmt.decorator_list:
            self._refuse(stmt, f"decorates the class {short(stmt.name)}")
        for base in stmt.bases:
            dotted = self._dotted(base)
            if not (isinstance(base, ast.Name) and base.id in self._classes) and not self._is_layer(dotted or ""):
                self._refuse(
                    base, f"derives {short(stmt.name)} from something else than a module of torch's or its own"
                )
        own = {inner.name for inner in stmt.body if isinstance(inner, ast.FunctionDef)}
        for inner in stmt.body:
            if isinstance(inner, ast.FunctionDef):
                self._function(inner, of_class=True)
            elif not isinstance(inner, ast.Assign | ast.AnnAssign | ast.Pass) and not _is_text(inner):
                self._refuse(inner, f"does something in the class {short(stmt.name)} beside defining its methods")
            made_with = [inner.args] if isinstance(inner, ast.FunctionDef) else [inner]
            for node in (node for part in made_with for node in ast.walk(part)):
                if isinstance(node, ast.Name) and node.id in own:
                    self._refuse(node, f"uses the method {short(node.id)} where its class is made")

    def _function(self, stmt: ast.FunctionDef, *, of_class: bool) -> None:
        for decorator in stmt.decorator_list:
            text = ast.unparse(decorator)
            root = text.partition(".")[0].removesuffix("()")
            if not of_class or text not in _DECORATORS or self._imports.get(root, root) not in ("torch", "property"):
                self._refuse(decorator, f"decorates {short(stmt.name)} with {short(text)}")
        if not of_class:
            return
        if not any(id(first) in self._selves for first in (*stmt.args.posonlyargs, *stmt.args.args)[:1]):
            self._refuse(stmt, f"has a method {short(stmt.name)} without self")

    def _note(self, node: ast.AST) -> None:
        """Remember what a node defines, and refuse names that nothing may define."""
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                if node not in self._tree.body and isinstance(node, ast.ClassDef):
                    self._refuse(node, "has a class inside of something else")
                if id(node) in self._method_nodes:
                    self._member(node, node.name)
                else:
                    self._bind(node, node.name)
            case ast.arg():
                self._bind(node, node.arg)
            case ast.Name(ctx=ast.Store()):
                self._bind(node, node.id)
            case ast.Attribute(ctx=ast.Store()):
                if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                    self._refuse(node, f"assigns to the attribute {short(node.attr)} of something else than self")
                self._member(node, node.attr)
            case ast.Call(func=ast.Attribute(attr=attr), args=[ast.Constant(value=str() as name), *_]):
                if attr in _REGISTERING:
                    self._member(node, name)
            case _:
                pass
        if isinstance(node, ast.ClassDef):
            for stmt in node.body:
                for name in _targets(stmt):
                    self._member(stmt, name)

    def _bind(self, node: ast.AST, name: str) -> None:
        if name in self._imports:
            self._refuse(node, f"gives the name {short(name)} to two things")
        if name.startswith("__"):
            self._refuse(node, f"binds the name {short(name)}")
        if (name == "self" and id(node) not in self._selves) or name in _KEPT:
            self._refuse(node, f"binds the name {name}")
        self._bound.add(name)

    def _member(self, node: ast.AST, name: str) -> None:
        if name in ("__init__", "forward") and isinstance(node, ast.FunctionDef):
            return
        if _is_hidden(name) or name in _KEPT or (name not in ATTRIBUTES and name in _reserved()):
            self._refuse(node, f"defines {short(name)}, which is a name of Python's or torch's own")
        self._members.add(name)

    def _look(self, node: ast.AST) -> None:
        match node:
            case ast.Name(ctx=ast.Load()):
                self._name(node)
            case ast.Attribute():
                self._attribute(node)
            case ast.Raise():
                if not (isinstance(node.exc, ast.Call | ast.Name) and node.cause is None):
                    self._refuse(node, "raises something else than an error of its own")
            case ast.FunctionDef() if id(node) not in self._method_nodes:
                self._function(node, of_class=False)
            case ast.Call() if _is_super(node, self._classes):
                self._plain.add(id(node.func))
            case _:
                pass

    def _name(self, node: ast.Name) -> None:
        name = node.id
        if name == "super" and id(node) not in self._plain:
            self._refuse(node, "uses super as something else than super()")
        if id(node) in self._plain or name in self._bound or name in BUILTINS:
            return
        if name in self._imports:
            if not self._is_listed(self._imports[name]):
                self._refuse(node, f"uses the module {short(name)} as a value")
            return
        verb = "calls" if hasattr(builtins, name) else "uses the name"
        why = "" if hasattr(builtins, name) else ", which nothing in it defines"
        self._refuse(node, f"{verb} {short(name)}{'()' if verb == 'calls' else ''}{why}")

    def _attribute(self, node: ast.Attribute) -> None:
        if id(node) in self._plain:
            return
        dotted = self._dotted(node)
        if dotted is not None:
            for part in _inner(node):
                self._plain.add(id(part))
            chain = dotted.split(".")
            length = next(n for n in range(len(chain), 0, -1) if ".".join(chain[:n]) in MODULES or n == 1)
            named = ".".join(chain[: length + 1])
            if len(chain) == length or not self._is_listed(named):
                self._refuse(node, f"uses {short(dotted)}")
            for attr in chain[length + 1 :]:
                self._check_attribute(node, attr, on_self=False)
            return
        own = isinstance(node.value, ast.Name) and node.value.id == "self"
        parent = isinstance(node.value, ast.Call) and _is_super(node.value, self._classes)
        if parent and node.attr == "__init__":
            return
        self._check_attribute(node, node.attr, on_self=own or parent)

    def _check_attribute(self, node: ast.AST, name: str, *, on_self: bool) -> None:
        if name in self._methods | {"forward"}:
            if not on_self:
                self._refuse(node, f"uses the method {short(name)} of something else than self")
            return
        if name in ATTRIBUTES or _GATES.fullmatch(name):
            return
        if name not in self._members:
            self._refuse(node, f"uses the attribute {short(name)}")

    def _dotted(self, node: ast.AST) -> str | None:
        """A chain of attributes that begins with what was imported; None for anything else."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._imports:
            return None
        return ".".join((self._imports[node.id], *reversed(names)))

    def _is_listed(self, dotted: str) -> bool:
        """Whether a dotted name is of the vocabulary: a function, a number, an element type, a class of layers."""
        module, _, name = dotted.rpartition(".")
        return name in MODULES.get(module, ()) or self._is_layer(dotted) or _is_number(dotted)

    def _is_layer(self, dotted: str) -> bool:
        from torch import nn

        module, _, name = dotted.rpartition(".")
        found = getattr(nn, name, None) if module == "torch.nn" else None
        return isinstance(found, type) and issubclass(found, nn.Module) and name not in _LAYERS_LEFT_OUT

    def _refuse(self, node: ast.AST, what: str) -> NoReturn:
        line = getattr(node, "lineno", 0)
        raise InputError(
            f"Line {line} of {self._path} {what}, which graphkit does not write and does not run unasked: it may be "
            f"the code of a stranger. If you trust its author, allow it with --trust-code."
        )


class _WithoutAnnotations(ast.NodeTransformer):
    """Takes annotations away, which may be texts that something evaluates."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # ast's
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:  # ast's
        return ast.Pass() if node.value is None else ast.Assign([node.target], node.value)


def _targets(stmt: ast.stmt) -> Iterator[str]:
    """Names that a statement of a class binds."""
    targets = stmt.targets if isinstance(stmt, ast.Assign) else [stmt.target] if isinstance(stmt, ast.AnnAssign) else []
    for target in targets:
        yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _inner(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a chain of attributes."""
    while isinstance(node, ast.Attribute):
        yield node
        node = node.value
    yield node


def _is_text(stmt: ast.stmt) -> bool:
    return isinstance(stmt, ast.Expr) and isinstance(stmt.value, ast.Constant)


def _is_super(call: ast.Call, classes: set[str]) -> bool:
    """Whether a call is ``super()``, or as Python 2 spelled it, ``super(Net, self)``."""
    if not isinstance(call.func, ast.Name) or call.func.id != "super" or call.keywords:
        return False
    names = [arg.id if isinstance(arg, ast.Name) else "" for arg in call.args]
    return not names or (len(names) == 2 and names[0] in classes and names[1] == "self")


def _is_hidden(name: str) -> bool:
    """Whether a name begins with an underscore; the underscore before a digit is graphkit's own."""
    return name.startswith("_") and not re.fullmatch(r"_\d\w*", name)


def _is_number(dotted: str) -> bool:
    """Whether a name is one of torch's numbers, element types or layouts of memory."""
    import torch

    module, _, name = dotted.rpartition(".")
    found = getattr(torch, name, None) if module == "torch" and not name.startswith("_") else None
    return isinstance(found, float | torch.dtype | torch.memory_format | torch.layout)


@cache
def _reserved() -> frozenset[str]:
    """What tensors, modules and running code have, in this version of torch."""
    import types

    import torch

    kinds: tuple[Any, ...] = (torch.Tensor, torch.nn.Module(), type)
    kinds += (types.GeneratorType, types.FrameType, types.TracebackType, types.CodeType)
    return RESERVED.union(*map(dir, kinds))
