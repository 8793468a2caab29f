"""What vetted source (:mod:`graphkit.frameworks.torch.vetting`) finds built in when it runs."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.vocabulary import MODULES
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BUILTINS", "builtins_of"]

BUILTINS: Final = frozenset(
    {"abs", "all", "any", "bool", "complex", "dict", "divmod", "enumerate", "filter", "float", "frozenset", "int"}
    | {"isinstance", "len", "list", "map", "max", "min", "next", "pow", "print", "property", "range", "reversed"}
    | {"round", "set", "slice", "sorted", "str", "sum", "super", "tuple", "zip", "NotImplemented"}
    | {"AssertionError", "IndexError", "KeyError", "NotImplementedError", "RuntimeError", "TypeError", "ValueError"}
)
"""Names that vetted source may use."""


def _imported(
    name: str,
    globals_: Mapping[str, object] | None = None,
    locals_: Mapping[str, object] | None = None,
    names: tuple[str, ...] = (),
    level: int = 0,
) -> Any:
    """What an import statement of vetted source gives."""
    if level or (name not in MODULES and name != "__future__"):
        raise ImportError(f"{name} is not imported by vetted source")
    return __import__(name, globals_, locals_, names, level)


def _printed(*values: object, sep: str = " ", end: str = "\n") -> None:
    """What ``print`` is for vetted source: nothing that it prints steers a terminal."""
    print(clean(sep.join(map(str, values))), end=end if end in ("\n", "", " ") else "\n")


def _parameter(layer: Any, name: str) -> Any:
    """A parameter of a layer."""
    from torch import nn

    return nn.Module.get_parameter(layer, name)


def builtins_of() -> dict[str, Any]:
    """What stands for ``__builtins__``.

    ``getattr`` is for the one function of graphkit's own that uses it, and gives parameters of layers only.
    """
    allowed = {name: getattr(builtins, name) for name in sorted(BUILTINS)}
    own = {"print": _printed, "getattr": _parameter, "__build_class__": __build_class__, "__import__": _imported}
    return allowed | own
