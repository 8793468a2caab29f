"""What torch noted on the nodes of a program: the modules around them and the source line."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from graphkit.ir.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["called", "origin"]

_FRAME: Final = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_LIBRARY: Final = re.compile(r"^<|(?:^|[/\\])(?:site-packages[/\\]|dist-packages[/\\])torch[/\\]|^torch[/\\]")
"""Files of torch's own, wherever it is installed."""
_CALLED_AGAIN: Final = re.compile(r"@\d+")
_LONGEST: Final = 1 << 16
"""Characters of a note."""
_NOWHERE: Final = "_empty_nn_module_stack"
_OLD_ENTRY: Final = re.compile(r"(?P<key>[^:]*):\((?P<rest>.*)\)", re.DOTALL)
"""An entry of a module stack of PyTorch 2.1; later ones are ``key,path,type``."""
_GETATTR: Final = re.compile(r"getattr\((.*), '([^']*)'\)$")


def origin(target: str, name: str, metadata: Mapping[str, str]) -> Origin:
    """Where a node came from.

    Args:
        target: The operator as origins spell it, e.g. ``"aten.conv2d.default"``.
        name: Its name in the program.
        metadata: What torch noted.
    """
    _, scope, module = _innermost(_noted(metadata, "nn_module_stack"))
    return Origin("torch", target, name, scope, module, _line(_noted(metadata, "stack_trace")))


def called(metadata: Mapping[str, str]) -> str:
    """Which call of which module a node belongs to."""
    return _innermost(_noted(metadata, "nn_module_stack"))[0]


def _noted(metadata: Mapping[str, str], key: str) -> str:
    """A note; none where it is longer than torch's are."""
    text = metadata.get(key) or ""
    return text if len(text) <= _LONGEST else ""


@lru_cache(4096)
def _innermost(stack: str) -> tuple[str, str, str]:
    """Key, path and class of the innermost module of a stack; empty where there is none."""
    last = stack.rpartition(";")[2]
    if old := _OLD_ENTRY.fullmatch(last):
        path, module = (*_split(old["rest"]), "")[:2]
        key = old["key"]
    else:
        key, path, module = (*_split(last), "", "", "")[:3]
    if path.startswith(_NOWHERE):
        return "", "", ""
    return key, _CALLED_AGAIN.sub("", _plain(path)), module


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets."""
    parts, start, depth = [], 0, 0
    for index, char in enumerate(text):
        if char in "[(":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and not depth:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _plain(path: str) -> str:
    """A path of names joined by dots, for what older versions spell ``getattr(L['self'].layers, '0').conv``."""
    for _ in range(path.count("getattr(")):
        head, _, tail = path.rpartition("getattr(")
        inner, _, rest = tail.partition(")")
        if match := _GETATTR.fullmatch(f"getattr({inner})"):
            path = f"{head}{match[1]}.{match[2]}{rest}"
    return path.removeprefix("L['self']").removeprefix("L__self__").removeprefix(".")


@lru_cache(4096)
def _line(trace: str) -> str:
    """The innermost line of a stack trace that is not torch's."""
    for path, line, function in reversed(_FRAME.findall(trace)):
        if not _LIBRARY.search(path):
            name = re.split(r"[/\\]", path)[-1]
            return f"{name}:{line}, in {function}"
    return ""
