"""Finds the rooms: every module under :mod:`graphkit.ops` that defines ``OP``, ``OPS`` or ``ROWS``."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import graphkit.ops

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import MxForm, Op

__all__ = ["Index", "index"]


@dataclass(frozen=True)
class Index:
    """All operators of all rooms.

    Attributes:
        ops: Every operator with the name of the module that holds it.
        by_onnx: Operator by ONNX domain and type.
        by_mx: Forms that read an MXNet operator, those with the most pins first.
    """

    ops: tuple[tuple[str, Op], ...]
    by_onnx: Mapping[tuple[str, str], Op]
    by_mx: Mapping[str, tuple[tuple[Op, MxForm], ...]]

    def room_of(self, op: Op) -> str:
        """Where an operator of :attr:`ops` lives, as a path within :mod:`graphkit.ops`, e.g. ``"nn/conv.py"``."""
        module = next(module for module, other in self.ops if other is op)
        return f"{module.removeprefix('graphkit.ops.').replace('.', '/')}.py"

    def form_of(self, node: MxNode) -> tuple[Op, MxForm] | None:
        """The form that reads an MXNet node: of those whose pins it has, the one with the most."""
        for op, form in self.by_mx.get(node.op, ()):
            if all(node.attrs.get(name, form.pin_default.get(name)) == value for name, value in form.pin.items()):
                return op, form
        return None


def _rooms() -> Iterator[tuple[str, Op]]:
    for module in pkgutil.walk_packages(graphkit.ops.__path__, "graphkit.ops."):
        if module.ispkg:
            continue
        room = importlib.import_module(module.name)
        if hasattr(room, "OP"):
            yield module.name, room.OP
        for op in getattr(room, "OPS", ()):
            yield module.name, op
        for row in getattr(room, "ROWS", ()):
            yield module.name, row.op()


@cache
def index() -> Index:
    """The index, built once on first use.

    Raises:
        ValueError: Two rooms describe the same ONNX operator, or two forms would read the same MXNet node.
    """
    ops = tuple(_rooms())
    by_onnx: dict[tuple[str, str], Op] = {}
    home: dict[tuple[str, str], str] = {}
    readers: dict[str, list[tuple[Op, MxForm]]] = {}
    for module, op in ops:
        if op.onnx:
            key = (op.domain, op.onnx)
            if key in by_onnx:
                raise ValueError(f"{op.onnx} is described in both {home[key]} and {module}")
            by_onnx[key], home[key] = op, module
        for form in op.mx:
            if form.direction != "write":
                for name in (form.op, *form.also):
                    readers.setdefault(name, []).append((op, form))
    for name, forms in readers.items():
        pins = [frozenset(form.pin.items()) for _, form in forms]
        if len(set(pins)) != len(pins):
            owners = ", ".join(op.onnx or form.op for op, form in forms)
            raise ValueError(f"two forms would read the same {name} node: {owners}")
        forms.sort(key=lambda entry: -len(entry[1].pin))
    return Index(ops, by_onnx, {name: tuple(forms) for name, forms in readers.items()})
