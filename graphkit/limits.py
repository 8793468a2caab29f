"""How large and how deep what is read from a file may be, so that a hostile one cannot take the machine."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphkit.errors import InputError, LimitError
from graphkit.files import parse_size, sized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Limits", "check", "check_elements", "check_json", "current", "limited", "parse"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What readers accept. Each is far above what models have, and can be raised.

    Attributes:
        nodes: Nodes of a model, those of the bodies of control flow and of functions included.
        nesting: Levels of bodies, types, modules or lists within each other; a body of ONNX is three of them.
        attribute: Bytes of one attribute of a node, as the file has it.
        operands: Values that one node reads and gives.
        document: Bytes of memory that a graph's description takes once it is parsed, as estimated before that: JSON or
            a protobuf, without the weights.
        expanded: Bytes that what a file says in fewer takes beyond four times the file: sparse arrays made dense,
            compressed parts, constants that a graph says by a shape and a value.
        feeds: Bytes that a compressed file of arrays to feed unpacks to.
        seconds: Time of a process that runs what a file says in order to read it, which TorchScript needs.
        memory: Bytes of memory of such a process, beside four times the size of the file.
    """

    nodes: int = 5_000_000
    nesting: int = 200
    attribute: int = 1 << 28
    operands: int = 20_000
    document: int = 1 << 31
    expanded: int = 1 << 26
    feeds: int = 1 << 34
    seconds: int = 600
    memory: int = 1 << 34


_BYTES: Final = frozenset(("feeds", "attribute", "document", "memory", "expanded"))
"""Limits that are numbers of bytes."""
_WHAT: Final = {
    "nodes": "nodes",
    "nesting": "levels within each other",
    "attribute": "in one attribute",
    "feeds": "once it is unpacked",
    "operands": "operands and results",
    "document": "of memory to describe its graph",
    "expanded": "once it is written out",
}
_ELEMENT: Final = 48
"""Bytes that an element counts for while it is computed: a double, one more and what becomes of it, twice."""
_OBJECT, _LIST, _VALUE = 232, 88, 64
"""Bytes that CPython takes for a small dictionary, for a list with an element, and for a value or key in one."""
_DEFAULT: Final = Limits()
_current: ContextVar[Limits] = ContextVar("graphkit_limits", default=_DEFAULT)


def current() -> Limits:
    """The limits that hold now."""
    return _current.get()


@contextmanager
def limited(limits: Limits | None = None, **changes: int) -> Iterator[Limits]:
    """Let other limits hold meanwhile.

        with graphkit.limited(nodes=20_000_000):
            model = graphkit.load("huge.onnx")

    Args:
        limits: All of them; None for those that hold.
        changes: Single ones, by their names in :class:`Limits`.
    """
    changed = dataclasses.replace(limits or current(), **changes)
    token = _current.set(changed)
    try:
        yield changed
    finally:
        _current.reset(token)


def check(name: str, found: int, where: str) -> None:
    """Refuse what is beyond a limit.

    Args:
        name: Name of the limit.
        found: What the file has, or announces.
        where: What has it, at the start of a sentence: the file, or a node of it.

    Raises:
        LimitError: It is more.
    """
    limit = getattr(current(), name)
    if found > limit:
        have, allowed = (sized(found), sized(limit)) if name in _BYTES else (f"{found:,}", f"{limit:,}")
        raise LimitError(
            f"{where} has {have} {_WHAT[name]}, more than the limit of {allowed}, which keeps hostile files from "
            f"taking the machine. If you trust the file, raise it: --limit {name}={found}, or "
            f"graphkit.limited({name}={found})."
        )


def check_elements(elements: int, where: str = "A constant that the model is computed with") -> None:
    """Refuse a constant that a graph says by a number and that would be too large once its elements are written out.

    Args:
        elements: How many it has.
        where: What says so, at the start of a sentence.

    Raises:
        LimitError: They would take more than :attr:`Limits.expanded`, at the bytes that computing one takes.
    """
    check("expanded", elements * _ELEMENT, where)


def check_json(text: str | bytes, where: str) -> None:
    """Refuse JSON that would take more memory than :attr:`Limits.document` once it is parsed.

    Args:
        text: The document.
        where: The file.

    Raises:
        LimitError: It would.
    """
    marks = (b"{", b"[", b",", b":") if isinstance(text, bytes) else ("{", "[", ",", ":")
    objects, lists, *values = (text.count(mark) for mark in marks)  # type: ignore[arg-type]  # of the text's own type
    check("document", objects * _OBJECT + lists * _LIST + sum(values) * _VALUE + len(text), where)


def parse(given: Iterable[str]) -> Limits:
    """Limits as the command line spells them: ``nodes=2000000``, ``attribute=1GB``.

    Raises:
        InputError: There is no such limit, or it is no number above 0.
    """
    names = [field.name for field in dataclasses.fields(Limits)]
    changes: dict[str, int] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in names:
            raise InputError(f"--limit {text!r} names no limit; write NAME=NUMBER with one of {', '.join(names)}.")
        try:
            changes[name] = parse_size(value)
        except InputError as error:
            raise InputError(f"--limit {text!r} gives no number; write e.g. {name}=2000000.") from error
        if changes[name] < 1:
            raise InputError(f"--limit {text!r} leaves nothing that could be read; write a number above 0.")
    return dataclasses.replace(Limits(), **changes)
