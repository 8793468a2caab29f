"""Pickles as what they say, without running anything of them.

A pickle is a program for a machine with a stack: it names functions and calls them. Here names stay names, and what is
called is asked of whoever reads; nothing of Python's own unpickling is used, whose memory and time a few bytes can take
(numbers of the memo, tuples of tuples as keys). Opcodes: the standard library's :mod:`pickletools`.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from graphkit import limits
from graphkit.frameworks.torch.program.damage import DamageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Answers", "Foreign", "Name", "run"]

_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_FRESH: Final[dict[str, Callable[[], Any]]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Foreign("set"),
}
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEYS: Final = (str, bytes, int, float, type(None))
"""Types of keys that are kept: all others are the business of objects that are not made."""
_WEIGHT: Final = 100
"""Bytes of memory that a byte of a pickle makes at most."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that a pickle names."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """Stands for an object that is not made.

    Attributes:
        what: What would have to run to make it.
    """

    what: str


class Answers(Protocol):
    """Who reads a pickle."""

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        """What a call gives."""

    def stored(self, pid: Any) -> Any:
        """What a persistent identifier stands for."""


def run(data: bytes, answers: Answers) -> Any:
    """What a pickle holds: numbers, texts, tuples, lists, dictionaries, names, and what the answers give.

    Raises:
        DamageError: It is damaged.
        LimitError: It is larger than :attr:`graphkit.limits.Limits.document` allows.
    """
    limits.check("document", len(data) * _WEIGHT, "A pickle of weights in the file")
    machine = _Machine(answers)
    try:
        for opcode, arg, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, arg)
    except (ValueError, LookupError, TypeError, OverflowError, UnicodeError) as error:
        raise DamageError(f"the pickle of the weights in it is damaged ({type(error).__name__}: {error})") from error
    raise DamageError("the pickle of the weights in it does not end")


class _Machine:
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        """What lies on top of the stack, above its last mark."""
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise ValueError("it takes more than there is")
        return self._stack.pop()

    def _many(self) -> list[Any]:
        start = self._marks.pop()
        found = self._stack[start:]
        del self._stack[start:]
        return found

    def _top(self) -> Any:
        found = self.pop()
        self._stack.append(found)
        return found

    def step(self, name: str, arg: Any) -> None:
        """Do what an opcode says."""
        push = self._stack.append
        if name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _FRESH:
            push(_FRESH[name]())
        elif name in _TUPLES:
            push(tuple([self.pop() for _ in range(_TUPLES[name])][::-1]))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[arg] = self._top()
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            push(self._memo[arg])
        elif (act := _ACTS.get(name)) is not None:
            act(self, arg)
        elif arg is not None and name not in ("PROTO", "FRAME"):
            if name.startswith("EXT"):
                raise ValueError(f"it has the opcode {name}")
            push(Foreign(arg) if name == "PERSID" else arg)
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it has the opcode {name}")

    def mark(self, _arg: Any) -> None:
        self._marks.append(len(self._stack))

    def pop_one(self, _arg: Any) -> None:
        if self._marks and len(self._stack) == self._marks[-1]:
            self._marks.pop()
        else:
            self.pop()

    def pop_many(self, _arg: Any) -> None:
        self._many()

    def double(self, _arg: Any) -> None:
        self._stack.append(self._top())

    def make_tuple(self, _arg: Any) -> None:
        self._stack.append(tuple(self._many()))

    def make_list(self, _arg: Any) -> None:
        self._stack.append(self._many())

    def make_dict(self, _arg: Any) -> None:
        items = self._many()
        self._stack.append({})
        self._set(items)

    def append(self, _arg: Any) -> None:
        self._extend([self.pop()])

    def extend(self, _arg: Any) -> None:
        self._extend(self._many())

    def _extend(self, items: list[Any]) -> None:
        held = self._top()
        if isinstance(held, list):
            held.extend(items)

    def set_item(self, _arg: Any) -> None:
        value = self.pop()
        self._set([self.pop(), value])

    def set_items(self, _arg: Any) -> None:
        self._set(self._many())

    def _set(self, items: list[Any]) -> None:
        held = self._top()
        if isinstance(held, dict):
            held.update(
                (key, value) for key, value in zip(items[::2], items[1::2], strict=True) if isinstance(key, _KEYS)
            )

    def frozen_set(self, _arg: Any) -> None:
        self._many()
        self._stack.append(Foreign("frozenset"))

    def name(self, arg: Any) -> None:
        module, _, name = arg.partition(" ")
        self._stack.append(Name(module, name))

    def name_of_two(self, _arg: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name in it is no text")
        self._stack.append(Name(module, name))

    def call(self, _arg: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self._stack.append(self._called(function, arguments))

    def call_with_names(self, _arg: Any) -> None:
        self.pop()
        self.call(None)

    def call_inst(self, arg: Any) -> None:
        module, _, name = arg.partition(" ")
        self._stack.append(self._called(Name(module, name), tuple(self._many())))

    def call_obj(self, _arg: Any) -> None:
        function, *arguments = self._many()
        self._stack.append(self._called(function, tuple(arguments)))

    def _called(self, function: Any, arguments: Any) -> Any:
        if isinstance(function, Name):
            return self._answers.call(function, arguments if isinstance(arguments, tuple) else ())
        return function if isinstance(function, Foreign) else Foreign(type(function).__name__)

    def stored(self, _arg: Any) -> None:
        self._stack.append(self._answers.stored(self.pop()))

    def build(self, _arg: Any) -> None:
        self.pop()  # the state of an object that is not made, or attributes of a dictionary


_ACTS: Final[dict[str, Callable[[_Machine, Any], None]]] = {
    "ADDITEMS": _Machine.extend,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "BINPERSID": _Machine.stored,
    "BUILD": _Machine.build,
    "DICT": _Machine.make_dict,
    "DUP": _Machine.double,
    "FROZENSET": _Machine.frozen_set,
    "GLOBAL": _Machine.name,
    "INST": _Machine.call_inst,
    "LIST": _Machine.make_list,
    "MARK": _Machine.mark,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_names,
    "OBJ": _Machine.call_obj,
    "POP": _Machine.pop_one,
    "POP_MARK": _Machine.pop_many,
    "REDUCE": _Machine.call,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "STACK_GLOBAL": _Machine.name_of_two,
    "TUPLE": _Machine.make_tuple,
}
